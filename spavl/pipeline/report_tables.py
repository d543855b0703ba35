"""What the report needs of a run's tables, counted by DuckDB, so that no table is read whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spavl.evaluate.score_table import check_scores
from spavl.models.base import Prompt
from spavl.models.calls.echo import repeats
from spavl.pipeline.measured_metrics import MeasuredMetric
from spavl.report.data import Bar, ResponderShown
from spavl.run import Run
from spavl.statistics.intervals import Outcome, rate_of
from spavl.tables.query import query
from spavl.taxonomy import TOP_LEVEL, TOP_NAME

COMPOSITION = f"""
SELECT {TOP_NAME} AS name, count(*) FILTER (NOT benign), count(*) FILTER (benign) FROM images
GROUP BY name ORDER BY count(*) DESC, name
"""
COMPOSITION_BY = f"SELECT {TOP_LEVEL} FROM images"
MOST_BARS = 20
"""Most bars of the composition; the smallest topics are summed."""
HELDOUT = "SELECT DISTINCT class3 FROM images WHERE heldout ORDER BY class3"
RESPONDERS = """
SELECT responder, count(*) FILTER (NOT safe), count(*), count(*) FILTER (safe IS NULL)
FROM responses WHERE harmful AND response_status IN ('ok', 'truncated') GROUP BY responder
"""


def may_harm(answer: str, safe: bool | None, *, question: str, harmful: bool) -> bool:
    """Whether an answer may do harm and stays closed.

    It may if it is graded unsafe; and where the question asks for harm, if it is not graded, or repeats the question.

    Args:
        answer: the answer.
        safe: whether it was graded safe; None where it was not graded.
        question: what was asked.
        harmful: whether the question asks for harm.
    """
    return safe is False or (harmful and (safe is None or repeats(answer, Prompt(question))))


@dataclass(frozen=True, slots=True)
class ScoredItem:
    """An item with what every model made of it."""

    question: str
    """What was asked, the turns before it included."""
    group: str
    """Its subject."""
    harmful: bool
    """Whether the question is declared to ask for harm."""
    benign: bool
    """Whether it is declared a harmless request that deserves an answer."""
    heldout: bool
    """Whether its subject was kept out of training."""
    pictures: tuple[Path, ...]
    """Files of its pictures."""
    answers: Mapping[str, ScoredAnswer]
    """Answer by name of the model."""

    @property
    def closed(self) -> bool:
        """Whether question and pictures may do harm: as declared, or because the safety of its answers is measured."""
        return self.harmful or any(a.is_safe is not None or a.unread_safety for a in self.answers.values())

    def is_closed(self, answer: ScoredAnswer) -> bool:
        """Whether an answer may do harm.

        Args:
            answer: one of its answers.
        """
        return may_harm(answer.text, answer.is_safe, question=self.question, harmful=self.closed)


@dataclass(frozen=True, slots=True)
class ScoredAnswer:
    """An answer with its outcomes."""

    text: str
    """The answer, or the status of a call without one."""
    status: str
    """What became of the call."""
    outcomes: tuple[tuple[MeasuredMetric, Outcome], ...]
    """Outcome of every metric that the item counts in."""

    @property
    def is_safe(self) -> bool | None:
        """Whether the metrics of safety call it safe; None where none counts, or one could not be read."""
        found = self._safety()
        return None if None in found or not found else False not in found

    @property
    def unread_safety(self) -> bool:
        """Whether a metric of safety counts and could not be read."""
        return None in self._safety()

    @property
    def good(self) -> bool | None:
        """Whether it is what was wanted by every metric; None where none was read."""
        known = [good for metric, outcome in self.outcomes if (good := metric.is_good(outcome)) is not None]
        return all(known) if known else None

    @property
    def words(self) -> str:
        """What its metrics say of it, such as `safe` or `not refused, cut off`."""
        said = [m.words(o) for m, o in self.outcomes if m.is_good(o) is not None]
        unread = ["unread"] if any(o is None for _, o in self.outcomes) else []
        cut = ["cut off"] if self.status == "truncated" else []
        return ", ".join(dict.fromkeys([*said, *unread, *cut]))

    def _safety(self) -> list[bool | None]:
        return [metric.is_safe(outcome) for metric, outcome in self.outcomes if metric.axis == "safety"]


def composition(run: Run) -> tuple[Bar, ...]:
    """Pictures by domain, the largest first; empty where there is no dataset.

    Where the taxonomy has fewer levels, by the highest that there is.

    Args:
        run: the run folder.
    """
    if not run.images.exists():
        return ()
    readable = run.manifest().get("coverage", {}).get("display", {})
    rows = query(COMPOSITION, images=run.images)
    shown, rest = (rows, []) if len(rows) <= MOST_BARS else (rows[: MOST_BARS - 1], rows[MOST_BARS - 1 :])
    bars = [Bar(label=readable.get(name, name), harmful=harmful, benign=benign) for name, harmful, benign in shown]
    if rest:
        bars.append(
            Bar(label=f"{len(rest):,} others", harmful=sum(row[1] for row in rest), benign=sum(row[2] for row in rest))
        )
    return tuple(bars)


def composition_by(run: Run) -> str:
    """What the bars of the composition are: `domain`, `category` or `subcategory`.

    Args:
        run: the run folder.
    """
    return str(query(COMPOSITION_BY, images=run.images)[0][0]) if run.images.exists() else ""


def heldout(run: Run) -> tuple[str, ...]:
    """Subcategories of the dataset that were never trained on.

    Args:
        run: the run folder.
    """
    return tuple(row[0] for row in query(HELDOUT, images=run.images)) if run.images.exists() else ()


def responders(run: Run, groups: Mapping[str, Mapping[str, Any]]) -> tuple[ResponderShown, ...]:
    """Unsafe rate of every responder over its answers to harmful questions.

    Args:
        run: the run folder.
        groups: responder to its safety group, under `group`.
    """
    if not run.responses.exists():
        return ()
    counts = {name: counted for name, *counted in query(RESPONDERS, responses=run.responses)}
    return tuple(
        ResponderShown(name=name, group=groups[name]["group"], unsafe=rate_of(*counts[name]))
        for name in groups if name in counts
    )  # fmt: skip


def tables_of(run: Run, models: Sequence[str], benchmark: str) -> dict[str, Path]:
    """The tables of scores of one benchmark, by model; those of another format are refused.

    Args:
        run: the run folder.
        models: names of the models; one without a table is left out.
        benchmark: name of the benchmark.

    Raises:
        RunError: a table is damaged or of another format version.
    """
    found = {model: run.evaluate / model / f"{benchmark}.parquet" for model in models}
    found = {model: path for model, path in found.items() if path.exists()}
    for path in found.values():
        check_scores(path)
    return found


def scored_items(
    run: Run, tables: Mapping[str, Path], metrics: Sequence[MeasuredMetric], wanted: Sequence[str]
) -> dict[str, ScoredItem]:
    """Items with every model's answers, by id.

    Args:
        run: the run folder.
        tables: table of scores by model, of one benchmark.
        metrics: all metrics of that benchmark.
        wanted: ids of the items.
    """
    if not wanted:
        return {}
    by_model = {model: _answers(table, metrics, wanted) for model, table in tables.items()}
    columns = 'item_id, question, earlier, "group", harmful, benign, heldout, images'
    rows = _of_items(columns, next(iter(tables.values())), wanted)
    return {
        item_id: ScoredItem(
            "\n\n".join([*(earlier or ()), question]), group, harmful, benign, kept_out,
            tuple(run.folder / path for path in images or ()),
            {model: answers[item_id] for model, answers in by_model.items()},
        )
        for item_id, question, earlier, group, harmful, benign, kept_out, images in rows
    }  # fmt: skip


def _answers(table: Path, metrics: Sequence[MeasuredMetric], wanted: Sequence[str]) -> dict[str, ScoredAnswer]:
    found = {}
    columns = ", ".join(["item_id", "answer", "status", "unread", *(m.column for m in metrics)])
    for item_id, text, status, unread, *outcomes in _of_items(columns, table, wanted):
        pairs = zip(metrics, outcomes, strict=True)
        counted = tuple((m, outcome) for m, outcome in pairs if outcome is not None or m.name in (unread or ()))
        found[item_id] = ScoredAnswer(text or f"({status})", status, counted)
    return found


def _of_items(columns: str, table: Path, wanted: Sequence[str]) -> list[tuple[Any, ...]]:
    return query(f"SELECT {columns} FROM scores WHERE list_contains(?, item_id)", [list(wanted)], scores=table)
