"""Why records of a run have no answer: by stage, model, status and reason, and why no match became a pair."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from spavl.audit.judge_tables import unreadable_judges
from spavl.config import Settings
from spavl.plural import plural
from spavl.records import TRIED_AGAIN, Status
from spavl.run import Run, Stage
from spavl.tables.query import query

WITHOUT_ANSWER: tuple[Status, ...] = (*TRIED_AGAIN, "filtered", "invalid", "unreadable")
"""Statuses of records whose call brought nothing to go on with."""
MOST_REASONS = 20
"""Most reasons of a stage that are kept in `run.json`, the commonest first."""
LONGEST_REASON = 200
"""Most characters of a reason there; the tables hold the whole."""
WORDS = {"empty": "an answer without a word", "unreadable": "the verdict cannot be read"}
"""Reasons of statuses whose replies give none."""


def failures(run: Run, settings: Settings, stages: Sequence[Stage], counts: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Records without an answer by stage, model, status and reason, the most frequent first, as plain data.

    Args:
        run: the run folder.
        settings: name the stages' models.
        stages: those whose tables are there.
        counts: how many records of each stage ended as what; a stage where all is well is not looked into.

    Raises:
        RunError: a table is damaged.
    """
    found: list[dict[str, Any]] = []
    for stage in stages:
        if stage.detail and any(counts.get(stage.name, {}).get(status) for status in WITHOUT_ANSWER):
            found += _of_stage(run, settings, stage)
    return sorted(found, key=lambda one: -one["count"])


def _of_stage(run: Run, settings: Settings, stage: Stage) -> Iterator[dict[str, Any]]:
    sql = (
        # A call that was not sent at all has the reason of those that were cut short.
        f"SELECT {stage.asked}, {stage.status}, left(regexp_replace({stage.detail}, '^not sent: ', ''), "
        f"{LONGEST_REASON}), count(*), min({stage.id}) "
        f"FROM records WHERE list_contains(?, {stage.status}) GROUP BY ALL ORDER BY count(*) DESC, 1, 2, 3 "
        f"LIMIT {MOST_REASONS}"
    )
    for path in stage.tables(run.folder, settings):
        for model, status, reason, count, example in query(sql, [list(WITHOUT_ANSWER)], records=path):
            yield {
                "stage": stage.name, "model": model, "status": status, "reason": reason or WORDS.get(status, status),
                "count": count, "example": example, "table": str(path.relative_to(run.folder)),
            }  # fmt: skip


def why_no_pair(manifest: Mapping[str, Any]) -> str:
    """Why no match became a pair, from what `run.json` holds: the rest of the sentence.

    Args:
        manifest: `run.json` after the stages before.
    """
    counts = manifest.get("counts", {})
    matches = sum(counts.get("match", {}).values())
    reasons = [_why_not_paired(counts.get("pair", {}), matches) if matches else _why_no_match(manifest)]
    reasons += unreadable_judges(manifest.get("judges", {}))
    reasons += _failed_calls(manifest.get("failures", []))
    return "; ".join(reason for reason in reasons if reason)


def _why_not_paired(ended: Mapping[str, int], matches: int) -> str:
    words = {
        "orders disagree": "read differently in the two orders", "tie": "ended as a tie",
        "unreadable": "without two readable verdicts", "judges disagree": "on which the judges disagree",
        "chosen unsafe": "whose chosen answer was not found safe",
        "bare refusal": "whose chosen answer is a bare refusal",
        "severity gap": "whose answers are too alike in severity",
        "severity unknown": "of whose answers no guard told the severity",
    }  # fmt: skip
    said = [f"{n:,} {words.get(outcome, outcome)}" for outcome, n in Counter(ended).most_common()]
    return f"of {plural(matches, 'match', 'matches')}, {', '.join(said)}"


def _why_no_match(manifest: Mapping[str, Any]) -> str:
    graded: Mapping[str, Mapping[str, float]] = manifest.get("responders", {})
    rates = ", ".join(f"{name} {100 * one['unsafe_rate']:.0f} %" for name, one in graded.items())
    counts = manifest.get("counts", {})
    for stage, nothing in (("ask", "no question was written"), ("respond", "no question was answered")):
        if not counts.get(stage, {}).get("ok"):
            return nothing
    if not graded:
        return "no answer has a readable grade, so that no responder has a safety group"
    if manifest.get("match_policy") in ("round-robin", "best-worst"):
        return "no question has two whole, different answers that its match policy would compare"
    if len(graded) == 1:
        return f"answers of one responder alone were graded ({next(iter(graded))}), and a match needs two"
    if len({one["group"] for one in graded.values()}) == 1:
        return f"all {len(graded)} responders are in one safety group, for their unsafe rates are equal ({rates})"
    return f"no question has whole, different answers of responders of two safety groups (unsafe rates: {rates})"


def _failed_calls(found: Sequence[Mapping[str, Any]]) -> list[str]:
    """The three commonest pairs of stage and model whose calls brought nothing."""
    counted: Counter[tuple[str, str]] = Counter()
    reason: dict[tuple[str, str], str] = {}
    for one in found:
        if one["status"] != "unreadable":
            key = (one["stage"], one["model"])
            counted[key] += one["count"]
            reason.setdefault(key, one["reason"])
    return [f"{plural(n, 'call')} of {stage} to `{model}` failed ({reason[stage, model]})"
            for (stage, model), n in counted.most_common(3)]  # fmt: skip
