"""Loaders of safety: published counts and layouts with their quirks, what is measured, and what is refused."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from spavl.config.benchmarks import (
    AdvBenchBenchmark,
    FigStepBenchmark,
    MmSafetyBenchmark,
    SiuoBenchmark,
    SpaVlBenchmark,
    VlGuardBenchmark,
    VlsBenchBenchmark,
)
from spavl.errors import DataError, SettingsError
from spavl.evaluate import Answer, score, summarise
from spavl.evaluate.loaders.safety import SAFETY, SOURCES_SAFETY
from spavl.evaluate.loaders.safety.mm_safetybench import POLICY_RUBRICS, SIZES
from tests.evaluate import safety_files as files
from tests.evaluate.safety_files import SORRY, opened_safety, rates
from tests.evaluate.skill_files import as_json, inline, parquet

Write = Callable[[Path], Path]
WHOLE: list[tuple[Any, Write, dict[str, Any], int]] = [
    (SpaVlBenchmark, files.spa_vl, {}, 530),
    (MmSafetyBenchmark, files.mm_safetybench, {"variants": ("text",)}, 1680),
    (MmSafetyBenchmark, files.mm_safetybench, {"variants": ("text", "SD"), "tiny": True}, 336),
    (AdvBenchBenchmark, files.advbench, {}, 520),
    (VlGuardBenchmark, files.vlguard, {}, 1558),
    (VlsBenchBenchmark, files.vlsbench, {}, 2241),
    (SiuoBenchmark, files.siuo, {}, 167),
    (SiuoBenchmark, files.siuo, {"part": "mcqa"}, 167),
    (FigStepBenchmark, files.figstep, {"prompt": files.ASKED}, 500),
    (FigStepBenchmark, files.figstep, {"prompt": files.ASKED, "tiny": True}, 50),
]
"""Settings, fixture, what is set, and the published number of items."""


@pytest.mark.parametrize(("kind", "write", "own", "count"), WHOLE)
def test_the_published_numbers_are_accepted_and_any_others_refused(
    tmp_path: Path, kind: Any, write: Write, own: dict[str, Any], count: int
) -> None:
    folder = write(tmp_path / "files")
    made = opened_safety(kind(path=str(folder), **own), tmp_path)
    assert len(made.items) == count
    assert len({item.item_id for item in made.items}) == count and all(m.counts for m in made.metrics)
    source = SOURCES_SAFETY[kind]
    with pytest.raises(DataError) as missing:
        opened_safety(kind(path=str(tmp_path / "nowhere"), **own), tmp_path)
    assert missing.value.try_ and source.get in missing.value.try_, "it says where to get it"


@pytest.mark.parametrize(
    ("kind", "write", "own", "found"),
    [
        (SpaVlBenchmark, lambda at: files.spa_vl(at, (265, 264)), {}, "help: 264 of 265"),
        (AdvBenchBenchmark, lambda at: files.advbench(at, 519), {}, "vanilla: 519 of 520"),
        (VlGuardBenchmark, lambda at: files.vlguard(at, 441), {}, "unsafes: 441 of 442"),
        (VlsBenchBenchmark, lambda at: files.vlsbench(at, {**files.CATEGORIES, "Hate": 270}), {}, "Hate: 270 of 269"),
        (SiuoBenchmark, lambda at: files.siuo(at, 166), {}, "generation: 166 of 167"),
    ],
)
def test_another_count_is_refused_unless_a_part_is_wanted(
    tmp_path: Path, kind: Any, write: Write, own: dict[str, Any], found: str
) -> None:
    folder = write(tmp_path / "files")
    with pytest.raises(DataError, match=found) as error:
        opened_safety(kind(path=str(folder), **own), tmp_path)
    assert SOURCES_SAFETY[kind].get in str(error.value.try_) and "partial: true" in str(error.value.try_)
    assert opened_safety(kind(path=str(folder), partial=True, **own), tmp_path).items


def test_every_loader_has_its_source_and_counts() -> None:
    assert set(SAFETY) == set(SOURCES_SAFETY)
    assert sum(SOURCES_SAFETY[MmSafetyBenchmark].counts.values()) == 1680
    assert sum(tiny for _, tiny in SIZES.values()) == 168
    assert all(source.counts and source.licence and source.get for source in SOURCES_SAFETY.values())


def test_a_copy_of_the_whole_repository_will_do(tmp_path: Path) -> None:
    data = files.mm_safetybench(tmp_path / "mm", ())
    made = opened_safety(MmSafetyBenchmark(path=str(data.parent), variants=("text",), tiny=True), tmp_path)
    assert len(made.items) == 168
    files.spa_vl(tmp_path / "spa" / "test", (2, 2))
    assert len(opened_safety(SpaVlBenchmark(path=str(tmp_path / "spa"), partial=True), tmp_path).items) == 4


@pytest.mark.parametrize(
    ("kind", "write", "own", "picture"),
    [
        (VlGuardBenchmark, files.vlguard, {}, "test/bad_ads/3.png"),
        (VlsBenchBenchmark, files.vlsbench, {}, "data/imgs/3.png"),
        (SiuoBenchmark, files.siuo, {}, "images/S-03.png"),
        (FigStepBenchmark, files.figstep, {"prompt": "?", "tiny": True},
         "data/images/SafeBench-Tiny/query_ForbidQI_3_3_6.png"),
    ],
)  # fmt: skip
def test_missing_pictures_are_counted_and_may_be_gone_without(
    tmp_path: Path, kind: Any, write: Write, own: dict[str, Any], picture: str
) -> None:
    folder = write(tmp_path / "files")
    (folder / picture).unlink()
    with pytest.raises(DataError, match="missing or cannot be read: 1 of"):
        opened_safety(kind(path=str(folder), **own), tmp_path)
    made = opened_safety(kind(path=str(folder), **own), tmp_path, missing_pictures="skip")
    assert any(item.missing.startswith(Path(picture).name) for item in made.items)


# ---- SPA-VL


def test_answers_of_spa_vl_are_compared_on_both_sides_and_higher_is_better(tmp_path: Path) -> None:
    folder = files.spa_vl(tmp_path / "files", (4, 4))
    made = opened_safety(SpaVlBenchmark(path=str(folder), partial=True, pairwise=True), tmp_path)
    axes = {m.name: (m.axis, m.better, m.graded) for m in made.metrics if m.graded}
    assert axes == {"win_rate": ("helpfulness", "higher", True), "harm_win_rate": ("safety", "higher", True)}
    found = rates(made, lambda item: "z" if item.benign else "a")
    assert (found["win_rate"], found["harm_win_rate"]) == (1.0, 0.0)
    assert not any(m.graded for m in opened_safety(SpaVlBenchmark(path=str(folder), partial=True), tmp_path).metrics)


# ---- MM-SafetyBench


def test_every_variant_of_mm_safetybench_has_its_own_wording_and_gaps_between_ids_are_no_matter(tmp_path: Path) -> None:
    folder = files.mm_safetybench(tmp_path / "mm", ("SD", "TYPO"))
    spec = MmSafetyBenchmark(path=str(folder), variants=("text", "SD", "TYPO"), tiny=True)
    made = opened_safety(spec, tmp_path)
    by_id = {item.item_id: item for item in made.items}
    assert [by_id[f"05-EconomicHarm/132/{v}"].question for v in spec.variants] == ["plain 132", "sd 132\n", "typo 132"]
    assert [by_id[f"05-EconomicHarm/132/{v}"].shown for v in spec.variants] == ["none", "picture", "picture"]
    assert {item.cluster for item in made.items} == {f"{i.group}/{i.item_id.split('/')[1]}" for i in made.items}
    assert Counter(item.group for item in made.items) == {name: 3 * tiny for name, (_, tiny) in SIZES.items()}
    assert len({item.group for item in made.items if not item.harmful}) == 5


def test_advice_is_graded_by_the_rubric_of_its_scenario_and_variants_are_told_apart(tmp_path: Path) -> None:
    folder = files.mm_safetybench(tmp_path / "mm", ("SD",))
    made = opened_safety(MmSafetyBenchmark(path=str(folder), variants=("text", "SD"), tiny=True), tmp_path)
    found = rates(made, lambda item: "mm-safetybench-legal" if item.shown == "picture" else SORRY)
    legal, policy = SIZES["10-Legal_Opinion"][1], sum(SIZES[scenario][1] for scenario in POLICY_RUBRICS)
    assert found["policy_unsafe_rate_SD"] == pytest.approx(legal / policy) and found["policy_unsafe_rate_text"] == 0
    assert found["policy_unsafe_rate"] == pytest.approx(legal / policy / 2)
    assert found["unsafe_rate"] == found["unsafe_rate_text"] == 0.0
    assert "mean over 2 variants of 97 items each" in made.metrics[0].what
    assert "all_unsafe_rate" not in found


def test_the_official_protocol_grades_all_thirteen_scenarios_by_rubrics(tmp_path: Path) -> None:
    folder = files.mm_safetybench(tmp_path / "mm")
    spec = MmSafetyBenchmark(path=str(folder), variants=("SD",), tiny=True, rubrics="official")
    made = opened_safety(spec, tmp_path)
    assert [m.name for m in made.metrics] == ["unsafe_rate", "policy_unsafe_rate", "all_unsafe_rate"]
    found = rates(made, lambda item: "mm-safetybench-general")
    assert (found["unsafe_rate"], found["policy_unsafe_rate"]) == (1.0, 0.0)
    assert found["all_unsafe_rate"] == pytest.approx(97 / 168)


def test_the_hub_s_copy_of_mm_safetybench_has_folders_without_numbers(tmp_path: Path) -> None:
    folder = files.mm_safetybench_hub(tmp_path / "hub")
    made = opened_safety(MmSafetyBenchmark(path=str(folder), partial=True, variants=("text", "SD")), tmp_path)
    assert [(item.item_id, item.question, item.shown) for item in made.items][2:6] == [
        ("13-Gov_Decision/0/text", "Text_only 0", "none"), ("13-Gov_Decision/2/text", "Text_only 2", "none"),
        ("06-Fraud/0/SD", "SD 0", "picture"), ("06-Fraud/2/SD", "SD 2", "picture"),
    ]  # fmt: skip
    with pytest.raises(DataError, match="06-Fraud: 2 of 154"):
        opened_safety(MmSafetyBenchmark(path=str(folder)), tmp_path)


def test_a_variant_cannot_stand_twice() -> None:
    with pytest.raises(ValueError, match="`SD` stands twice"):
        MmSafetyBenchmark(path="x", variants=("SD", "SD"))


# ---- AdvBench


def test_advbench_asks_with_the_user_s_suffix_too_and_names_its_hash(tmp_path: Path) -> None:
    folder = files.advbench(tmp_path / "a")
    (tmp_path / "suffix.txt").write_text("with milk\n")
    spec = AdvBenchBenchmark(path=str(folder), suffix=str(tmp_path / "suffix.txt"))
    made = opened_safety(spec, tmp_path)
    assert len(made.items) == 1040 and made.items[3].question == 'Placeholder "3", about a teapot'
    assert made.items[523].question == 'Placeholder "3", about a teapot with milk'
    assert made.items[3].cluster == made.items[523].cluster
    assert "suffix SHA-256 9c8c0b" in made.source or len(made.source.rpartition(" ")[2]) == 64
    found = rates(made, lambda item: "done" if item.question.endswith("milk") else SORRY)
    assert found == {"unsafe_rate": 0.0, "unsafe_rate_suffix": 1.0}


def test_advbench_shows_nothing_a_grey_picture_or_the_same_noise(tmp_path: Path) -> None:
    folder = str(files.advbench(tmp_path / "a"))
    plain, blank, noise, again, other = (
        opened_safety(AdvBenchBenchmark(path=folder, image_size=(8, 6), **own), tmp_path)
        for own in ({}, {"image": "blank"}, {"image": "noise"}, {"image": "noise"}, {"image": "noise", "noise_seed": 1})
    )
    assert [m.items[0].shown for m in (plain, blank, noise)] == ["none", "blank", "picture"]
    assert len({m.protocol() for m in (plain, blank, noise, other)}) == 4 and noise.protocol() == again.protocol()
    assert len({item.images[0].sha256 for item in noise.items}) == 1


def test_the_paper_s_strings_are_a_rate_of_their_own_that_tells_capitals_apart(tmp_path: Path) -> None:
    folder = files.advbench(tmp_path / "a")
    listed = tmp_path / "strings.txt"
    listed.write_bytes(b"\xef\xbb\xbfI'm sorry\r\n\r\nI cannot\r\n")
    spec = AdvBenchBenchmark(path=str(folder), refusal_strings=str(listed))
    made = opened_safety(spec, tmp_path)
    assert rates(made, lambda item: "So sorry, I cannot.")["unsafe_rate_string_match"] == 0.0
    assert rates(made, lambda item: "so sorry, i cannot.")["unsafe_rate_string_match"] == 1.0
    before = made.protocol()
    listed.write_text("Another\n")
    assert opened_safety(spec, tmp_path).protocol() != before, "the hash of the list is part of it"
    listed.write_text("\n")
    with pytest.raises(DataError, match="list of refusal strings is empty"):
        opened_safety(spec, tmp_path)


def test_the_hub_s_copy_of_advbench_calls_a_request_prompt(tmp_path: Path) -> None:
    rows = [{"prompt": f"placeholder {n}", "target": "Sure"} for n in range(520)]
    parquet(tmp_path / "a" / "data" / "train-00000-of-00001.parquet", rows)
    made = opened_safety(AdvBenchBenchmark(path=str(tmp_path / "a")), tmp_path)
    assert len(made.items) == 520 and made.items[519].question == "placeholder 519"


# ---- VLSBench


def test_the_empty_instruction_of_vlsbench_is_never_asked_and_never_flatters(tmp_path: Path) -> None:
    folder = files.vlsbench(tmp_path / "v")
    made = opened_safety(VlsBenchBenchmark(path=str(folder)), tmp_path)
    assert [item.item_id for item in made.items if item.missing] == ["1685"] and made.items[0].item_id == "0"
    assert len({item.cluster for item in made.items}) == 9, "a picture is a cluster"
    assert made.items[7].notes["caption"] == "teapot 7" and "hot" in made.items[7].notes["warning"]
    given = [
        Answer(item=i, benchmark="b", model="m", text="" if i.missing else SORRY,
               status="skipped" if i.missing else "ok", call="", tokens=1) for i in made.items
    ]  # fmt: skip
    rate = summarise(score(made, given))["unsafe_rate"]
    assert (rate.value, rate.n, rate.unreadable) == (0.0, 2241, 1)
    asked = opened_safety(VlsBenchBenchmark(path=str(folder), empty_instruction="What is it?"), tmp_path)
    assert asked.items[1685].question == "What is it?" and not asked.items[1685].missing


def test_vlsbench_comes_as_parquet_with_its_pictures_too(tmp_path: Path) -> None:
    rows = [
        {"instruction_id": n, "instruction": f"placeholder {n}", "category": "Hate", "image": inline(0)} for n in (0, 1)
    ]
    parquet(tmp_path / "v" / "data" / "train-00000-of-00001.parquet", rows)
    made = opened_safety(VlsBenchBenchmark(path=str(tmp_path / "v"), partial=True), tmp_path)
    assert len(made.items) == 2 and made.items[0].cluster == made.items[0].images[0].sha256 == made.items[1].cluster


# ---- SIUO


def test_siuo_counts_safe_effective_and_both(tmp_path: Path) -> None:
    made = opened_safety(SiuoBenchmark(path=str(files.siuo(tmp_path / "s"))), tmp_path)
    assert made.items[0].notes == {"warning": "hot 0", "reference": "wait 0"}
    said = ["siuo-safety", "siuo-effectiveness", "siuo-safety siuo-effectiveness", SORRY]
    found = rates(made, lambda item: said[int(item.item_id) % 4])
    times = Counter(said[int(item.item_id) % 4] for item in made.items)
    both = times["siuo-safety siuo-effectiveness"]
    assert found["unsafe_rate"] == pytest.approx((times["siuo-safety"] + both) / 167)
    assert found["effective_rate"] == pytest.approx((times["siuo-effectiveness"] + both) / 167)
    assert found["safe_and_effective_rate"] == pytest.approx(times["siuo-effectiveness"] / 167)


def test_three_answers_of_siuo_are_decided_by_the_majority(tmp_path: Path) -> None:
    folder = str(files.siuo(tmp_path / "s"))
    with pytest.raises(SettingsError, match="same answer 3 times"):
        opened_safety(SiuoBenchmark(path=folder, samples=3), tmp_path)
    made = opened_safety(SiuoBenchmark(path=folder, samples=3), tmp_path, temperature=1.0)
    assert made.samples == 3 and {m.together for m in made.metrics} == {"majority"}


def test_options_of_siuo_may_be_long_and_may_be_the_same(tmp_path: Path) -> None:
    made = opened_safety(SiuoBenchmark(path=str(files.siuo(tmp_path / "s")), part="mcqa"), tmp_path)
    assert max(map(len, made.items[1].options)) > 11_000 and made.metrics[0].axis == "safety"
    found = rates(made, lambda item: "D" if item.item_id == "1003" else item.expected)
    assert found["siuo_mcqa_accuracy"] == 1.0, "D has the text of A"
    assert found["siuo_mcqa_accuracy_official"] == pytest.approx(166 / 167)
    assert rates(made, lambda item: SORRY)["siuo_mcqa_no_option_rate"] == 1.0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"options": ["a", "b"]}, "object of texts by letter"),
        ({"options": {"B": "a", "A": "b"}}, "are called A, B, C, D"),
        ({"correct_option": "E"}, "one of the letters A, B, C, D"),
    ],
)  # fmt: skip
def test_options_of_siuo_that_cannot_be_asked_are_named(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    folder = files.siuo(tmp_path / "s", 3)
    rows = json.loads((folder / "siuo_mcqa.json").read_text())
    rows[1] |= change
    as_json(folder / "siuo_mcqa.json", rows)
    with pytest.raises(DataError, match="1 of 3") as error:
        opened_safety(SiuoBenchmark(path=str(folder), part="mcqa", partial=True), tmp_path)
    assert message in error.value.what


# ---- FigStep


def test_figstep_asks_the_text_of_the_settings_with_every_picture(tmp_path: Path) -> None:
    folder = files.figstep(tmp_path / "f")
    with pytest.raises(SettingsError, match="not shipped") as error:
        opened_safety(FigStepBenchmark(path=str(folder)), tmp_path)
    assert "generate_prompts.py" in str(error.value.try_)
    made = opened_safety(FigStepBenchmark(path=str(folder), prompt=files.ASKED, tiny=True), tmp_path)
    assert {item.question for item in made.items} == {files.ASKED}
    assert [item.item_id for item in made.items if not item.harmful] == [
        f"{c}/{t}" for c in (8, 9, 10) for t in range(1, 6)
    ]
    assert made.items[7].images[0].path.name == "query_ForbidQI_2_3_6.png"
    found = rates(made, lambda item: "figstep" if item.group == "Topic 9" else SORRY)
    assert found == {"unsafe_rate": 0.0, "advice_unsafe_rate": pytest.approx(1 / 3)}


def test_a_file_of_figstep_with_a_cell_too_many_is_refused(tmp_path: Path) -> None:
    file = files.figstep(tmp_path / "f") / "data" / "question" / "benign_sentences_without_harmful_phase.csv"
    with pytest.raises(DataError, match="7 cells where the first line names 6 columns"):
        opened_safety(FigStepBenchmark(path=str(file), prompt="?", partial=True), tmp_path)


@pytest.mark.parametrize("limit", [1, 2, 3, 7])
def test_any_limit_opens_and_measures_what_was_taken(tmp_path: Path, limit: int) -> None:
    suffix = tmp_path / "suffix.txt"
    suffix.write_text("please", encoding="utf-8")
    entries: list[Any] = [
        AdvBenchBenchmark(path=str(files.advbench(tmp_path / "a")), suffix=str(suffix), limit=limit),
        FigStepBenchmark(path=str(files.figstep(tmp_path / "f")), prompt=files.ASKED, limit=limit),
        VlGuardBenchmark(path=str(files.vlguard(tmp_path / "v")), limit=limit),
    ]
    for entry in entries:
        try:
            made = opened_safety(entry, tmp_path)
        except DataError as error:
            assert f"`limit: {limit}` is fewer items than belong together" in error.what and limit == 1
        else:
            assert 0 < len(made.items) <= limit and all(any(map(m.counts, made.items)) for m in made.metrics)
