"""Findings of judges: a planted bias is named with its interval, a steady judge raises nothing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from spavl.audit.finding import Finding, weighed
from spavl.audit.judges import judge_findings as not_yet_weighed
from spavl.records import Judgment, Winner
from tests import samples
from tests.audit.test_judge_tables import judged, table, world_matches


def judge_findings(tables: list[Path]) -> list[Finding]:
    """The findings of judges that are all of an audit."""
    return weighed(not_yet_weighed(tables))


def of_kind(findings: list[Finding], kind: str) -> Finding:
    """The finding of a kind about the whole judge."""
    (found,) = (one for one in findings if one.kind == kind and "," not in one.subject)
    return found


@pytest.mark.parametrize("last", [False, True])
def test_a_position_bias_of_80_percent_is_a_fault_whichever_place_gains(tmp_path: Path, last: bool) -> None:
    swap: dict[Winner | None, Winner | None] = {"a": "b", "b": "a", "tie": "tie", None: None}
    judgments = judged(world_matches(600), position_bias=0.8, error=0.0)
    shown = [replace(j, winner=swap[j.winner]) for j in judgments] if last else judgments
    findings = judge_findings([table(tmp_path, shown)])
    bias = of_kind(findings, "position_bias")
    assert bias.weight == "fault" and bias.rate is not None and bias.rate.low <= 0.8 <= bias.rate.high
    assert ("shown last gains" if last else "shown first gains") in bias.what
    assert of_kind(findings, "swap_consistency").weight == "fault"
    assert any(one.kind == "position_bias" and "Security threats" in one.subject for one in findings)


def test_a_steady_judge_raises_nothing(tmp_path: Path) -> None:
    findings = judge_findings([table(tmp_path, judged(world_matches(600), position_bias=0.0, error=0.02))])
    assert {one.kind for one in findings} == {"unreadable_verdicts", "swap_consistency", "position_bias"}
    assert all(one.weight == "note" and not one.try_ for one in findings)
    bias = of_kind(findings, "position_bias").rate
    assert bias is not None and bias.low == 0.0 < bias.high


def test_judges_that_disagree_are_named_with_an_interval_over_pictures(tmp_path: Path) -> None:
    matches = [
        samples.match(samples.query(samples.image(f"weapon/{n // 4}")), match_id=f"weapon/{n // 4}/{n}")
        for n in range(120)
    ]  # fmt: skip
    one = [samples.judgment(m, order, "a") for m in matches for order in ("ab", "ba")]
    other = [
        samples.judgment(m, order, "a" if m.query.image.image_id.endswith(("1", "2")) else "b")
        for m in matches for order in ("ab", "ba")
    ]  # fmt: skip
    tables = [table(tmp_path, one, "one"), table(tmp_path, other, "two")]
    same = of_kind(judge_findings(tables), "judge_agreement")
    assert same.rate is not None and same.rate.n == 120
    alone = 0.25  # the half width of thirty pictures, not of 120 matches, is about this
    assert same.weight == "fault" and same.subject == "one and two" and same.rate.high - same.rate.low > alone


def test_a_judge_that_answers_nothing_readable_is_a_fault_and_one_without_replies_is_told(tmp_path: Path) -> None:
    judgments = [samples.judgment(m, order, None) for m in world_matches(30) for order in ("ab", "ba")]
    unread = [replace(j, judgment_status="unreadable") for j in judgments]
    (found,) = judge_findings([table(tmp_path, unread)])
    assert (found.kind, found.weight) == ("unreadable_verdicts", "fault")
    failed: list[Judgment] = [replace(j, judgment_status="failed") for j in judgments]
    (found,) = judge_findings([table(tmp_path, failed, "two")])
    assert found.rate is None and "60 calls brought no whole reply" in found.what
    assert judge_findings([]) == []
