"""A review is drawn, once, and opened again: the folder `RUN/review/NAME` with its database and list of pictures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, Literal

from spavl.errors import RunError
from spavl.labels.exchange import DATABASE, read_labels
from spavl.labels.record import current_labels
from spavl.labels.store import LabelStore
from spavl.pictures import file_sha256
from spavl.preferences.dataset import PreferenceDataset
from spavl.review.answers import answers_of_run
from spavl.review.pairs import Sample, pairs_of_dataset, pairs_of_run
from spavl.review.pictures import PictureIndex
from spavl.review.sample import Order
from spavl.run import Run
from spavl.tables import read_footer

REVIEWS: Final = "review"
"""Folder of the reviews in a run folder."""
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
