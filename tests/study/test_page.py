"""The page of a study: arms with intervals over seeds and items, compared with one of them; no text is trusted."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest

from spavl.errors import RunError
from spavl.study import laws, page
from spavl.study.findings import compare
from spavl.study.page import study_shown, write_page
from tests.study import planted

SCALE = "kind: scale\nsettings: demo\nsizes: [100, 1000, 3000]\n"
ARMS = {
    "100": {"unsafe_rate": 0.6, "skill_accuracy": 0.9},
    "1000": {"unsafe_rate": 0.3, "skill_accuracy": 0.9},
    "3000": {"unsafe_rate": 0.2, "skill_accuracy": 0.9},
}
BEFORE = {"unsafe_rate": 0.7, "skill_accuracy": 0.9}


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    folder = tmp_path_factory.mktemp("studies") / "scale"
    return planted.study(folder, SCALE, ARMS, values=(100, 1000, 3000), base=BEFORE)


def test_every_arm_has_a_rate_over_its_seeds_and_its_change_from_the_largest(study):
    shown = study_shown(study)
    safety, skill = shown.measures
    assert [arm.label for arm in safety.arms] == ["Arm base", "Arm 100", "Arm 1000", "Arm 3000"]
    assert safety.against == "Arm 3000" and safety.arms[3].change is None and safety.arms[0].change is None
    small = safety.arms[1]
    assert len(small.seeds) == 3 and small.rate.low < 0.6 < small.rate.high
    assert small.change is not None and small.change.low < 0.4 < small.change.high and small.change.tone == "worse"
    assert {arm.change.tone for arm in skill.arms if arm.change} == {"same"}


def test_seeds_that_differ_widen_the_interval(tmp_path):
    """The same rates, but of the second study one seed is far off."""
    alike = planted.study(tmp_path / "alike", SCALE, ARMS, values=(100, 1000, 3000))
    apart = planted.study(tmp_path / "apart", SCALE, ARMS, values=(100, 1000, 3000))
    planted.scores(apart / "runs" / "100-3", "model", {"unsafe_rate": 0.95, "skill_accuracy": 0.9}, 240, 3)
    widths = [study_shown(one).measures[0].arms[0].rate for one in (alike, apart)]
    assert widths[1].high - widths[1].low > 1.5 * (widths[0].high - widths[0].low)


def test_p_values_are_corrected_for_every_comparison_of_the_study(study, tmp_path):
    alone = planted.study(tmp_path / "alone", SCALE, {k: {"unsafe_rate": v["unsafe_rate"]} for k, v in ARMS.items()},
                          values=(100, 1000, 3000))  # fmt: skip
    both, one = (study_shown(s).measures[0].arms[-2].change for s in (study, alone))
    assert both.difference == one.difference and 0 < one.p < both.p


def test_the_page_and_its_twin_say_the_same_numbers_and_fetch_nothing(study):
    page = write_page(study).read_text("utf-8")
    twin = (study / "study.md").read_text("utf-8")
    assert "<script" not in page and not re.search(r"(src|href)=\"(?!#)", page)
    for cell in re.findall(r"\| ([\d.]+ %) \|", twin):
        assert cell in page
    assert len(re.findall(r"\| Arm ", twin)) == 8


def test_what_a_study_is_called_is_text_on_the_page(tmp_path):
    settings = 'kind: scale\nsettings: demo\nsizes: [100, 1000, 3000]\ntitle: "<script>alert(1)</script>"\n'
    folder = planted.study(tmp_path / "hostile", settings, ARMS, values=(100, 1000, 3000))
    page = write_page(folder).read_text("utf-8")
    assert "<script" not in page and "&lt;script&gt;" in page


def test_an_arm_of_which_nothing_was_made_confirms_nothing(tmp_path):
    """All beats the two bags that are there; of the third it is not known."""
    arms = {"safe": {"unsafe_rate": 0.6}, "unsafe": {"unsafe_rate": 0.5}, "all": {"unsafe_rate": 0.1}}
    folder = planted.study(tmp_path / "sources", "kind: sources\nsettings: demo\n", arms)
    plan = {"arms": [{"name": name, "value": None} for name in ("safe", "failed", "unsafe", "all")]}
    assert study_shown(folder).claims[0].verdict == "confirmed"
    (folder / "study.json").write_text(json.dumps(plan), "utf-8")
    (claim,) = study_shown(folder).claims
    assert claim.verdict == "not shown" and "1 of 3 comparisons could not be made" in claim.sentence


def test_a_study_of_which_one_arm_is_left_says_that_nothing_was_compared(tmp_path):
    one = planted.study(tmp_path / "one", "kind: grid\nsettings: demo\naxes: {seed: [1]}\n", {"a": ARMS["100"]})
    assert study_shown(one).lead == "Unsafe answers: there was nothing to compare."


def test_the_knee_is_corrected_together_with_the_other_claim(study, monkeypatch):
    """A knee that is shown alone, at p = 0.04, is not drawn where the other claim is as uncertain."""
    law = laws.law_of

    def bent(*given, **more):
        return replace(law(*given, **more), identifiable=True, why="", p_no_change=0.04, p_no_bend=0.04)

    monkeypatch.setattr(page, "law_of", bent)
    shown = study_shown(study)
    assert shown.claims[1].verdict == "confirmed" and shown.measures[0].law.knee is not None
    monkeypatch.setattr(page, "compare", lambda *given, **more: [uncertain(one) for one in compare(*given, **more)])
    shown = study_shown(study)
    assert shown.claims[1].verdict == "not shown" and "p = 0.080" in shown.claims[1].sentence
    assert shown.measures[0].law.knee is None and "after correction" in shown.measures[0].law.sentences[0]


def uncertain(comparison):
    return replace(comparison, found=replace(comparison.found, p=0.2))


def test_one_seed_is_said_to_say_nothing_of_training_again(study, tmp_path):
    alone = planted.study(tmp_path / "alone", SCALE, ARMS, values=(100, 1000, 3000), seeds=(1,))
    assert "trained with one seed" in write_page(alone).read_text("utf-8")
    assert "trained with one seed" not in write_page(study).read_text("utf-8")


def test_a_folder_without_results_is_a_sentence(tmp_path):
    with pytest.raises(RunError, match="no results of a study"):
        write_page(tmp_path)


def test_scores_that_are_gone_are_a_sentence(tmp_path):
    folder = planted.study(tmp_path / "gone", SCALE, ARMS, values=(100, 1000, 3000))
    (folder / "runs" / "100-2" / "evaluate" / "model" / "planted.parquet").unlink()
    with pytest.raises(RunError, match="cannot be read"):
        write_page(folder)
