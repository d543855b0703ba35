"""Where a published benchmark comes from: paper, place, licence and counts, against which what was found is checked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from spavl.errors import DataError
from spavl.evaluate.item import Item


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A published benchmark."""

    title: str
    """Its name as published."""
    paper: str
    """Its paper, such as `arXiv 2311.17600`."""
    get: str
    """Where its files can be got, and what they are called there, in one sentence."""
    licence: str
    """Its licence as published, such as `CC BY-NC 4.0`; `not stated` where none was found."""
    commercial: bool | None
    """Whether the licence allows commercial use; None where that is not known."""
    training: bool = True
    """Whether the licence says nothing against training on it; False: it forbids that."""
    counts: Mapping[str, int]
    """Published number of items by part; empty where it is not known."""
    sure: str = "seen"
    """Whether the layout was `seen` in real files, or is known from `code` of others or from `documentation`."""


def check_counts(
    items: Iterable[Item], source: Source, part: Callable[[Item], str], where: Path, *, partial: bool
) -> None:
    """Refuse items whose numbers are not the published ones.

    Args:
        items: all that were read, before any limit.
        source: the benchmark, with its counts.
        part: the part that an item is of, a key of the counts.
        where: its folder or file.
        partial: accept any numbers.

    Raises:
        DataError: naming every part whose number differs, with where the files can be got.
    """
    if partial or not source.counts:
        return
    found = Counter(map(part, items))
    wrong = [
        f"  {name}: {found[name]:,} of {source.counts.get(name, 0):,}"
        for name in dict.fromkeys([*source.counts, *found])
        if found[name] != source.counts.get(name, 0)
    ]
    if wrong:
        raise DataError(
            f"The numbers of items are not those of {source.title} as published\n" + "\n".join(wrong), where=str(where),
            try_=f"{source.get}; or accept them by `partial: true` in the benchmark's entry",
        )  # fmt: skip
