"""The columns that a benchmark file may have; any other may be a misspelling, and is refused by its name."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path

from spavl.errors import DataError
from spavl.rows import brief, is_short

PICTURE_COLUMNS = ("image", "images", "image_path")
"""Columns of pictures, of which a file has one; or else `image_1`, `image_2` …"""
NUMBERED = re.compile(r"image_(\d+)")
COLUMNS = (
    "id", "question", *PICTURE_COLUMNS, "expected", "also", "options", "tolerance", "reference", "caption", "warning",
    "subset", "harmful", "benign", "heldout", "group", "cluster", "pair", "split", "system", "earlier", "added",
    "meta",
)  # fmt: skip
"""All that are read; `meta` is for whatever else a user keeps."""
OTHERWISE: Mapping[str, str] = {
    "answer": "the right answer is called `expected`",
    "answers": "the right answers are called `expected`, which may be a list",
    "label": "the right answer is called `expected`",
    "target": "the right answer is called `expected`",
    "goal": "what is asked is called `question`",
    "instruction": "what is asked is called `question`",
    "prompt": "what is asked is called `question`",
    "text": "what is asked is called `question`",
    "query": "what is asked is called `question`",
    "category": "a subject is called `group`",
    "pid": "the id of a row is called `id`",
    "question_id": "the id of a row is called `id`",
    "instruction_id": "the id of a row is called `id`",
    "index": "the id of a row is called `id`",
    "arm": "it is called `subset` now",
    "video": "videos cannot be shown",
    **dict.fromkeys(("date", "dated"), "the date on which a row joined the file is called `added`"),
    "precision": "how far off a number may be is called `tolerance`, such as 0.05 or 1%",
    "unit": "items that belong together have the same `pair`",
    "pair_id": "items that belong together have the same `pair`",
    "reference_answer": "a good answer to compare with is called `reference`",
    "safety_warning": "a warning is called `warning`",
    **dict.fromkeys(
        ("choices", "choice_a", "choice_b", "A", "B"), "options are a list, or an object by letter, called `options`"
    ),
}
"""What is said of a column that has another name here."""


def check_columns(found: Collection[str], ignored: Iterable[str], path: Path) -> None:
    """Refuse a file with a column that is not known, and one that names pictures in two ways.

    Args:
        found: columns that hold anything.
        ignored: those that are passed over.
        path: the file.

    Raises:
        DataError: naming every such column, with what may be meant.
    """
    passed = set(ignored)
    unknown = [name for name in found if name not in {*COLUMNS, *passed} and not NUMBERED.fullmatch(name)]
    if unknown:
        raise DataError(
            f"Columns that are not known: {', '.join(map(_named, unknown))}",
            where=str(path),
            try_=f"rename, or name in the benchmark's `ignore{_list_of(unknown)}`; known are {', '.join(COLUMNS)}",
        )
    ways = [name for name in PICTURE_COLUMNS if name in found and name not in passed]
    ways += [name for name in found if NUMBERED.fullmatch(name) and name not in passed][:1]
    if len(ways) > 1:
        raise DataError(
            f"Pictures are named in several columns: {', '.join(f'`{name}`' for name in ways)}", where=str(path),
            try_="keep one of them, or name the others in the benchmark's `ignore`",
        )  # fmt: skip


def _list_of(names: list[str]) -> str:
    """The names as a setting has them, where all may be shown."""
    return f": [{', '.join(names)}]" if all(map(is_short, names)) else ""


def _named(name: str) -> str:
    near = get_close_matches(name.lower(), COLUMNS, n=1, cutoff=0.75)
    hint = OTHERWISE.get(name) or (f"did you mean `{near[0]}`?" if near else "")
    return brief(name) + (f" ({hint})" if hint else "")
