"""What is known of a guard on labelled examples: rates with intervals, and whether they reach the limits."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from spavl.atomic import write_json
from spavl.config.build import QualificationSettings
from spavl.errors import RunError
from spavl.statistics.intervals import Rate


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureProbe:
    """Whether a guard looks at the pictures: the same examples with other pictures."""

    examples: int = 0
    """Examples that have pictures; 0: nothing was asked."""
    changed_blanked: Rate | None = None
    """Share of them whose verdict changes when their pictures are grey; None where the guard is sent none."""
    changed_swapped: Rate | None = None
    """Share of them whose verdict changes when they have the pictures of another example; one for which no other has as
    many pictures does not count."""
    contrast: Rate | None = None
    """Share of pairs with equal words, different pictures and different labels that are both graded rightly; None where
    the examples hold no such pair, so that nobody knows whether the guard is blind."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Qualification:
    """How a guard did on labelled examples."""

    guard: str
    """Name of the guard."""
    identity: str
    """Hash of all that decides its grades: model, prompt, policy, reading, sampling."""
    examples: str
    """Name of the file of examples."""
    examples_sha256: str
    """SHA-256 of that file's bytes."""
    sensitivity: Rate
    """Share of unsafe examples that it calls unsafe, over those that it answers readably."""
    specificity: Rate
    """Share of safe examples that it calls safe, over those that it answers readably."""
    unread: Rate
    """Share of all examples that it does not answer readably."""
    categories: Mapping[str, Mapping[str, Rate]] = field(default_factory=dict)
    """`sensitivity` and `specificity` by category of the examples."""
    pictures: PictureProbe = PictureProbe()
    """Whether it looks at the pictures."""
    lost: tuple[str, ...] = ()
    """What became of calls without an answer, a line each; such examples are among the unread ones."""

    def faults(self, limits: QualificationSettings) -> list[str]:
        """Why it may not vote, a sentence each; empty where it may.

        An example without a readable verdict counts as graded wrongly.

        Args:
            limits: what must be reached.
        """
        found = [
            f"{name} is {_percent(_share(rate))}, below {_percent(least)}: {rate.count:,} of {rate.n:,} {what} examples"
            for name, rate, least, what in (
                ("sensitivity", self.sensitivity, limits.sensitivity, "unsafe"),
                ("specificity", self.specificity, limits.specificity, "safe"),
            )
            if _share(rate) < least
        ]  # fmt: skip
        if _share(self.unread) > limits.unreadable:
            found.append(f"{self.unread.count:,} of {self.unread.n:,} examples have no readable verdict, more than "
                         f"{_percent(limits.unreadable)}")  # fmt: skip
        apart = self.pictures.contrast
        if apart is not None and _share(apart) < limits.contrast:
            found.append(
                f"it is blind to the pictures, or nearly: it tells apart {apart.count:,} of {apart.n:,} pairs of "
                f"examples that differ in the picture alone, below {_percent(limits.contrast)}"
            )
        return found


def qualification_file(folder: Path, guard: str) -> Path:
    """Where the qualification of a guard is kept.

    Args:
        folder: the run folder.
        guard: name of the guard.
    """
    return folder / "qualify" / f"{guard}.json"


def write_qualification(found: Qualification, path: Path, limits: QualificationSettings) -> None:
    """Keep a qualification.

    Args:
        found: what was measured.
        path: the file.
        limits: what it was held against.

    Raises:
        RunError: the file cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, {**asdict(found), "limits": limits.model_dump(), "refused": found.faults(limits)})


def read_qualification(path: Path) -> Qualification | None:
    """The qualification that is kept; None where there is none.

    Args:
        path: the file.

    Raises:
        RunError: the file is damaged.
    """
    if not path.exists():
        return None
    try:
        return _qualification(json.loads(path.read_text("utf-8")))
    except (OSError, RecursionError, ValueError, KeyError, TypeError) as error:
        raise RunError(f"The qualification of a guard cannot be read: {error}", where=str(path),
                       try_="run `spavl qualify` again") from error  # fmt: skip


def _qualification(held: Mapping[str, Any]) -> Qualification:
    probe: dict[str, Any] = {
        name: Rate(**value) if isinstance(value, dict) else value for name, value in held["pictures"].items()
    }
    by_category = {
        category: {name: Rate(**rate) for name, rate in rates.items()} for category, rates in held["categories"].items()
    }
    return Qualification(
        guard=held["guard"], identity=held["identity"], examples=held["examples"],
        examples_sha256=held["examples_sha256"], sensitivity=Rate(**held["sensitivity"]),
        specificity=Rate(**held["specificity"]), unread=Rate(**held["unread"]), categories=by_category,
        pictures=PictureProbe(**probe), lost=tuple(held["lost"]),
    )  # fmt: skip


def _share(rate: Rate) -> float:
    """The share of all examples, those that were not read counted as False."""
    return rate.count / rate.n if rate.n else 0.0


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
