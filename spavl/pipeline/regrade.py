"""Stored answers under any guard: graded again without a model answering, and guards compared on the same answers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import combinations
from pathlib import Path
from typing import Any

import pyarrow as pa

from spavl.errors import DataError, RunError, SettingsError
from spavl.evaluate.benchmark import Axis
from spavl.evaluate.guard_scorer import GuardScorer, Tells
from spavl.evaluate.run import Scored, by_group, summarise
from spavl.evaluate.scorer import DECLINED, FAILED, Answer, AnswerVerdict
from spavl.evaluate.stored_answers import StoredAnswer, stored_answers
from spavl.judging.guard import open_guard
from spavl.judging.kinds import Verdict
from spavl.pipeline.benchmark_tools import guard_scorer
from spavl.pipeline.judging import guard_spec
from spavl.pipeline.report_tables import measured_metrics, tables_of
from spavl.pipeline.session import Session
from spavl.statistics.intervals import Outcome, Rate
from spavl.statistics.raters import RaterAgreement, rater_agreement
from spavl.tables import FORMAT, write_arrow

SETTING = "--guard"
"""What names a guard, for messages."""
AS_SCORED = "(as scored)"
"""Stands for what the evaluation itself found, in comparisons with the guards; no guard can have this name."""
EXAMPLES = 5
"""Most ids that are named where two guards differ."""
_RATE = "rate"
_AXES: Mapping[Verdict, Axis] = {"safety": "safety", "refusal": "over-refusal"}
"""Which metrics' answers a guard grades, by what it tells."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Regrade:
    """One model's answers to one benchmark under one guard."""

    guard: str
    """Label of the guard."""
    model: str
    """Name of the model that answered."""
    benchmark: str
    """Name of the benchmark."""
    tells: Tells
    """`safety`: the rate is of unsafe answers. `refusal`: of refusals."""
    scorer: str
    """Id of the scorer, which names all that decides its grades."""
    rate: Rate
    """Share of True."""
    groups: Mapping[str, Rate]
    """The same by group of the items."""
    statuses: Mapping[str, int]
    """Verdicts by what became of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """How far two guards agree on the same answers, and where they differ."""

    first: str
    """Label of a guard, or what stands for the evaluation's own verdicts."""
    second: str
    """Label of the other."""
    model: str
    """Name of the model that answered."""
    benchmark: str
    """Name of the benchmark."""
    agreement: RaterAgreement
    """Raw, and Cohen's κ."""
    groups: Mapping[str, int]
    """Answers on which they differ by group, the most first."""
    items: tuple[str, ...]
    """Ids of a few of them."""


@dataclass(slots=True)
class Regraded:
    """All grades of one command."""

    grades: list[Regrade] = field(default_factory=list)
    """By guard, model and benchmark."""
    differences: list[Difference] = field(default_factory=list)
    """Every two guards on the same answers, the evaluation's own verdicts among them."""
    folder: Path = Path()
    """Where the tables of grades are."""
    failed: int = 0
    """Calls that failed; they are made again next time."""
    lost: tuple[str, ...] = ()
    """What became of calls without an answer, a line each."""
    too_unread: tuple[str, ...] = ()
    """A sentence for every guard and table of which more verdicts are unread than `evaluate.most_unread` allows."""


def regrade(session: Session, guards: Sequence[str]) -> Regraded:
    """Grade the stored answers of a run by guards; tables and rates are kept in the run folder.

    Args:
        session: the settings, and the run folder that holds the evaluation.
        guards: labels of guards, or of models.

    Raises:
        RunError: nothing was evaluated in the run yet.
        SettingsError: no guard is named, there is none of a name, or it tells nothing that is graded here.
        DataError: no answer of the run is one that the guards grade.
    """
    if not guards:
        raise SettingsError("No guard is named", where=SETTING, try_="spavl grade RUN --guard NAME")
    manifest = session.run.found().manifest()
    if not manifest.get("models"):
        raise RunError("Nothing was evaluated in this run yet", where=str(session.run.folder),
                       try_="run `spavl evaluate` first")  # fmt: skip
    scorers = {name: _scorer(session, name) for name in dict.fromkeys(guards)}
    found = Regraded(folder=session.run.folder / "regraded")
    with session.stage("grade again") as counts:
        for benchmark in manifest["benchmarks"]:
            for model, table in tables_of(session.run, list(manifest["models"]), benchmark).items():
                _grade_table(session, _Table(manifest, model, benchmark, table), scorers, found)
        counts["graded"] = sum(one.rate.n for one in found.grades)
    if not found.grades:
        raise DataError("No stored answer is one that these guards grade", where=str(session.run.folder),
                        try_="evaluate a benchmark of safety or over-refusal first")  # fmt: skip
    found.too_unread = tuple(_faults(found.grades, session.settings.evaluate.most_unread))
    found.failed, found.lost = session.lost.failed, tuple(session.lost.lines())
    _note(session, found)
    return found


def _faults(grades: Sequence[Regrade], most: float) -> list[str]:
    return [
        f"{one.guard} on {one.model}, {one.benchmark}: {one.rate.unreadable:,} of {one.rate.n:,} verdicts are unread, "
        f"and `evaluate.most_unread` allows {100 * most:g} %"
        for one in grades if one.rate.unreadable > most * one.rate.n
    ]  # fmt: skip


def _scorer(session: Session, name: str) -> GuardScorer:
    """The scorer by a guard: of unsafe answers where it tells them, else of refusals."""
    guard = open_guard(guard_spec(session.settings, name, SETTING), allow_code=session.allow_code)
    return guard_scorer(session, name, SETTING, tells="safety" if "safety" in guard.tells else "refusal")


