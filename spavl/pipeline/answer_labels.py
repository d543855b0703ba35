"""People's labels of answers of a run: from a file of labels, or from reviews, by model and benchmark."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from spavl.errors import DataError
from spavl.evaluate.loaders.findings import Findings
from spavl.evaluate.loaders.labelled import LABELS
from spavl.evaluate.loaders.read_files import text_of
from spavl.pipeline.people import LabelledItem, most_said, read_people, reviews_of
from spavl.records import Outcome
from spavl.rows import brief, rows_of
from spavl.run import Run

Key = tuple[str, str]
"""Names of a model and of a benchmark."""


@dataclass(frozen=True, slots=True)
class AnswerLabel:
    """What people say of one answer."""

    unsafe: float
    """1 where most call it unsafe, 0 where most call it safe, one half where they are divided."""
    text: str | None = None
    """The answer that they read; None where that is not known."""
    style: Outcome | None = None
    """What most call it; None where they are divided, or were asked for safe and unsafe alone."""
    annotators: int = 1
    """How many said so."""


@dataclass(frozen=True, slots=True)
class AnswerLabels:
    """Labels of answers."""

    by_answer: Mapping[Key, Mapping[str, AnswerLabel]] = field(default_factory=dict)
    """By model and benchmark, by id of the item."""
    by_design: bool = False
    """Whether answers were drawn at random within each verdict of the guard, so that verdicts may be labelled in
    unlike shares."""
    left_out: int = 0
    """Labelled answers that were drawn for being doubtful, which stand for no others."""

    @property
    def count(self) -> int:
        """How many answers are labelled."""
        return sum(map(len, self.by_answer.values()))


def read_answer_labels(path: Path) -> AnswerLabels:
    """Labels of answers in a file, in a review, or in an export of one.

    Args:
        path: a file in any common form with `model`, `benchmark`, `item_id` and `label`, and with `probability` where
            it is a filled in `next.csv`; or a review folder or database, an export of ours, or one of Label Studio.

    Raises:
        DataError: it cannot be read, rows are wrong, or it holds no label of an answer.
    """
    if path.is_dir() or path.suffix == ".sqlite" or not _is_plain(path):
        found = labels_of_items(read_people([path]).items)
        if not found.count and not found.left_out:
            raise DataError("No answer of a model is labelled there", where=str(path),
                            try_="`spavl review RUN --answers` makes such a review")  # fmt: skip
        return found
    plain = read_labels(path)
    made = {key: {item: AnswerLabel(float(label)) for item, label in own.items()} for key, own in plain.items()}
    return AnswerLabels(made, by_design="probability" in _first(path))


def labels_of_reviews(folder: Path) -> AnswerLabels:
    """Labels of answers in all reviews of a run; none where it has none.

    Args:
        folder: the run folder.

    Raises:
        DataError: a review cannot be read.
    """
    return labels_of_items(read_people(reviews_of(Run(folder))).items)


def labels_of_items(items: Iterable[LabelledItem]) -> AnswerLabels:
    """Labels of the single answers among labelled items; people who are divided count as one half.

    Args:
        items: labelled items of any kind.
    """
    found: dict[Key, dict[str, AnswerLabel]] = {}
    doubtful = 0
    for one in items:
        share, about = one.unsafe_share(), one.item.about
        if one.item.kind != "answer" or share is None:
            continue
        if one.item.probability <= 0:
            doubtful += 1
            continue
        said = [outcome for _, outcome in one.outcomes(0)]
        label = AnswerLabel(
            0.5 if share == 0.5 else float(share > 0.5), text=one.item.answers[0].text, annotators=len(said),
            style=most_said(said),  # type: ignore[arg-type]
        )  # fmt: skip
        found.setdefault((about.get("model", ""), about.get("benchmark", "")), {})[about.get("item_id", "")] = label
    return AnswerLabels(found, by_design=True, left_out=doubtful)


def merged(parts: Sequence[AnswerLabels]) -> AnswerLabels:
    """Labels of several files and reviews as those of one; the last label of an answer counts.

    Args:
        parts: of files and reviews.
    """
    found: dict[Key, dict[str, AnswerLabel]] = {}
    for part in parts:
        for key, own in part.by_answer.items():
            found.setdefault(key, {}).update(own)
    return AnswerLabels(found, all(part.by_design for part in parts), sum(part.left_out for part in parts))


def _is_plain(path: Path) -> bool:
    """Whether a file has the columns of plain labels; one that cannot be read so is read as an export."""
    try:
        return not {"annotator", "annotations", "outcomes", "status"} & _first(path)
    except DataError:
        return True


def _first(path: Path) -> frozenset[str]:
    """Names of the columns of the first row."""
    first = next(iter(rows_of(path)), None)
    return frozenset(first.values) if first is not None else frozenset()


def read_labels(path: Path) -> dict[Key, dict[str, bool]]:
    """Labels of answers by model and benchmark: whether each is unsafe, by id of the item.

    Args:
        path: a file in any common form with `model`, `benchmark`, `item_id` and `label`.

    Raises:
        DataError: the file cannot be read, or rows are wrong; all are told together.
    """
    found: dict[Key, dict[str, bool]] = {}
    findings = Findings(path, "refuse")
    for row in rows_of(path):
        with findings.row(row.where):
            model, benchmark, item = (text_of(row.values, name) for name in ("model", "benchmark", "item_id"))
            label = text_of(row.values, "label").strip().lower()
            if label not in LABELS:
                raise DataError(f"`label` is safe or unsafe, not {brief(label)}")
            if found.setdefault((model, benchmark), {}).setdefault(item, LABELS[label]) != LABELS[label]:
                raise DataError("the answer is labelled both safe and unsafe")
    findings.refuse_rows()
    if not found:
        raise DataError("The file holds no labels", where=str(path),
                        try_="a row has model, benchmark, item_id, and label: safe or unsafe")  # fmt: skip
    return found
