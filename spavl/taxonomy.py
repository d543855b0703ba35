"""The taxonomy of harms: subcategories under up to two levels, read from YAML and checked."""

from __future__ import annotations

import re
import reprlib
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from spavl.errors import DataError
from spavl.records import Topic
from spavl.strict_yaml import load_yaml

BUILT_IN = "the built-in taxonomy"
"""Source of the taxonomy that comes with the package, for messages."""
SHAPES = (
    "write one of `subcategories: [name, …]`, `categories: {category: [name, …]}` and "
    "`domains: {domain: {category: [name, …]}}`; in place of a name may stand "
    "`{name: …, description: …, keywords: […], aliases: […]}`"
)
"""What a taxonomy file may look like, for messages."""
TOP_NAME = "coalesce(nullif(class1, ''), nullif(class2, ''), class3)"
"""The highest name of a topic, in SQL over a table of records: the level above may be missing."""
TOP_LEVEL = """
CASE WHEN bool_or(class1 <> '') THEN 'domain' WHEN bool_or(class2 <> '') THEN 'category' ELSE 'subcategory' END
"""
"""What that name is called, in SQL over all records of a table."""
_NAME = re.compile(r"(?![.\s])[^/\\\x00-\x1f]+(?<!\s)")
"""What may name a subcategory. It names folders and is part of picture ids: no separators, no leading dots."""


def _letters(name: str) -> str:
    """What is left of a name when case and the ways to part words are taken away."""
    return re.sub(r"[\s_-]+", "", unicodedata.normalize("NFKC", name)).casefold()


def _not_blank(text: str) -> str:
    if not _letters(text):
        raise ValueError("has no letters")
    return text


Text = Annotated[str, AfterValidator(_not_blank)]
"""Text with at least one letter or digit."""


class Subcategory(BaseModel):
    """A leaf of a taxonomy file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Text
    """Its identity: folders and ids are named after it."""
    description: str = ""
    """One sentence: what pictures and requests of the topic are about."""
    keywords: tuple[Text, ...] = ()
    """What pictures of the topic show, for text-to-image search."""
    aliases: tuple[Text, ...] = ()
    """Other spellings that are accepted wherever a subcategory is named."""


def _named(leaf: Any) -> Any:
    return {"name": leaf} if isinstance(leaf, str) else leaf


Leaves = Annotated[list[Annotated[Subcategory, BeforeValidator(_named)]], Field(min_length=1)]
"""Subcategories side by side, each a name or a mapping."""
Categories = Annotated[dict[Text, Leaves], Field(min_length=1)]
"""Subcategories by category."""


class TaxonomyFile(BaseModel):
    """What a taxonomy file holds; of the three trees exactly one."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: Literal[1] = 1
    """Version of this form."""
    domains: Annotated[dict[Text, Categories], Field(min_length=1)] | None = None
    """A tree of three levels."""
    categories: Categories | None = None
    """A tree of two levels."""
    subcategories: Leaves | None = None
    """A tree of one level."""
    display: dict[Text, Text] = {}
    """Readable form by name, for names that need one."""

    @property
    def trees(self) -> list[str]:
        """Which of the trees there are."""
        named = {"domains": self.domains, "categories": self.categories, "subcategories": self.subcategories}
        return [name for name, tree in named.items() if tree is not None]

    def leaves(self) -> Iterator[tuple[Topic, Subcategory]]:
        """Every subcategory with its place; levels that the tree lacks are empty."""
        domains = self.domains or {"": self.categories or {"": self.subcategories or []}}
        for domain, categories in domains.items():
            for category, leaves in categories.items():
                for leaf in leaves:
                    yield Topic(class1=domain, class2=category, class3=leaf.name), leaf


LEVELS = {"subcategories": 1, "categories": 2, "domains": 3}
"""How many levels the tree under each key has."""


