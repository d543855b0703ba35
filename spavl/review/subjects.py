"""Subjects of a review: those that annotators may opt out of, and those that an unsafe answer may have."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from spavl.labels.store import LabelStore
from spavl.taxonomy import Taxonomy, load_taxonomy

OTHER = "other"
"""Heading of subjects that no domain is known of."""


@dataclass(frozen=True, slots=True)
class Subjects:
    """The subjects of a review."""

    items: Mapping[str, Mapping[str, int]]
    """Number of items by domain and subcategory."""
    choices: Mapping[str, tuple[str, ...]]
    """Subcategories that an unsafe answer may have, by domain."""
    display: Mapping[str, str]
    """Readable form of names that need one."""

    @property
    def names(self) -> frozenset[str]:
        """All names that may be chosen."""
        return frozenset(name for names in self.choices.values() for name in names)

    @property
    def optional(self) -> frozenset[str]:
        """All names that may be opted out of."""
        return (frozenset(self.items) | {name for names in self.items.values() for name in names}) - {OTHER}


def subjects_of(store: LabelStore) -> Subjects:
    """The subjects of a review: the paper's 53 subcategories, unless its items have others.

    Args:
        store: the review.
    """
    taxonomy = load_taxonomy()
    items: dict[str, dict[str, int]] = {}
    for (class1, _, class3), count in store.subjects().items():
        if class1 or class3:
            group = items.setdefault(class1 or OTHER, {})
            group[class3 or OTHER] = group.get(class3 or OTHER, 0) + count
    own = {name for names in items.values() for name in names} - {OTHER}
    choices = _choices(taxonomy) if own <= {topic.class3 for topic in taxonomy.topics} else (
        {domain: tuple(names) for domain, names in items.items()}
    )  # fmt: skip
    named = {name for group in (items, choices) for domain, names in group.items() for name in (domain, *names)}
    return Subjects(items, choices, {name: taxonomy.display(name) for name in named})


def _choices(taxonomy: Taxonomy) -> dict[str, tuple[str, ...]]:
    found: dict[str, list[str]] = {}
    for topic in taxonomy.topics:
        found.setdefault(topic.class1, []).append(topic.class3)
    return {domain: tuple(names) for domain, names in found.items()}
