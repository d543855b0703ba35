"""Settings of benchmarks of skills: yes/no questions, options, numbers and graded answers; `vqa` has the others.

Options are written under the question, a line `A. text` each, in the order of the file.
"""

from __future__ import annotations

from typing import Literal

from spavl.config.benchmarks.published import PublishedBenchmark
from spavl.config.benchmarks.vqa import GqaBenchmark, TextVqaBenchmark, VizWizBenchmark, VqaV2Benchmark
from spavl.config.models import Label

BY_LETTER = "{question}\nAnswer with the option's letter from the given choices directly."
"""The prompt of LLaVA and lmms-eval for questions with options."""


class PopeBenchmark(PublishedBenchmark):
    """POPE: is an object in the picture (arXiv 2305.10355)."""

    kind: Literal["pope"] = "pope"
    """POPE."""
    name: Label = "pope"
    """Label of the benchmark in tables and reports."""
    path: str
    """One `coco_pope_*.json` or `*_pope_seem_*.json` file, a folder of them, or the Hub's Parquet files."""
    images: str | None = None
    """Folder of the COCO val2014 pictures (of GQA's, for the questions on those). None: they are in the Parquet."""
    prompt: str = "{question}"
    """Prompt of an item; placeholder: question. The bare question is official. LLaVA and lmms-eval add "Answer the
    question using a single word or phrase." in a new line; that changes the score, so say so."""


class ScienceQaBenchmark(PublishedBenchmark):
    """ScienceQA: school questions with options (arXiv 2209.09513)."""

    kind: Literal["scienceqa"] = "scienceqa"
    """ScienceQA."""
    name: Label = "scienceqa"
    """Label of the benchmark in tables and reports."""
    path: str
    """The folder with `problems.json` and `pid_splits.json`, or the Hub's Parquet files."""
    images: str | None = None
    """Folder that holds `SPLIT/ID/image.png`; the folder `images` beside `problems.json` unless named."""
    split: Literal["test", "val", "minitest", "minival"] = "test"
    """Which of its splits."""
    with_picture: bool = True
    """Only the questions that have a picture, which is called ScienceQA-IMG. `false`: all of them."""
    prompt: str = BY_LETTER
    """Prompt of an item; placeholder: question, which has `Context: HINT` before it where there is a hint. That of
    LLaVA and lmms-eval by default."""


class MmBenchBenchmark(PublishedBenchmark):
    """MMBench: twenty abilities by questions with options, in every rotation of these (arXiv 2307.06281)."""

    kind: Literal["mmbench"] = "mmbench"
    """MMBench."""
    name: Label = "mmbench"
    """Label of the benchmark in tables and reports."""
    path: str
    """The TSV file, such as `mmbench_dev_20230712.tsv` or `MMBench_DEV_EN.tsv`; or the Hub's Parquet files."""
    language: Literal["en", "cn"] = "en"
    """Which of the Hub's folders is read."""
    circular: bool = True
    """A question is right only if it is answered rightly with its options in every order of a rotation. Rotations that
    the file does not have are made. `false`: each question is asked once."""
    prompt: str = BY_LETTER
    """Prompt of an item; placeholder: question, which has the hint in a line before it. That of LLaVA by default;
    lmms-eval writes hint, question and "There are several options:" in one line."""


class SeedBenchBenchmark(PublishedBenchmark):
    """SEED-Bench: nine abilities on pictures by questions with four options (arXiv 2307.16125); not its videos."""

    kind: Literal["seed-bench"] = "seed-bench"
    """SEED-Bench."""
    name: Label = "seed-bench"
    """Label of the benchmark in tables and reports."""
    path: str
    """`SEED-Bench.json`, or the Hub's Parquet files. The file of the second version is read too, with `partial: true`,
    for its count is another."""
    images: str | None = None
    """Folder of the pictures, which are called by `data_id`. None: they are in the Parquet."""
    prompt: str = BY_LETTER
    """Prompt of an item; placeholder: question. That of LLaVA and lmms-eval by default; the paper ranks the options by
    their likelihood and asks for none."""


class MathVistaBenchmark(PublishedBenchmark):
    """MathVista, the 1,000 questions of `testmini`: mathematics in pictures (arXiv 2310.02255)."""

    kind: Literal["mathvista"] = "mathvista"
    """MathVista."""
    name: Label = "mathvista"
    """Label of the benchmark in tables and reports."""
    path: str
    """`testmini.json` or its folder, or the Hub's Parquet files."""
    images: str | None = None
    """Folder that the pictures' paths, such as `images/1.jpg`, are relative to; that of the file unless named."""
    prompt: str = "{question}"
    """Prompt of an item; placeholder: question, which is written as the official query: question and unit, choices as
    `(A) text`, a hint on the form of the answer, and "Solution:"."""


class MmmuBenchmark(PublishedBenchmark):
    """MMMU, the 900 questions of `validation`: college subjects, with up to seven pictures (arXiv 2311.16502)."""

    kind: Literal["mmmu"] = "mmmu"
    """MMMU."""
    name: Label = "mmmu"
    """Label of the benchmark in tables and reports."""
    path: str
    """Folder of the Hub's Parquet files, those of all subjects or of some."""
    prompt: str = "{question}"
    """Prompt of an item; placeholder: question. What LLaVA and lmms-eval ask for stands in the question already:
    "Answer with the option's letter from the given choices directly.", and "Answer the question using a single word or
    phrase." where there are no options."""


class MmVetBenchmark(PublishedBenchmark):
    """MM-Vet: 218 open questions, graded from 0 to 1 by a language model (arXiv 2308.02490). Needs a guard."""

    kind: Literal["mm-vet"] = "mm-vet"
    """MM-Vet."""
    name: Label = "mm-vet"
    """Label of the benchmark in tables and reports."""
    path: str
    """The folder with `mm-vet.json` and `images/`, or the Hub's Parquet files."""
    prompt: str = "{question}"
    """Prompt of an item; placeholder: question. The bare question is official; lmms-eval asks for reasoning before
    it."""


SkillBenchmark = (
    PopeBenchmark
    | ScienceQaBenchmark
    | MmBenchBenchmark
    | SeedBenchBenchmark
    | TextVqaBenchmark
    | VqaV2Benchmark
    | VizWizBenchmark
    | GqaBenchmark
    | MathVistaBenchmark
    | MmmuBenchmark
    | MmVetBenchmark
)
"""All of them."""
