"""Settings of benchmarks of the user's own, and of the miniature world."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import PositiveInt

from spavl.config.base import Section
from spavl.config.models import Label

AnswerForm = Literal["auto", "text", "option", "number"]
"""How short answers are read."""
WorldLanguage = Literal["closed", "real"]
"""Languages of the miniature world."""


class FileBenchmark(Section):
    """Items of your own, in any common form of file.

    A row has `question` and, where they apply, `id`, `image` or `images` (or `image_path`, or `image_1`, `image_2` …),
    `expected`, `subset`, `harmful`, `benign`, `heldout`, `group`, `cluster`, `system`, `earlier`, `meta`."""

    kind: Literal["file"] = "file"
    """Items of your own."""
    name: Label
    """Label of the benchmark in tables and reports."""
    path: str
    """JSON lines, a JSON array, a JSON object by id, CSV, TSV or Parquet, or one of these as `.gz`."""
    images: str | None = None
    """Folder that picture paths are relative to; the file's own folder unless named."""
    subset: Literal["harm", "benign", "skill", "yes-no"] | None = None
    """Subset of the rows that say none of `subset`, `harmful` and `benign`. None: such rows are refused."""
    ignore: tuple[str, ...] = ()
    """Columns that are passed over; any other that is not known is refused, for it may be a misspelling."""
    prompt: str = "{question}"
    """Prompt of an item; placeholder: question."""
    answers: AnswerForm = "auto"
    """How answers of the subset `skill` are read. `option`: the letter that is chosen, or the text of an option that
    the question lists. `number`: the number, with its sign. `text`: the words, without regard to case, articles and
    punctuation. `auto`: by the expected answer, which is an option where it is one capital letter up to J."""
    limit: PositiveInt | None = None
    """Only so many items, from all subsets and groups alike."""


class MiniworldBenchmark(Section):
    """Fresh pictures and wordings of the built-in miniature world, scored by its truth."""

    kind: Literal["miniworld"] = "miniworld"
    """The miniature world."""
    name: Label = "miniworld"
    """Its two benchmarks are `requests` and `skill` in tables and reports; with another name than this, `NAME-requests`
    and `NAME-skill`."""
    per_subset: PositiveInt = 480
    """Items in each subset: harmful seen, harmful held-out, benign, naming, presence."""
    language: WorldLanguage = "closed"
    """`closed`: the closed language of the shipped checkpoints, read word for word. `real`: English, in which answers
    may be worded freely."""


class PythonBenchmark(Section):
    """A benchmark of your own: `package.module:function`, which returns a Benchmark. Needs `--allow-code`."""

    kind: Literal["python"] = "python"
    """A function of your own."""
    name: Label
    """Label of the benchmark in tables and reports."""
    target: str
    """`package.module:function`; it is called with `spavl.evaluate.BenchmarkTools` and the options."""
    options: dict[str, Any] = {}
    """Keyword arguments of the function."""
