"""The dataset card of an export: what is in it, by measured numbers, what is not, and what it is for."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from spavl.interchange.writers.write import Written
from spavl.plural import plural
from spavl.rows import listed
from spavl.tables.query import query
from spavl.visible_text import visible

DOMAINS = 30
"""Most subjects of the table."""
_SUBJECT = "coalesce(nullif(class1, ''), nullif(class3, ''), 'without a class')"
_TOPICS = f"SELECT {_SUBJECT} AS name, count(*) FROM pairs GROUP BY name ORDER BY count(*) DESC, name LIMIT {DOMAINS}"
_LICENSES = "SELECT coalesce(license, 'unknown'), count(*) FROM pairs GROUP BY ALL ORDER BY count(*) DESC, 1 LIMIT 20"
_CARD = """---
{{ card_data }}
---
# Safety preference pairs

{{ "{:,}".format(rows) }} rows in the form of {{ form }}, written by `spavl export`. The questions and answers may be
harmful: that is what the data are about.

| split | rows | file |
|---|--:|---|
{% for name, split in splits.items() -%}
| {{ name }} | {{ "{:,}".format(split.rows) }} | `{{ split.file }}` |
{% endfor %}
{% if topics -%}
| domain | pairs of `train` |
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


@dataclass(frozen=True, slots=True, kw_only=True)
class CardFacts:
    """What a card says."""

    form: str
    """Whose form the rows are in."""
    splits: Mapping[str, Written]
    """By name."""
    schema: pa.Schema
    """Columns of the files."""
    next: str
    """How the rows are used."""
    measured: Mapping[str, Any] = field(default_factory=dict)
    """Shares and AUCs of the pairs, as `spavl.dataset.shortcuts` gives them; empty where the rows are no pairs."""
    topics: Sequence[tuple[str, int]] = ()
    """Subjects with their numbers of pairs."""
    licenses: Sequence[tuple[str, int]] = ()
    """Licences of pictures with their numbers of pairs."""
    lost: Sequence[str] = ()
    """Fields that the form has no room for."""
    unread: Sequence[str] = ()
    """Fields that are kept, and that the trainer does not read."""
    unknown: Sequence[str] = ()
    """Columns of the source that nothing here reads."""
    verdict: str = ""
    """The sentence of `spavl audit` on the pairs; empty where there was no audit."""


def topics_of(pairs: Path) -> list[tuple[str, int]]:
    """The domains of a table of pairs with their numbers, the most first.

    Args:
        pairs: table with `class1` and `class3`.
    """
    return [(str(name), int(count)) for name, count in query(_TOPICS, pairs=pairs)]


def licenses_of(pairs: Path) -> list[tuple[str, int]]:
    """The licences of a table of pairs with their numbers, the most first.

    Args:
        pairs: table with `license`.
    """
    return [(str(name), int(count)) for name, count in query(_LICENSES, pairs=pairs)]


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
        metadata, template_str=_CARD, rows=sum(split.rows for split in facts.splits.values()), form=facts.form,
        splits=facts.splits, topics=[(_inert(name), count) for name, count in facts.topics],
        lines=_lines(facts), next=facts.next,
        columns=[(one.name, _kind(one.type)) for one in facts.schema],
    )  # fmt: skip
    return f"{card}\n"


def _lines(facts: CardFacts) -> list[str]:
    found = _measured_lines(facts.measured) if facts.measured else []
    if facts.licenses:
        found.append(
            "Licences of the pictures: " + ", ".join(f"{_inert(name)} ({n:,})" for name, n in facts.licenses) + "."
        )
    if facts.verdict:
        found.append(f"`spavl audit` says: {_inert(facts.verdict)}")
    refused: Counter[str] = sum((split.refused for split in facts.splits.values()), start=Counter())
    found += [f"Left out, {plural(count, 'row')}: {reason}." for reason, count in refused.most_common()]
    if facts.lost:
        found.append(f"Not in this form, though the source has them: {', '.join(facts.lost)}.")
    if facts.unknown:
        found.append(f"Not read, though the source has them: {_inert(listed(facts.unknown))}.")
    if facts.unread:
        found.append(f"Kept in columns of their own, which the trainer does not read: {', '.join(facts.unread)}.")
    return found


def _measured_lines(measured: Mapping[str, Any]) -> list[str]:
    chosen, rejected = _share(measured["chosen_unsafe"]), _share(measured["rejected_unsafe"])
    length, source = _auc(measured["length_auc"]), _auc(measured["source_auc"])
    return [
        f"Answers graded unsafe by the guard, of those with a verdict: chosen {chosen}, rejected {rejected}. "
        "`rejected` means *less preferred*, not harmful.",
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