class Taxonomy:
    """Topics in file order, found by the name of their subcategory.

    Args:
        leaves: every subcategory with its place; names of subcategories are unique.
        display: readable form by name, for names that need one.
        source: file that it comes from, for messages.
        levels: how deep the tree is, from 1 to 3.
    """

    def __init__(
        self, leaves: Sequence[tuple[Topic, Subcategory]], display: Mapping[str, str], source: str, levels: int
    ) -> None:
        self.topics = [topic for topic, _ in leaves]
        self.source = source
        self.levels = levels
        self._display = dict(display)
        self._by_name = {topic.class3: (topic, leaf) for topic, leaf in leaves}
        self._by_letters: dict[str, dict[Topic, None]] = {}
        self._by_spelling: dict[str, Topic] = {}
        for topic, leaf in leaves:
            for spelling in (leaf.name, *leaf.aliases, *_readable(leaf, display)):
                self._by_letters.setdefault(_letters(spelling), {})[topic] = None
                self._by_spelling.setdefault(spelling, topic)

    def find(self, class3: str) -> Topic | None:
        """The topic of a subcategory; None where there is none.

        Aliases are understood, and upper and lower case, blanks, hyphens and underscores are forgiven where only one
        subcategory can be meant.

        Args:
            class3: name of the subcategory, or an alias.
        """
        if class3 in self._by_name:
            return self._by_name[class3][0]
        alike = list(self._by_letters.get(_letters(class3), {}))
        return alike[0] if len(alike) == 1 else None

    def topic(self, class3: str) -> Topic:
        """The topic of a subcategory.

        Args:
            class3: name of the subcategory, or an alias.

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
        """`did you mean …?` with similar names or aliases of up to three subcategories; empty where none is similar.

        Args:
            class3: a misspelt name.
        """
        close = get_close_matches(class3.lower(), self._by_spelling, n=9)
        found: dict[Topic, str] = {}
        for spelling in close:
            topic = self._by_spelling[spelling]
            found.setdefault(topic, topic.class3 if topic.class3 in close else spelling)
        return f"did you mean {' or '.join(f'`{name}`' for name in list(found.values())[:3])}?" if found else ""

    def __contains__(self, class3: str) -> bool:
        return self.find(class3) is not None

    def describe(self, class3: str) -> str:
        """One sentence: what pictures and requests of a subcategory are about; empty where the file has none.

        Args:
            class3: name of the subcategory, or an alias.

        Raises:
            DataError: there is no such subcategory.
        """
        return self._leaf(class3).description

    def keywords(self, class3: str) -> tuple[str, ...]:
        """What pictures of a subcategory show, for text-to-image search; empty where the file has none.

        Args:
            class3: name of the subcategory, or an alias.

        Raises:
            DataError: there is no such subcategory.
        """
        return self._leaf(class3).keywords

    def aliases(self, class3: str) -> tuple[str, ...]:
        """Other spellings of a subcategory that are accepted.

        Args:
            class3: name of the subcategory, or an alias.

        Raises:
            DataError: there is no such subcategory.
        """
        return self._leaf(class3).aliases

    def display(self, name: str) -> str:
        """The readable form of a label (the published labels have a few misspellings).

        Args:
            name: label of a domain, category or subcategory.
        """
        return self._display.get(name, name)

    def _leaf(self, class3: str) -> Subcategory:
        return self._by_name[self.topic(class3).class3][1]


def _readable(leaf: Subcategory, display: Mapping[str, str]) -> tuple[str, ...]:
    """The readable form of a subcategory's name, where it has one."""
    return (display[leaf.name],) if leaf.name in display else ()


def load_taxonomy(path: Path | None = None) -> Taxonomy:
    """Read a taxonomy file of one, two or three levels.

    Args:
        path: the file; None gives the built-in taxonomy, that of SPA-VL.

    Raises:
        DataError: it is not YAML, not of that form, or names a subcategory twice; all mistakes are listed.
    """
    if path is None:
        return _built_in()
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise _unreadable(error, str(path)) from error
    return _parsed(text, str(path))


@cache
def _built_in() -> Taxonomy:
    return _parsed((files("spavl") / "data" / "taxonomy.yaml").read_text("utf-8"), BUILT_IN)


def _parsed(text: str, source: str) -> Taxonomy:
    try:
        tree = load_yaml(text)
    except yaml.YAMLError as error:
        raise _unreadable(error, source) from error
    if not isinstance(tree, dict):
        raise DataError("A taxonomy is a mapping with one tree in it", where=source, try_=SHAPES)
    try:
        file = TaxonomyFile.model_validate(tree)
    except ValidationError as error:
        problems = [_sentence(tree, one) for one in error.errors()]
        raise DataError("\n".join(problems), where=source, try_=SHAPES) from None
    if problems := list(_problems(file)):
        raise DataError("\n".join(problems), where=source, try_="mend these names; a name is a subcategory's identity")
    return Taxonomy(list(file.leaves()), file.display, source, LEVELS[file.trees[0]])


def _unreadable(error: Exception, source: str) -> DataError:
    return DataError(f"The taxonomy cannot be read: {' '.join(str(error).split())}", where=source)


def _problems(file: TaxonomyFile) -> Iterator[str]:
    """What is wrong with a file of the right form, one sentence each."""
    if len(file.trees) != 1:
        yield "A taxonomy has exactly one of `domains`, `categories` and `subcategories`" + (
            f", and here are {' and '.join(f'`{tree}`' for tree in file.trees)}" if file.trees else ", and here is none"
        )
        return
    leaves = list(file.leaves())
    for topic, leaf in leaves:
        if not _NAME.fullmatch(leaf.name):
            yield (
                f"`{leaf.name}` cannot name a subcategory, for folders and ids are named after it: leave out slashes, "
                "and dots and spaces at its edges"
            )
        if twice := [word for word, n in Counter(map(str.casefold, leaf.keywords)).items() if n > 1]:
            yield f"`{topic.path()}` has the keyword `{twice[0]}` twice"
    yield from _standing_twice(leaves)
    yield from _ambiguous(leaves, file.display)
    yield from _shown_for_nothing(leaves, file.display)


