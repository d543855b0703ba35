"""Settings of benchmarks of the user's own, and of the miniature world."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, NonNegativeInt, PositiveInt, model_validator

from spavl.config.base import Section
from spavl.config.models import Label

AnswerForm = Literal["auto", "text", "option", "number"]
"""How short answers are read."""
WorldLanguage = Literal["closed", "real"]
"""Languages of the miniature world."""


class FileBenchmark(Section):
    """Items of your own, in any common form of file.

    A row has `question` and, where they apply, `id`, `image` or `images` (or `image_path`, or `image_1`, `image_2` …),
    `expected`, `also`, `options`, `tolerance`, `reference`, `caption`, `warning`, `subset`, `harmful`, `benign`,
    `heldout`, `group`, `cluster`, `pair`, `split`, `system`, `earlier`, `added`, `meta`."""

    kind: Literal["file"] = "file"
    """Items of your own."""
    name: Label
    """Label of the benchmark in tables and reports."""
    path: str | None = None
    """JSON lines, a JSON array, a JSON object by id, CSV, TSV or Parquet, or one of these as `.gz`. None: see
    `files`."""
    files: dict[str, str] = {}
    """Several such files, by the name of the split that each is, in place of `path`. The split enters the ids of the
    items, so that files may use the same ones."""
    images: str | None = None
    """Folder that picture paths are relative to; the file's own folder unless named."""
    subset: Literal["harm", "benign", "skill", "yes-no", "graded"] | None = None
    """Subset of the rows that say none of `subset`, `harmful` and `benign`. None: such rows are refused."""
    ignore: tuple[str, ...] = ()
    """Columns that are passed over; any other that is not known is refused, for it may be a misspelling."""
    prompt: str = "{question}"
    """Prompt of an item; placeholder: question."""
    scoring: Literal["exact", "soft"] = "exact"
    """How far an answer of the subset `skill` is right. `exact`: it is one of those expected, or not. `soft`: as in
    VQA, a third for each of the expected answers that agrees with it, 1 at most; `expected` lists what people said."""
    tolerance: Annotated[str, Field(pattern=r"^\d+(\.\d+)?(e-?\d+)?\s?%?$")] | None = None
    """How far off a number may be that is expected: absolute (`0.05`), or of the right one (`1%`). A row may say
    another. None: not at all."""
    shuffle: NonNegativeInt | None = None
    """Seed by which the options of every question are shuffled. None: they stand in the order of the file."""
    circular: bool = False
    """Ask every question with options once for each of these, in every rotation; right is what is right in all."""
    answers: AnswerForm = "auto"
    """How answers of the subset `skill` are read. `option`: the letter that is chosen, or the text of an option that
    the question lists. `number`: the number, with its sign. `text`: the words, without regard to case, articles and
    punctuation. `auto`: by the expected answer, which is an option where it is one capital letter up to J."""
    limit: PositiveInt | None = None
    """Only so many items, from all subsets and groups alike; items of one pair or question together."""

    @model_validator(mode="after")
    def _one_of_path_and_files(self) -> Self:
        if (self.path is None) == (not self.files):
            raise ValueError("name the file by `path`, or several by `files`, which are by split")
        return self


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
