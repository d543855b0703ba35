"""Answers of evaluated models as items of a review, by which the judges that graded them are calibrated."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from pathlib import Path

from spavl.errors import DataError
from spavl.evaluate.score_table import check_scores, outcome_column
from spavl.evaluate.stored_answers import StoredAnswer, stored_answers
from spavl.labels.record import Answer, Item
from spavl.pipeline.measured_metrics import MeasuredMetric, measured_metrics
from spavl.pipeline.next_answers import ChosenAnswer
from spavl.pipeline.report_tables import tables_of
from spavl.records import Outcome
from spavl.review.pairs import Places, Sample, by_key, places_of
from spavl.review.sample import Drawn, Order, draw
from spavl.run import Run
from spavl.tables.query import literal, quoted

AXES = ("safety", "over-refusal")
"""Axes whose answers guards grade; of a benchmark that has both, the first."""
_ROWS = """
SELECT concat_ws('/', {model}, {benchmark}, item_id) AS key,
    concat_ws(' | ', {model}, {benchmark}, {verdict}) AS stratum, ({column} IS NULL)::INT AS doubt
FROM {table} WHERE {column} IS NOT NULL OR list_contains(unread, {metric})
"""
UNREAD = "unread"
"""Stands for a verdict that could not be read."""
_VERDICT = f"CASE WHEN {{column}} IS NULL THEN '{UNREAD}' WHEN {{column}} THEN '{{yes}}' ELSE '{{no}}' END"
_WORDS = {"safety": ("unsafe", "safe"), "over-refusal": ("refusal", "answered")}
OUTCOMES: Mapping[str, Outcome] = {"unsafe": "unsafe", "safe": "safe", "refusal": "refusal"}
"""What the verdicts are among the outcomes; others are unknown."""


def graded_metrics(manifest: Mapping[str, object]) -> dict[str, MeasuredMetric]:
    """The metric of every benchmark whose verdicts a guard gave, by name of the benchmark.

    Args:
        manifest: `run.json`.
    """
    found: dict[str, MeasuredMetric] = {}
    for axis in AXES:
        for metric in measured_metrics(manifest):
            if metric.axis == axis and metric.better == "lower" and not metric.graded:
                found.setdefault(metric.benchmark, metric)
    return found


def answers_of_run(
    run: Run, n: int, *, order: Order = "proportional", seed: int = 0,
    errors: Mapping[str, tuple[int, int]] | None = None,
) -> Sample:  # fmt: skip
    """Answers of the evaluated models, stratified over model, benchmark and verdict.

    Args:
        run: the run folder.
        n: how many are wanted.
        order: how they are drawn.
        seed: of the draw.
        errors: for `active`: of each stratum the labels so far that say otherwise than the guard, and all labels.

    Raises:
        DataError: no answer was graded.
        RunError: a table is missing or of another version.
    """
    tables = _tables_of(run)
    return _sample(run, tables, draw(tables.sql(), n, order=order, seed=seed, errors=errors, **tables.paths))


def chosen_answers(run: Run, chosen: Sequence[ChosenAnswer]) -> Sample:
    """Answers that were chosen elsewhere, in an order that tells nothing of them.

    Args:
        run: the run folder.
        chosen: the answers.

    Raises:
        DataError: no answer was graded, or a chosen one is not among those that were.
        RunError: a table is missing or of another version.
    """
    drawn = sorted(map(_drawn, chosen), key=lambda one: sha256(one.key.encode()).digest())
    sample = _sample(run, _tables_of(run), drawn)
    if missing := len(drawn) - len(sample.items):
        raise DataError(f"{missing:,} of the chosen answers are not among the graded ones", where=str(run.folder),
                        try_="run `spavl calibrate` again, which chooses anew")  # fmt: skip
    return sample


def _drawn(one: ChosenAnswer) -> Drawn:
    yes, no = _WORDS["safety"]
    verdict = UNREAD if one.verdict is None else yes if one.verdict else no
    stratum = f"{one.model} | {one.benchmark} | {verdict}"
    return Drawn(f"{one.model}/{one.benchmark}/{one.item_id}", stratum, one.probability)


def _tables_of(run: Run) -> _Tables:
    manifest = run.manifest()
    tables = _Tables(run, list(manifest.get("models", {})), graded_metrics(manifest))
    if not tables.paths:
        raise DataError("No answers of this run were graded for safety or over-refusal", where=str(run.folder),
                        try_="`spavl evaluate` asks a benchmark of safety")  # fmt: skip
    return tables


def _sample(run: Run, tables: _Tables, drawn: Sequence[Drawn]) -> Sample:
    """What was drawn, as items."""
    wanted = {one.key: one for one in drawn}
    found: dict[str, Item] = {}
    places: Places = {}
    for path, metric in tables.each():
        for stored in stored_answers(path, run.folder, {metric.name: False}):
            key = f"{stored.answer.model}/{stored.answer.benchmark}/{stored.answer.item.item_id}"
            if key in wanted and stored.outcomes:
                found[key] = _item(stored, metric, wanted[key])
                places |= places_of(Path(), stored.answer.item.earlier, stored.answer.item.images)
    return Sample(tuple(found[one.key] for one in drawn if one.key in found), places)


class _Tables:
    """The tables of graded answers, by the names that a query knows them by."""

    def __init__(self, run: Run, models: Sequence[str], metrics: Mapping[str, MeasuredMetric]) -> None:
        self._known: dict[str, tuple[Path, str, MeasuredMetric]] = {}
        for benchmark, metric in metrics.items():
            for model, path in tables_of(run, models, benchmark).items():
                if outcome_column(metric.name) in check_scores(path):
                    self._known[f"t{len(self._known)}"] = (path, model, metric)

    @property
    def paths(self) -> dict[str, Path]:
        """Files by name."""
        return {name: path for name, (path, _, _) in self._known.items()}

    def each(self) -> Iterator[tuple[Path, MeasuredMetric]]:
        """Files with the metric that is read."""
        return ((path, metric) for path, _, metric in self._known.values())

    def sql(self) -> str:
        """The query for the rows that are drawn from."""
        return " UNION ALL ".join(self._rows(name, *known[1:]) for name, known in self._known.items())

    def _rows(self, name: str, model: str, metric: MeasuredMetric) -> str:
        column = quoted(outcome_column(metric.name))
        yes, no = _WORDS[metric.axis]
        return _ROWS.format(
            model=literal(model), benchmark=literal(metric.benchmark), table=name, column=column,
            metric=literal(metric.name), verdict=_VERDICT.format(column=column, yes=yes, no=no),
        )  # fmt: skip


def _item(stored: StoredAnswer, metric: MeasuredMetric, drawn: Drawn) -> Item:
    given, item = stored.answer, stored.answer.item
    said = next(iter(stored.outcomes.values()))
    yes, no = _WORDS[metric.axis]
    verdict = UNREAD if said is None else yes if said else no
    about = {"model": given.model, "benchmark": given.benchmark, "item_id": item.item_id, "verdict": verdict,
             "class3": item.group, "metric": metric.name}  # fmt: skip
    return Item(
        item_id=drawn.key, kind="answer", stratum=drawn.stratum, question=item.question,
        answers=(Answer(text=given.text, source=given.model, outcome=OUTCOMES.get(verdict)),),
        images=tuple(ref.sha256 for ref in item.images), earlier=by_key(item.earlier), system=item.system,
        flagged=item.harmful or verdict in ("unsafe", UNREAD), about=about, probability=drawn.probability,
    )  # fmt: skip
