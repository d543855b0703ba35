"""The card of a dataset: what is in it, by measured numbers, what is not, and what it is for."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from spavl.plural import plural
from spavl.rows import listed
from spavl.tables.query import query
from spavl.taxonomy import TOP_LEVEL, TOP_NAME
from spavl.visible_text import visible

MOST_SUBJECTS, MOST_LICENSES = 60, 20
"""Most rows of the table of subjects, and most licences that are named."""
_TOPICS = f"""
SELECT coalesce(nullif({TOP_NAME}, ''), 'without a class') AS name, count(*) FROM pairs
GROUP BY name ORDER BY count(*) DESC, name LIMIT {MOST_SUBJECTS}
"""
_COUNTS = f"SELECT {TOP_LEVEL}, count(*) - count(chosen_safe), count(*) - count(rejected_safe) FROM pairs"
_LICENSES = f"""
SELECT coalesce(nullif(license, ''), 'unknown') AS name, count(*) FROM pairs
GROUP BY name ORDER BY count(*) DESC, name LIMIT {MOST_LICENSES}
"""
_CARD = """---
{{ card_data }}
---
# Safety preference pairs

{{ "{:,}".format(rows) }} rows in the form of {{ form }}, written by `spavl {{ command }}`. The questions and
answers may be harmful: that is what the data are about.

| split | rows | file |
|---|--:|---|
{% for name, split in splits.items() -%}
| {{ name }} | {{ "{:,}".format(split.rows) }} | `{{ split.file }}` |
{% endfor %}
{% if topics -%}
| {{ level }} | pairs of {{ subjects_of }} |
|---|--:|
{% for name, count in topics -%}
| {{ name }} | {{ "{:,}".format(count) }} |
{% endfor %}
{% endif -%}
{% for line in lines -%}
- {{ line }}
{% endfor %}
## Columns

{% for name, kind in columns -%}
- `{{ name }}`: {{ kind }}
{% endfor %}
## Use

```
{{ next }}
```

Intended for making vision-language models safer, and for research on that.
"""
_MARKDOWN = re.compile(r"[\\`*_\[\]!|#]")
_GATE = (
    "This dataset holds harmful questions, answers and pictures. Access is given for making models safer and for "
    "research on that."
)


@dataclass(frozen=True, slots=True)
class CardSplit:
    """A split of the dataset."""

    file: str
    """Path of the file, relative to the card."""
    rows: int
    """Its rows."""
    refused: Mapping[str, int] = field(default_factory=dict)
    """Rows that are not in it, by the reason."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """What is in a table of pairs, counted."""

    level: str
    """What the subjects are: domains, categories or subcategories."""
    topics: Sequence[tuple[str, int]]
    """Subjects with their numbers of pairs, the most first."""
    licenses: Sequence[tuple[str, int]]
    """Licences of pictures with their numbers of pairs, the most first."""
    ungraded: tuple[int, int]
    """Chosen and rejected answers without a verdict of a guard."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CardFacts:
    """What a card says."""

    form: str
    """Whose form the rows are in."""
    command: str
    """The command that wrote them."""
    splits: Mapping[str, CardSplit]
    """By name."""
    schema: pa.Schema
    """Columns of the files."""
    next: str
    """How the rows are used."""
    measured: Mapping[str, Any] = field(default_factory=dict)
    """Shares and AUCs of the pairs, as `spavl.dataset.shortcuts` gives them; empty where the rows are no pairs."""
    contents: Contents | None = None
    """What is in them; None where the rows are no pairs."""
    counted: str = "`train`"
    """Which splits these two are of."""
    notes: Sequence[str] = ()
    """What else is to be said of the rows, a sentence or more each."""
    lost: Sequence[str] = ()
    """Fields that the form has no room for."""
    unread: Sequence[str] = ()
    """Fields that are kept, and that the trainer does not read."""
    unknown: Sequence[str] = ()
    """Columns of the source that nothing here reads."""
    verdict: str = ""
    """The sentence of `spavl audit` on the pairs; empty where there was no audit."""


