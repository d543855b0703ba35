"""All that is known of one pair: its question, all answers to it, the verdicts, what people said, the findings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from spavl.errors import SpavlError
from spavl.labels.exchange import DATABASE
from spavl.labels.look import labels_of_item
from spavl.labels.record import Label
from spavl.pipeline.audit_files import FINDINGS, FOLDER
from spavl.pipeline.report_tables import may_harm
from spavl.records import Judgment, PreferencePair, Response
from spavl.run import Run
from spavl.serve.pairs import PairShown
from spavl.tables import Record, read_rows_near
from spavl.tables.kept import KeptDatabase
from spavl.tables.query import query

FOUND = "SELECT DISTINCT kind, detail, score FROM findings WHERE pair_id = ? ORDER BY score DESC, kind"


@dataclass(frozen=True, slots=True, kw_only=True)
class VerdictShown:
    """A judge's verdict on the two answers of a pair, in one reading order."""

    judge: str
    """Name of the judge."""
    order: str
    """Which answer it read first: `chosen first` or `rejected first`."""
    better: str
    """`chosen`, `rejected`, `tie`, or what became of a call without a verdict."""
    reason: str
    """All that it said; it may quote harmful answers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerShown:
    """An answer to the question of a pair."""

    response: Response
    """The answer."""
    role: str
    """`chosen`, `rejected`, or empty."""
    closed: bool
    """Whether it may do harm."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PairDetails:
    """A pair with all that is known of it."""

    shown: PairShown
    """The pair as in the list."""
    record: PreferencePair
    """The pair."""
    answers: Sequence[AnswerShown]
    """All answers to its question, its own two first."""
    verdicts: Sequence[VerdictShown]
    """Of every judge, in both reading orders."""
    labels: Sequence[tuple[str, Label]]
    """Name of the review, and what a person said in it."""
    findings: Sequence[tuple[str, str, float]]
    """Kind, detail and score of what an audit suspects."""
    others: Sequence[Mapping[str, Any]]
    """Rows of other pairs about its picture."""

    @property
    def is_closed(self) -> bool:
        """Whether anything on its page is closed."""
        return self.shown.is_closed or any(one.closed for one in self.answers) or any(
            one["harmful"] for one in self.others)  # fmt: skip


def pair_details(run: Run, index: KeptDatabase, shown: PairShown) -> PairDetails:
    """A pair with all that is known of it.

    Args:
        run: the run folder.
        index: of its pairs.
        shown: the pair.

    Raises:
        RunError: a table of the run is missing or damaged.
    """
    pair_id, query_id = shown.row["pair_id"], shown.row["query_id"]
    slices, place = _slice_of(index, shown.row["number"])

    def rows(path: Path, kind: type[Record], column: str, value: str) -> list[Any]:
        """The records about something: looked for in the slice of the pair, where the table has the same slices."""
        return read_rows_near(path, kind, column, value, number=place, slices=slices) if path.is_file() else []

    (record, *_) = rows(run.last_pairs, PreferencePair, "pair_id", pair_id)
    answers = rows(run.responses, Response, "query_id", query_id)
    judgments = [one for table in run.judgment_tables for one in rows(table, Judgment, "match_id", pair_id)]
    return PairDetails(
        shown=shown, record=record, answers=_answers(record, answers),
        verdicts=[_verdict(one, record) for one in judgments], labels=list(_labels(run, pair_id)),
        findings=_findings(run, pair_id),
        others=index.rows("SELECT pair_id, question, question_type, chosen_source, rejected_source, harmful FROM pairs "
                          "WHERE image_id = ? AND pair_id <> ? ORDER BY number",
                          [shown.row["image_id"], pair_id]),
    )  # fmt: skip


def _slice_of(index: KeptDatabase, number: int) -> tuple[int, int]:
    """How many slices the table of pairs has, and in which of them a pair is."""
    sizes = [row["pairs"] for row in index.rows("SELECT slice, pairs FROM slices ORDER BY slice")]
    starts = [0]
    for size in sizes:
        starts.append(starts[-1] + size)
    inside = (place for place, (start, end) in enumerate(pairwise(starts)) if start <= number < end)
    return len(sizes), next(inside, 0)


def _answers(pair: PreferencePair, found: Sequence[Response]) -> list[AnswerShown]:
    roles = {pair.chosen_id: "chosen", pair.rejected_id: "rejected"}
    asked = pair.query
    shown = [
        AnswerShown(
            response=one, role=roles.get(one.response_id, ""),
            closed=may_harm(one.response, one.safe, question=asked.question, harmful=asked.harmful),
        )
        for one in found
    ]  # fmt: skip
    return sorted(shown, key=lambda one: (one.role or "z", one.response.safe is not True, one.response.response_id))


def _verdict(judgment: Judgment, pair: PreferencePair) -> VerdictShown:
    match = judgment.match
    sides = {"a": match.a_response_id, "b": match.b_response_id}
    roles = {pair.chosen_id: "chosen", pair.rejected_id: "rejected"}
    first = roles.get(sides[judgment.order[0]], "other")
    better = roles.get(sides.get(judgment.winner or "", ""), judgment.winner or judgment.judgment_status)
    return VerdictShown(judge=judgment.judge, order=f"{first} first", better=better, reason=judgment.reason)


def _labels(run: Run, pair_id: str) -> Iterator[tuple[str, Label]]:
    """What people said in the reviews of the run; a review that cannot be read now is passed over."""
    for path in sorted((run.folder / "review").glob(f"*/{DATABASE}")):
        try:
            found = labels_of_item(path, pair_id)
        except SpavlError:
            continue
        yield from ((path.parent.name, label) for label in found)


def _findings(run: Run, pair_id: str) -> list[tuple[str, str, float]]:
    table = run.folder / FOLDER / FINDINGS
    if not table.is_file():
        return []
    return [(kind, detail or "", float(score)) for kind, detail, score in query(FOUND, [pair_id], findings=table)]
