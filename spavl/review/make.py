"""A review is drawn, once, and opened again: the folder `RUN/review/NAME` with its database and list of pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal

from spavl.errors import RunError, SettingsError
from spavl.labels.exchange import DATABASE, read_labels
from spavl.labels.record import current_labels
from spavl.labels.store import LabelStore
from spavl.pictures import file_sha256
from spavl.pipeline.next_answers import ChosenAnswer
from spavl.pipeline.people import REVIEWS
from spavl.preferences.dataset import PreferenceDataset
from spavl.records import Outcome
from spavl.review.answers import answers_of_run, chosen_answers
from spavl.review.pairs import Sample, pairs_of_dataset, pairs_of_run
from spavl.review.pictures import PictureIndex
from spavl.review.sample import Order
from spavl.rows import brief
from spavl.run import Run
from spavl.tables import read_footer

Kind = Literal["pairs", "answers"]
"""What is reviewed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewSettings:
    """How the items of a review are drawn."""

    kind: Kind = "pairs"
    """What is reviewed."""
    n: int = 500
    """How many items are wanted."""
    order: Order = "proportional"
    """How they are drawn."""
    seed: int = 0
    """Of the draw."""
    overlap: float = 0.1
    """Share of the items that several annotators label."""
    annotators: int | None = None
    """How many those are; None: all."""
    findings: Path | None = None
    """For `doubtful`: table of `pair_id` and `score` of pairs that an audit suspects."""
    labels: Path | None = None
    """For `active`: an earlier review or its export, whose labels say where the guard errs."""

    @property
    def is_random(self) -> bool:
        """Whether estimates of the whole may rest on the labels."""
        return self.order != "doubtful"

    def as_plain_data(self) -> dict[str, Any]:
        """The settings, as the review keeps them."""
        return {"kind": self.kind, "n": self.n, "order": self.order, "seed": self.seed, "overlap": self.overlap,
                "annotators": self.annotators, "random": self.is_random}  # fmt: skip


def folder_of(run: Path, name: str) -> Path:
    """The folder of a review in a run folder.

    Args:
        run: the run folder.
        name: of the review.

    Raises:
        SettingsError: the name is that of no folder just below the reviews.
    """
    if not name.strip() or Path(name).name != name or name == ".." or not name.isprintable():
        raise SettingsError(f"{brief(name)} is no name of a review", where="--name", try_="a word, such as `first`")
    return run / REVIEWS / name


def make_review(
    source: Run | PreferenceDataset, folder: Path, settings: ReviewSettings, chosen: Sequence[ChosenAnswer] = ()
) -> LabelStore:  # fmt: skip
    """Draw a review, or open the one that was drawn so from the same pairs or answers before.

    Args:
        source: a run folder, or a dataset that is open.
        folder: of the review.
        settings: how its items are drawn.
        chosen: answers of the run that were chosen already, as `settings` say; none: they are drawn here.

    Raises:
        DataError: there is nothing to draw from.
        RunError: the folder holds another review.
    """
    made_from = fingerprint_of(source, settings.kind)
    if (folder / DATABASE).exists():
        return _again(folder / DATABASE, made_from, settings)
    sample = _drawn(source, settings, chosen)
    PictureIndex.write(folder, sample.pictures)
    return LabelStore.create(
        folder / DATABASE, sample.items, made_from=made_from, settings=settings.as_plain_data(),
        overlap=settings.overlap, annotators=settings.annotators,
    )  # fmt: skip


def _again(path: Path, made_from: str, settings: ReviewSettings) -> LabelStore:
    store = LabelStore(path)
    same = store.settings == settings.as_plain_data()
    if same and store.made_from == made_from:
        return store
    store.close()
    what = "other pairs or answers than are there now" if same else "other settings"
    raise RunError(f"The review in this folder was drawn from {what}", where=str(path),
                   try_="open it as it is without drawing anew, or give the new one a name of its own")  # fmt: skip


def fingerprint_of(source: Run | PreferenceDataset, kind: Kind) -> str:
    """What names the content that a review is drawn from.

    Args:
        source: a run folder, or a dataset that is open.
        kind: what is reviewed.

    Raises:
        RunError: the pairs were not made yet.
    """
    if isinstance(source, PreferenceDataset):
        return f"dataset {source.folder.name}"
    if kind == "answers":
        metrics = source.manifest().get("models", {})
        return f"answers {sha256(repr(sorted(metrics.items())).encode()).hexdigest()[:32]}"
    if not source.last_pairs.is_file():
        raise RunError("This run has no pairs yet", where=str(source.last_pairs), try_="run `spavl build`")
    known = read_footer(source.last_pairs) or {}
    return f"pairs {(known.get('content') or file_sha256(source.last_pairs))[:32]}"


def _drawn(source: Run | PreferenceDataset, settings: ReviewSettings, chosen: Sequence[ChosenAnswer]) -> Sample:
    how: dict[str, Any] = {"order": settings.order, "seed": settings.seed}
    if isinstance(source, PreferenceDataset):
        return pairs_of_dataset(source, settings.n, findings=settings.findings, **how)
    if chosen:
        return chosen_answers(source, chosen)
    if settings.kind == "pairs":
        return pairs_of_run(source, settings.n, findings=settings.findings, **how)
    return answers_of_run(source, settings.n, errors=errors_by_stratum(settings.labels), **how)


def errors_by_stratum(labels: Path | None) -> Mapping[str, tuple[int, int]]:
    """Of every stratum the labels that say otherwise than the guard, and all that say anything.

    Args:
        labels: a review or its export; None: no labels.

    Raises:
        DataError: it cannot be read.
    """
    if labels is None:
        return {}
    found = read_labels(labels)
    items = {item.item_id: item for item in found.items if item.kind == "answer"}
    counts: dict[str, tuple[int, int]] = {}
    for label in current_labels(found.labels):
        item = items.get(label.item_id)
        differs = (
            None if item is None or not label.outcomes else _differs(label.outcomes[0], item.about.get("verdict", ""))
        )
        if item is not None and differs is not None:
            wrong, of = counts.get(item.stratum, (0, 0))
            counts[item.stratum] = (wrong + differs, of + 1)
    return counts


def _differs(said: Outcome | None, verdict: str) -> bool | None:
    """Whether a person says otherwise than the guard; None where either says nothing."""
    asked: dict[str, Outcome] = {"unsafe": "unsafe", "safe": "unsafe", "refusal": "refusal", "answered": "refusal"}
    if said is None or verdict not in asked:
        return None
    return (said == asked[verdict]) != (verdict == asked[verdict])