def _standing_twice(leaves: Sequence[tuple[Topic, Subcategory]]) -> Iterator[str]:
    for name, n in Counter(topic.class3 for topic, _ in leaves).items():
        if n > 1:
            places = [topic.path() for topic, _ in leaves if topic.class3 == name]
            yield f"Subcategory `{name}` stands {n} times in the taxonomy: {'; '.join(places)}"


def _ambiguous(leaves: Sequence[tuple[Topic, Subcategory]], display: Mapping[str, str]) -> Iterator[str]:
    """Aliases and readable forms that can mean something else too: a folder named so would be misunderstood."""
    meant: dict[str, dict[str, str]] = {}
    for topic, _ in leaves:
        for kind, name in (("domain", topic.class1), ("category", topic.class2)):
            meant.setdefault(_letters(name), {})[name] = f"the {kind} `{name}`"
    for _, leaf in leaves:
        meant.setdefault(_letters(leaf.name), {})[leaf.name] = f"the subcategory `{leaf.name}`"
    for _, leaf in leaves:
        for alias in (*leaf.aliases, *_readable(leaf, display)):
            others = [what for name, what in meant.get(_letters(alias), {}).items() if name != leaf.name]
            if others:
                yield f"`{alias}`, an alias of `{leaf.name}`, can also mean {' or '.join(others)}"
            meant.setdefault(_letters(alias), {})[leaf.name] = f"the subcategory `{leaf.name}`"


def _shown_for_nothing(leaves: Sequence[tuple[Topic, Subcategory]], display: Mapping[str, str]) -> Iterator[str]:
    names = list(dict.fromkeys(n for topic, _ in leaves for n in (topic.class1, topic.class2, topic.class3) if n))
    for label in display:
        if label not in names:
            yield f"`display` has `{label}`, which is no name of the tree{_suggestion(label, names)}"


def _suggestion(name: str, known: Sequence[str]) -> str:
    near = get_close_matches(name, known, n=1, cutoff=0.5)
    return f"; did you mean `{near[0]}`?" if near else ""


_PLAIN = {
    "dict_type": "should be a mapping of names",
    "list_type": "should be a list of subcategories",
    "tuple_type": "should be a list of texts",
    "string_type": "should be text (put quotes around it)",
    "model_type": "should be a name (in quotes where YAML reads it as something else) or a mapping with a `name`",
    "model_attributes_type": "should be a name or a mapping with a `name`",
    "too_short": "is empty",
    "literal_error": "should be 1",
}
"""Messages of pydantic that speak of Python types, said in terms of a taxonomy file."""


def _sentence(tree: Any, error: Any) -> str:
    """One pydantic error as a sentence that says where in the file it is."""
    *above, last = error["loc"]
    if error["type"] == "extra_forbidden":
        known = list((Subcategory if above else TaxonomyFile).model_fields)
        near = _suggestion(str(last), known) or f" (there are: {', '.join(known)})"
        there = f"`{_place(tree, above)}`" if above else "A taxonomy"
        return f"{there} has no field `{last}`{near}"
    if error["type"] == "missing":
        return f"`{_place(tree, above)}` has no `{last}`"
    place = _place(tree, above if last == "[key]" else error["loc"])
    message = _PLAIN.get(error["type"], error["msg"].removeprefix("Value error, "))
    if error["input"] is None:
        return f"`{place}` has no value: it {message}"
    shown = "" if error["type"] == "too_short" else f" is {_short(error['input'])}:"
    return f"`{place}`{shown} {message}"


def _short(value: Any) -> str:
    """A value in few letters, even where anchors make a small file a huge tree."""
    shown = reprlib.repr(value)
    return shown if len(shown) < 60 else f"{shown[:57]}…"


def _place(tree: Any, steps: Sequence[Any]) -> str:
    """Where a mistake is: the names on the way to it, that of a subcategory in place of its number."""
    names = []
    for step in steps:
        if isinstance(tree, list) and isinstance(step, int):
            tree = tree[step]
            name = tree.get("name") if isinstance(tree, dict) else tree
            names.append(name if isinstance(name, str) and name else f"number {step + 1}")
        else:
            tree = tree.get(step) if isinstance(tree, dict) else None
            names.append(str(step))
    return " / ".join(names)
