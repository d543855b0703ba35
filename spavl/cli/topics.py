"""What the commands print of topics: the tree of a taxonomy, and what a dataset holds of each of its names."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from spavl.cli.terminal import out, print_json, say, table
from spavl.plural import plural

if TYPE_CHECKING:
    from spavl.records import Topic
    from spavl.report.coverage_data import CoverageShown
    from spavl.taxonomy import Taxonomy

TOPIC = 30
"""Columns of a terminal that are kept for the names of topics."""
COLUMN = 11
"""Columns of a terminal that a count takes at most, with the space behind it."""


def print_taxonomy(taxonomy: Taxonomy, *, as_json: bool = False) -> None:
    """Print the tree of a taxonomy with descriptions, keywords and aliases.

    Args:
        taxonomy: the taxonomy.
        as_json: print a list of its subcategories as JSON.
    """
    if as_json:
        say(json.dumps([_as_plain(taxonomy, topic) for topic in taxonomy.topics], indent=1, ensure_ascii=False))
        return
    before: tuple[str, ...] = ()
    for topic in taxonomy.topics:
        above = tuple(name for name in (topic.class1, topic.class2) if name)
        for depth, name in enumerate(above):
            if above[: depth + 1] != before[: depth + 1]:
                say(f"{'  ' * depth}{taxonomy.display(name)}", style="bold")
        before = above
        _print_subcategory(taxonomy, topic.class3, indent="  " * len(above))
    _print_totals(taxonomy)


def print_coverage(coverage: CoverageShown, *, as_json: bool = False) -> None:
    """Print what a dataset holds of every name of its taxonomy.

    Args:
        coverage: as a build noted it.
        as_json: print it as JSON.
    """
    if as_json:
        print_json(coverage)
        return
    heads = [column.replace(" ", "\n") for column in coverage.columns]
    fit = max(1, (out.width - TOPIC) // COLUMN)
    for first in range(0, len(heads), fit):
        some = slice(first, first + fit)
        rows = [
            [" " * max(0, row.depth - 1) + row.name, *map(_cell, row.counts[some], row.few[some])]
            for row in coverage.rows
        ]  # fmt: skip
        table(f"Coverage of {coverage.taxonomy}", ["topic", *heads[some]], rows)
    if coverage.thin:
        say("* few: less than a fifth of what the mean subcategory has.")
    if coverage.without_pictures:
        named = plural(len(coverage.without_pictures), "subcategory", "subcategories")
        say(f"{named} without any picture: {', '.join(coverage.without_pictures)}.")


def _cell(number: int, few: bool) -> str:
    return f"{number:,}{'*' if few else ' '}"


def _print_subcategory(taxonomy: Taxonomy, name: str, indent: str) -> None:
    readable = taxonomy.display(name)
    say(f"{indent}{name}{f' ({readable})' if readable != name else ''}", style="bold")
    if description := taxonomy.describe(name):
        say(f"{indent}  {description}")
    if keywords := taxonomy.keywords(name):
        say(f"{indent}  keywords: {', '.join(keywords)}")
    if aliases := taxonomy.aliases(name):
        say(f"{indent}  aliases: {', '.join(aliases)}")


def _print_totals(taxonomy: Taxonomy) -> None:
    domains = {topic.class1 for topic in taxonomy.topics} - {""}
    categories = {(topic.class1, topic.class2) for topic in taxonomy.topics if topic.class2}
    parts = [plural(len(domains), "domain")] if domains else []
    parts += [plural(len(categories), "category", "categories")] if categories else []
    say(f"\n{', '.join([*parts, plural(len(taxonomy.topics), 'subcategory', 'subcategories')])}.")


def _as_plain(taxonomy: Taxonomy, topic: Topic) -> dict[str, object]:
    name = topic.class3
    return {
        "class1": topic.class1, "class2": topic.class2, "class3": name, "label": taxonomy.display(name),
        "description": taxonomy.describe(name), "keywords": taxonomy.keywords(name), "aliases": taxonomy.aliases(name),
    }  # fmt: skip
