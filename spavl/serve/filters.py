"""Which pairs are shown, and in what order, as an address says it: every filter is a part of the query string."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import urlencode

from spavl.serve.index import FACETS

FLAGS: Final = MappingProxyType({
    "benign": ("Benign", {"yes": "NOT harmful", "no": "harmful"}),
    "heldout": ("Held-out", {"yes": "heldout", "no": "NOT heldout"}),
    "agree": ("Judges", {"all": "len(judges_against) = 0", "some": "len(judges_against) > 0"}),
    "orders": ("Both orders", {"same": "verdict_ab = verdict_ba", "differ": "verdict_ab <> verdict_ba"}),
    "audit": ("Audit", {"found": "finding_count > 0", "clean": "finding_count = 0"}),
})  # fmt: skip
"""Filters of a few choices: what each is called, and what it asks for."""
SORTS: Final = MappingProxyType({
    "": ("As in the dataset", "number", 1),
    "findings": ("Most findings first", "finding_count", -1),
    "severity": ("Largest severity gap first", "severity_gap", -1),
    "longest": ("Longest answers first", "length_of_both", -1),
    "gap": ("Chosen longer by most first", "length_gap", -1),
    "short": ("Chosen shorter by most first", "length_gap", 1),
})  # fmt: skip
"""Orders: what each is called, its column, and its direction."""
LONGEST: Final = 200
"""Most letters of a value in an address."""
_CURSOR = re.compile(r"(-?[0-9]{1,15})\.([0-9]{1,15})")


@dataclass(frozen=True, slots=True)
class Cursor:
    """A place in an order, between pairs: that of a pair, before or after which a page begins."""

    value: int
    """Of the column that is sorted by."""
    number: int
    """Number of the pair, which decides among equals."""

    def __str__(self) -> str:
        return f"{self.value}.{self.number}"

    @classmethod
    def read(cls, text: str) -> Cursor | None:
        """A place as an address has it; None where it is none.

        Args:
            text: as `str` of a cursor writes it.
        """
        found = _CURSOR.fullmatch(text)
        return cls(int(found[1]), int(found[2])) if found else None


@dataclass(frozen=True, slots=True, kw_only=True)
class PairFilter:
    """Which pairs are shown, and in what order."""

    facets: Mapping[str, str] = field(default_factory=dict)
    """Wanted value by name of the facet."""
    finding: str = ""
    """A kind of the audit's findings that a pair must have; empty: any pair."""
    flags: Mapping[str, str] = field(default_factory=dict)
    """Choice by name of the flag."""
    text: str = ""
    """Letters that the pair's id, question or answers must hold, upper and lower case alike."""
    sort: str = ""
    """Name of the order."""

    @classmethod
    def read(cls, said: Mapping[str, str]) -> PairFilter:
        """A filter as an address has it; what is none of its parts is passed over.

        Args:
            said: the query string, by name.
        """
        known = {name: value[:LONGEST] for name, value in said.items() if value}
        return cls(
            facets={name: known[name] for name in FACETS if name in known},
            finding=known.get("finding", ""),
            flags={name: known[name] for name, (_, choices) in FLAGS.items() if known.get(name) in choices},
            text=known.get("text", "").strip(),
            sort=known["sort"] if known.get("sort") in SORTS else "",
        )

    @property
    def said(self) -> dict[str, str]:
        """Its parts as an address has them, without those that say nothing."""
        parts = {**self.facets, "finding": self.finding, **self.flags, "text": self.text, "sort": self.sort}
        return {name: value for name, value in parts.items() if value}

    @property
    def narrows(self) -> bool:
        """Whether it leaves any pairs out."""
        return bool(self.facets or self.finding or self.flags or self.text)

    def address(self, **more: str) -> str:
        """The query string of it, with `?` before it; empty where it says nothing.

        Args:
            more: further parts; an empty one takes a part away.
        """
        parts = {name: value for name, value in {**self.said, **more}.items() if value}
        return f"?{urlencode(parts)}" if parts else ""

    def without(self, name: str) -> PairFilter:
        """The filter without one of its parts.

        Args:
            name: of the part.
        """
        return PairFilter.read({key: value for key, value in self.said.items() if key != name})

    def sorted_by(self, sort: str) -> PairFilter:
        """The filter in another order.

        Args:
            sort: name of the order.
        """
        return replace(self, sort=sort)

    def where(self) -> tuple[str, list[Any]]:
        """The condition in SQL, and the values of its `?`."""
        parts, values = ["true"], list[Any]()
        for name, value in self.facets.items():
            parts.append(f"{FACETS[name]} = ?")
            values.append(value)
        if self.finding:
            parts.append("list_contains(findings, ?)")
            values.append(self.finding)
        parts += [f"({FLAGS[name][1][choice]})" for name, choice in self.flags.items()]
        if self.text:
            # what `contains` finds, which DuckDB looks for letter by letter in up to three times the time
            parts.append("regexp_matches(words, '(' || regexp_escape(lower(?)) || ')')")
            values.append(self.text)
        return " AND ".join(parts), values

    def cursor_of(self, pair: Mapping[str, Any]) -> Cursor:
        """The place of a pair.

        Args:
            pair: a row of the index.
        """
        return Cursor(int(pair[SORTS[self.sort][1]]), int(pair["number"]))


def chosen_words(shown: PairFilter, display: Mapping[str, str]) -> Sequence[tuple[str, str]]:
    """Each part of a filter that narrows, with what it is called, so that it can be taken away.

    Args:
        shown: the filter.
        display: names of the taxonomy as people read them, by name.
    """
    found = [(name, display.get(value, value.replace("_", " "))) for name, value in shown.facets.items()]
    found += [("finding", shown.finding.replace("_", " "))] if shown.finding else []
    found += [(name, f"{FLAGS[name][0].lower()}: {choice}") for name, choice in shown.flags.items()]
    return [*found, ("text", f"“{shown.text}”")] if shown.text else found