def contents_of(pairs: Path) -> Contents:
    """What is in a table of pairs, counted.

    Args:
        pairs: table with the three classes, `license`, `chosen_safe` and `rejected_safe`.
    """
    ((level, *ungraded),) = query(_COUNTS, pairs=pairs)
    topics, licenses = (query(sql, pairs=pairs) for sql in (_TOPICS, _LICENSES))
    return Contents(level=level, topics=topics, licenses=licenses, ungraded=(ungraded[0], ungraded[1]))


def dataset_card(facts: CardFacts) -> str:
    """The card as Markdown; the metadata at its top tell the Hub and `datasets` where the splits are.

    Args:
        facts: what it says.
    """
    from huggingface_hub import DatasetCard, DatasetCardData

    files = [{"split": name, "path": split.file} for name, split in facts.splits.items() if split.rows]
    metadata = DatasetCardData(
        task_categories=["image-text-to-text"], extra_gated_prompt=_GATE,
        tags=["safety", "preference", "dpo", "spa-vl", "not-for-all-audiences"],
        configs=[{"config_name": "default", "data_files": files}],
    )  # fmt: skip
    card = DatasetCard.from_template(
        metadata, template_str=_CARD, rows=sum(split.rows for split in facts.splits.values()),
        form=facts.form.replace("<", "&lt;"), command=facts.command, splits=facts.splits, subjects_of=facts.counted,
        next=facts.next, lines=_lines(facts),
        level=facts.contents.level if facts.contents else "",
        topics=[(_inert(name), count) for name, count in facts.contents.topics] if facts.contents else [],
        columns=[(one.name, _kind(one.type)) for one in facts.schema],
    )  # fmt: skip
    return f"{card}\n"


def _lines(facts: CardFacts) -> list[str]:
    found: list[str] = []
    if facts.contents:
        found += _measured_lines(facts.measured, facts.contents.ungraded)
        named = ", ".join(f"{_inert(name)} ({n:,})" for name, n in facts.contents.licenses)
        found.append(f"Licences of the pictures: {named or 'unknown'}.")
    found += facts.notes
    if facts.verdict:
        found.append(f"`spavl audit` says: {_inert(facts.verdict)}")
    refused = Counter[str]()
    for split in facts.splits.values():
        refused.update(split.refused)
    found += [f"Left out, {plural(count, 'row')}: {reason}." for reason, count in refused.most_common()]
    if facts.lost:
        found.append(f"Not in this form, though the source has them: {', '.join(facts.lost)}.")
    if facts.unknown:
        found.append(f"Not read, though the source has them: {_inert(listed(facts.unknown))}.")
    if facts.unread:
        found.append(f"Kept in columns of their own, which the trainer does not read: {', '.join(facts.unread)}.")
    return found


def _measured_lines(measured: Mapping[str, Any], ungraded: tuple[int, int]) -> list[str]:
    chosen, rejected = _share(measured["chosen_unsafe"]), _share(measured["rejected_unsafe"])
    length, source = _auc(measured["length_auc"]), _auc(measured["source_auc"])
    return [
        f"Answers graded unsafe by the guard, of those with a verdict: chosen {chosen}, rejected {rejected}. Without a "
        f"verdict: {ungraded[0]:,} chosen, {ungraded[1]:,} rejected. `rejected` means *less preferred*, not harmful: "
        "the label mixes harmlessness and helpfulness.",
        "What tells chosen from rejected answers, as the probability that a chosen one ranks above a rejected one "
        f"(0.50 tells nothing): length alone {length}, the source of the answer alone {source}. The chosen answer is "
        f"the longer one in {_share(measured['chosen_longer'])} of the pairs.",
    ]


def _share(value: float | None) -> str:
    return "unknown" if value is None else f"{100 * value:.1f} %"


def _auc(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.2f}"


def _inert(text: str) -> str:
    """A text from a dataset as the card may show it: one line, in which Markdown and HTML mean nothing."""
    plain = " ".join(visible(text).split()).replace("&", "&amp;").replace("<", "&lt;")
    return _MARKDOWN.sub(r"\\\g<0>", plain)


def _kind(kind: pa.DataType) -> str:
    if pa.types.is_list(kind):
        return f"list of {_kind(kind.value_type)}"
    if pa.types.is_struct(kind):
        names = [one.name for one in kind]
        return "picture (bytes, path)" if names == ["bytes", "path"] else f"({', '.join(names)})"
    return str(kind)