@dataclass(frozen=True, slots=True)
class _Table:
    manifest: Mapping[str, Any]
    model: str
    benchmark: str
    path: Path

    def metrics(self, tells: Tells) -> dict[str, bool]:
        """Metrics whose answers a guard grades, the headline first; none of them is graded."""
        axis = _AXES["refusal" if tells == "refusal" else "safety"]
        own = [m for m in measured_metrics(self.manifest) if m.benchmark == self.benchmark and m.axis == axis]
        return {metric.name: False for metric in own if metric.better == "lower" and not metric.graded}


def _grade_table(
    session: Session, table: _Table, scorers: Mapping[str, GuardScorer], found: Regraded
) -> None:  # fmt: skip
    said: dict[str, dict[str, Outcome]] = {}
    answers: dict[str, Answer] = {}
    for name, scorer in scorers.items():
        metrics = table.metrics(scorer.tells)
        stored = [one for one in stored_answers(table.path, session.run.folder, metrics) if one.outcomes]
        if not stored:
            continue
        verdicts = _verdicts(scorer, [one.answer for one in stored])
        scored = _scored(stored, verdicts)
        write_arrow(found.folder / name / table.model / f"{table.benchmark}.parquet", _as_table(scored))
        found.grades.append(_regrade(name, scorer, table, scored, session.settings.evaluate.level))
        answers |= {s.answer.item.item_id: s.answer for s in scored}
        said[name] = {s.answer.item.item_id: s.outcomes[_RATE] for s in scored}
        said.setdefault(AS_SCORED, {}).update(_as_scored(stored))
    found.differences += [_difference(table, answers, pair, said) for pair in combinations(said, 2)]


def _verdicts(scorer: GuardScorer, answers: Sequence[Answer]) -> list[AnswerVerdict]:
    """One verdict an answer; what the service itself declined is a refusal and safe, and a failed call is unread."""
    refused = scorer.tells == "refusal"
    found = [AnswerVerdict(outcome=refused if a.status in DECLINED else None, status=a.status) for a in answers]
    asked = [place for place, a in enumerate(answers) if a.status not in (*DECLINED, *FAILED)]
    for place, verdict in zip(asked, scorer.score([answers[place] for place in asked]), strict=True):
        found[place] = verdict
    return found


def _scored(stored: Sequence[StoredAnswer], verdicts: Sequence[AnswerVerdict]) -> list[Scored]:
    return [
        Scored(answer=one.answer, outcomes={_RATE: verdict.outcome}, verdicts={_RATE: verdict})
        for one, verdict in zip(stored, verdicts, strict=True)
    ]


def _as_scored(stored: Sequence[StoredAnswer]) -> dict[str, Outcome]:
    """What the evaluation found by id of the item: the outcome of the first metric in which that counts."""
    return {one.answer.item.item_id: next(iter(one.outcomes.values())) for one in stored}


def _regrade(name: str, scorer: GuardScorer, table: _Table, scored: Sequence[Scored], level: float) -> Regrade:
    groups = by_group(scored, _RATE, level=level)
    return Regrade(
        guard=name, model=table.model, benchmark=table.benchmark, tells=scorer.tells, scorer=scorer.id,
        rate=summarise(scored, level=level)[_RATE], groups={group: rate for group, rate in groups.items() if group},
        statuses=dict(sorted(Counter(s.verdicts[_RATE].status for s in scored).items())),
    )  # fmt: skip


def _difference(
    table: _Table, answers: Mapping[str, Answer], pair: tuple[str, str], said: Mapping[str, Mapping[str, Outcome]]
) -> Difference:
    first, second = (said[name] for name in pair)
    both = [item for item in first if item in second]
    differ = [item for item in both if None not in (first[item], second[item]) and first[item] != second[item]]
    groups = Counter(answers[item].item.group for item in differ)
    return Difference(
        first=pair[0], second=pair[1], model=table.model, benchmark=table.benchmark, items=tuple(differ[:EXAMPLES]),
        agreement=rater_agreement(Counter((first[item], second[item]) for item in both)),
        groups=dict(groups.most_common()),
    )  # fmt: skip


_SCHEMA = pa.schema(
    [
        ("item_id", pa.string()), ("group", pa.string()), ("is_true", pa.bool_()), ("status", pa.string()),
        ("detail", pa.string()), ("outcome", pa.string()), ("severity", pa.int8()), ("category", pa.string()),
        ("calls", pa.list_(pa.string())),
    ],
    metadata={"spavl": FORMAT, "record": "Regrade"},
)  # fmt: skip
"""A row an answer: the guard's outcome, what became of the call, and the whole grade."""


def _as_table(scored: Sequence[Scored]) -> pa.Table:
    rows = []
    for s in scored:
        verdict, grade = s.verdicts[_RATE], s.verdicts[_RATE].grade
        rows.append({
            "item_id": s.answer.item.item_id, "group": s.answer.item.group, "is_true": verdict.outcome,
            "status": verdict.status, "detail": verdict.detail, "calls": list(verdict.calls),
            "outcome": grade.outcome if grade else None, "severity": grade.severity if grade else None,
            "category": grade.category if grade else "",
        })  # fmt: skip
    return pa.Table.from_pylist(rows, schema=_SCHEMA)


def _note(session: Session, found: Regraded) -> None:
    """Put the grades into `run.json`; those of guards that were not asked now stay."""
    before = session.run.manifest().get("regraded", {})
    grades = {**before.get("guards", {})}
    for name in {one.guard for one in found.grades}:
        grades[name] = [asdict(one) for one in found.grades if one.guard == name]
    session.run.replace(
        regraded={"guards": grades, "differences": [asdict(one) for one in found.differences]}
    )  # fmt: skip
