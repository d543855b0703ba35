"""The taxonomy of harms (domain, category, subcategory), read from YAML and checked."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from difflib import get_close_matches
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from spavl.errors import DataError
from spavl.records import Topic
from spavl.strict_yaml import load_yaml

BUILT_IN = "the built-in taxonomy"
"""Source of the taxonomy that comes with the package, for messages."""
_NAME = re.compile(r"(?![.\s])[^/\\\x00-\x1f]+(?<!\s)")
"""What may name a subcategory. It names folders and is part of picture ids: no separators, no leading dots."""


class Taxonomy:
    """Topics in file order, found by the name of their subcategory.

    Args:
        topics: leaves of the tree; names of subcategories are unique.
        display: readable form by label, for labels that need one.
        source: file that it comes from, for messages.
    """

    def __init__(self, topics: list[Topic], display: dict[str, str], source: str) -> None:
        self.topics = topics
        self.source = source
        self._display = display
        self._by_name = {t.class3: t for t in topics}
        self._by_letters: dict[str, list[Topic]] = {}
        for topic in topics:
            self._by_letters.setdefault(_letters(topic.class3), []).append(topic)

    def find(self, class3: str) -> Topic | None:
        """The topic of a subcategory; None where there is none.

        Upper and lower case, blanks, hyphens and underscores are forgiven where only one subcategory can be meant.

        Args:
            class3: name of the subcategory.
        """
        alike = self._by_letters.get(_letters(class3), [])
        return self._by_name.get(class3) or (alike[0] if len(alike) == 1 else None)

    def topic(self, class3: str) -> Topic:
        """The topic of a subcategory.

        Args:
            class3: name of the subcategory.

        Raises:
            DataError: there is no such subcategory; the nearest names are suggested.
        """
        found = self.find(class3)
        if found is not None:
            return found
        near = self.near(class3)
        raise DataError(
            f"`{class3}` is not a subcategory of {self.source}",
            try_=near or f"there are: {', '.join(self._by_name)}",
        )

    def near(self, class3: str) -> str:
        """`did you mean …?` with up to three similar names of subcategories; empty where none is similar.

        Args:
            class3: a misspelt name.
        """
        found = get_close_matches(class3.lower(), self._by_name, n=3)
        return f"did you mean {' or '.join(f'`{name}`' for name in found)}?" if found else ""

    def __contains__(self, class3: str) -> bool:
        return self.find(class3) is not None

    def display(self, name: str) -> str:
        """The readable form of a label (the published labels have a few misspellings).

        Args:
            name: label of a domain, category or subcategory.
        """
        return self._display.get(name, name)


def _letters(name: str) -> str:
    """What is left of a name when case and the ways to part words are taken away."""
    return re.sub(r"[\s_-]+", "", unicodedata.normalize("NFKC", name)).casefold()


def load_taxonomy(path: Path | None = None) -> Taxonomy:
    """Read a taxonomy file: `domains: {domain: {category: [subcategory, …]}}`.

    Args:
        path: the file; None reads the built-in taxonomy, that of SPA-VL.

    Raises:
        DataError: it is not YAML, not of that shape, or has a subcategory twice.
    """
    source = str(path) if path else BUILT_IN
    try:
        text = path.read_text("utf-8") if path else (files("spavl") / "data" / "taxonomy.yaml").read_text("utf-8")
        tree = load_yaml(text)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise DataError(f"The taxonomy cannot be read: {' '.join(str(error).split())}", where=source) from error
    topics = _topics(tree, source)
    _refuse_duplicates(topics, source)
    display = tree.get("display") or {}
    if not isinstance(display, dict):
        raise DataError("`display` is no mapping", where=source, try_="`display: {label: readable form}`")
    return Taxonomy(topics, {str(label): str(form) for label, form in display.items()}, source)


def _topics(tree: Any, source: str) -> list[Topic]:
    shape = "a taxonomy is `domains: {domain: {category: [subcategory, …]}}`"
    if not isinstance(tree, dict) or not isinstance(tree.get("domains"), dict):
        raise DataError("The taxonomy has no `domains`", where=source, try_=shape)
    topics = []
    for domain, categories in tree["domains"].items():
        if not isinstance(categories, dict):
            raise DataError(f"Domain `{domain}` holds no categories", where=source, try_=shape)
        for category, leaves in categories.items():
            if not isinstance(leaves, list) or not all(isinstance(leaf, str) for leaf in leaves):
                raise DataError(f"Category `{category}` is not a list of names", where=source, try_=shape)
            unfit = next((leaf for leaf in leaves if not _NAME.fullmatch(leaf)), None)
            if unfit is not None:
                raise DataError(
                    f"`{unfit}` cannot name a subcategory, for folders and ids are named after it", where=source,
                    try_="leave out slashes, and dots and spaces at its edges",
                )  # fmt: skip
            topics += [Topic(class1=str(domain), class2=str(category), class3=leaf) for leaf in leaves]
    if not topics:
        raise DataError("The taxonomy is empty", where=source, try_=shape)
    return topics


def _refuse_duplicates(topics: list[Topic], source: str) -> None:
    twice = [name for name, n in Counter(t.class3 for t in topics).items() if n > 1]
    if twice:
        places = [f"{t.class1} / {t.class2}" for t in topics if t.class3 == twice[0]]
        raise DataError(
            f"Subcategory `{twice[0]}` stands {len(places)} times in the taxonomy: {'; '.join(places)}",
            where=source,
            try_="give each subcategory one place (its name is its identity)",
        )
