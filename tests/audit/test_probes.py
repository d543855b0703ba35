"""Probes find what was planted: verdicts that need no picture, and verdicts that hang on the words of the prompt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from spavl.audit.finding import Finding, weighed
from spavl.audit.probe_sample import Sampled, partners, sampled_pairs
from spavl.audit.probes import OWN, Probed, ProbeKind, probed
from spavl.audit.probes import finding_of as not_yet_weighed
from spavl.errors import DataError
from spavl.models.base import Prompt, Reply
from tests.audit.pairs import Says, asking, dataset, judge, row, verdict


def finding_of(probe: Probed) -> Finding:
    """The finding of a probe that is all of an audit."""
    (found,) = weighed([not_yet_weighed(probe)])
    return found


def found(folder: Path, kind: ProbeKind, says: Says, *, count: int = 60, judged: str = "combined") -> Probed:
    """What a probe finds of sixty pairs."""
    data = dataset(folder, [row(n) for n in range(60)])
    pictures = folder / "pictures"
    sample = sampled_pairs(data, count, seed=0, pictures=pictures, with_pictures=kind == "necessity")
    return probed(kind, judge(judged), sample, ask=asking(says), pictures=pictures)


def number_of(prompt: Prompt) -> int:
    """Which request is asked about."""
    return int(prompt.fields["question"].split()[1])


def test_pairs_whose_verdict_is_the_same_whatever_is_shown_need_no_picture(tmp_path: Path) -> None:
    def says(prompt: Prompt, first: bool) -> str:
        sees = prompt.item == f"picture-{number_of(prompt)}"
        return verdict(first) if sees or number_of(prompt) < 30 else "[[C]]"

    probe = found(tmp_path, "necessity", says)
    assert list(probe.replies) == [OWN, "none", "blank", "shuffled"]
    assert sorted(probe.pairs) == list(range(30))
    finding = finding_of(probe)
    assert (finding.kind, finding.weight, finding.pairs) == ("text_only", "fault", 30)
    assert finding.rate is not None and finding.rate.value == 0.5 and finding.rate.low < 0.5 < finding.rate.high


def test_a_verdict_that_another_picture_turns_round_needs_it(tmp_path: Path) -> None:
    finding = finding_of(
        found(tmp_path, "necessity", lambda p, first: verdict(first == (p.item == f"picture-{number_of(p)}")))
    )
    assert (finding.weight, finding.pairs) == ("note", 0)


def test_what_the_judge_does_not_decide_with_the_picture_does_not_count(tmp_path: Path) -> None:
    probe = found(tmp_path, "necessity", lambda p, first: "[[A]]" if number_of(p) < 20 else verdict(first))
    assert probe.rate().n == 40 and "20 pairs more it does not decide" in finding_of(probe).what


def test_a_judge_that_cannot_be_asked_without_a_picture_is_judged_by_the_rest(tmp_path: Path) -> None:
    def ask(doing: str, prompts: Sequence[Prompt]) -> list[Reply]:
        if not prompts[0].images:
            return [Reply("", status="invalid", detail="a picture is needed")] * len(prompts)
        return asking(lambda p, first: verdict(first))(doing, prompts)

    data = dataset(tmp_path, [row(n) for n in range(20)])
    sample = sampled_pairs(data, 20, seed=0, pictures=tmp_path / "p", with_pictures=True)
    probe = probed("necessity", judge(), sample, ask=ask, pictures=tmp_path / "p")
    assert list(probe.replies) == [OWN, "blank", "shuffled"]
    assert "Left out is `none`: 20 of 20 pairs got no verdict" in finding_of(probe).what

    def raising(doing: str, prompts: Sequence[Prompt]) -> list[Reply]:
        if doing.endswith(OWN):
            return asking(lambda p, first: verdict(first))(doing, prompts)
        raise DataError("There is no picture")

    probe = probed("necessity", judge(), sample, ask=raising, pictures=tmp_path / "p")
    assert finding_of(probe).weight == "note" and "is not known" in finding_of(probe).what


def test_failed_and_unreadable_verdicts_are_counted_and_are_no_ties(tmp_path: Path) -> None:
    probe = found(tmp_path, "wording", lambda p, first: "hm" if number_of(p) < 6 else verdict(first))
    rate = probe.rate()
    assert (rate.value, rate.n, rate.unreadable) == (0.0, 60, 6) and rate.high > 0.1
    assert "36 verdicts cannot be read" in finding_of(probe).what


@pytest.mark.parametrize(("kind", "both"), [("combined", 1), ("two-axis", 2), ("helpful", 1)])
def test_verdicts_that_hang_on_the_words_of_the_prompt_are_found(tmp_path: Path, kind: str, both: int) -> None:
    own = judge(kind).template.text[:40]

    def says(prompt: Prompt, first: bool) -> str:
        said = verdict(first == (number_of(prompt) >= 24 or prompt.text.startswith(own)))
        return f"harmlessness: {said}\nhelpfulness: {said}" if both == 2 else said

    probe = found(tmp_path, "wording", says, judged=kind)
    finding = finding_of(probe)
    assert sorted(probe.pairs) == list(range(24)) and len(probe.replies) == 3
    assert (finding.kind, finding.weight) == ("wording_flips", "fault")
    assert "in 24 of them it names the one answer and then the other" in finding.what


def test_a_judge_that_holds_to_the_answers_raises_nothing(tmp_path: Path) -> None:
    finding = finding_of(found(tmp_path, "wording", lambda p, first: verdict(first)))
    assert finding.weight == "note" and finding.rate is not None and finding.rate.value == 0.0 and not finding.try_


def test_the_sample_has_of_every_subject_its_share_and_is_the_same_again(tmp_path: Path) -> None:
    rows = [row(n, class3="weapon" if n < 30 else "theft" if n < 40 else "hate") for n in range(80)]
    data = dataset(tmp_path, [*rows, row(80, image=None), row(81, chosen="")])

    def sampled(seed: int) -> list[Sampled]:
        return sampled_pairs(data, 16, seed=seed, pictures=tmp_path / "p", with_pictures=True)

    sample = sampled(3)
    by_subject = [sum(one.subject == name for one in sample) for name in ("weapon", "theft", "hate")]
    assert sum(by_subject) == 16 and all(abs(n - m) <= 1 for n, m in zip(by_subject, (6, 2, 8), strict=True))
    assert [one.number for one in sample] == [one.number for one in sampled(3)]
    assert [one.number for one in sample] != [one.number for one in sampled(4)]
    assert all((tmp_path / "p" / image.sha256).is_file() for one in sample for image in one.exchange.images)


def test_shuffled_pictures_are_of_another_subject_and_of_the_other_kind_where_there_is_one(tmp_path: Path) -> None:
    data = dataset(tmp_path, [row(n, benign=n % 8 < 3) for n in range(32)])
    sample = sampled_pairs(data, 32, seed=0, pictures=tmp_path / "p", with_pictures=True)
    for one, other in zip(sample, partners(sample), strict=True):
        assert other is not None and other.subject != one.subject and other.benign is not one.benign
    assert partners([replace(one, subject="hate") for one in sample[:3]]) == [None] * 3, "no subject but its own"


def test_what_a_probe_asks_is_what_the_dataset_was_judged_with(tmp_path: Path) -> None:
    """Equal prompts have equal keys, so that a run's own verdicts are found in its call store."""
    from spavl.records import Match
    from tests import samples

    data = dataset(tmp_path, [row(0)])
    (one,) = sampled_pairs(data, 1, seed=0, pictures=tmp_path / "p", with_pictures=True)
    picture = one.exchange.images[0]
    query = replace(samples.query(samples.image("picture-0")), question="request 0", images=(picture,))
    match: Match = samples.match(query, a_response="better answer 0", b_response="worse answer 0")
    asked, probe = (
        judge().prompt(match, "ab", folder=tmp_path),
        judge().prompt_between(one.exchange, one.rejected, "ab"),
    )
    assert (asked.text, asked.item, asked.fields) == (probe.text, probe.item, probe.fields)
    assert [image.sha256 for image in asked.images] == [image.sha256 for image in probe.images]
