"""Settings of benchmarks of short answers: VQAv2, TextVQA and VizWiz, which ten people answered, and GQA."""

from __future__ import annotations

from typing import Literal

from spavl.config.benchmarks.published import PublishedBenchmark
from spavl.config.models import Label

SHORTLY = "{question}\nAnswer the question using a single word or phrase."
"""The prompt of LLaVA and lmms-eval for short answers."""


class VqaV2Benchmark(PublishedBenchmark):
    """VQAv2, the 214,354 questions of `val`: short answers, which ten people gave too (arXiv 1612.00837)."""

    kind: Literal["vqav2"] = "vqav2"
    """VQAv2."""
    name: Label = "vqav2"
    """Label of the benchmark in tables and reports."""
    path: str
    """The folder with `v2_OpenEnded_mscoco_val2014_questions.json` and `v2_mscoco_val2014_annotations.json`, or the
    Hub's Parquet files."""
    images: str | None = None
    """Folder of the COCO val2014 pictures. None: they are in the Parquet."""
    prompt: str = SHORTLY
    """Prompt of an item; placeholder: question. That of LLaVA and lmms-eval by default."""


class TextVqaBenchmark(PublishedBenchmark):
    """TextVQA, the 5,000 questions of `val`: text in pictures, which ten people read too (arXiv 1904.08920)."""

    kind: Literal["textvqa"] = "textvqa"
    """TextVQA."""
    name: Label = "textvqa"
    """Label of the benchmark in tables and reports."""
    path: str
    """`TextVQA_0.5.1_val.json` or its folder, or the Hub's Parquet files."""
    images: str | None = None
    """Folder of the pictures, `train_images` of the published archive. None: they are in the Parquet."""
    ocr: bool = False
    """Write what an OCR read into the question, as `Reference OCR token: …` in a line of its own. LLaVA's published
    number has it (58.2), that of lmms-eval has not (about 46). Beside the JSON file the tokens are those of
    `TextVQA_Rosetta_OCR_v0.2_val.json`."""
    prompt: str = SHORTLY
    """Prompt of an item; placeholder: question. That of LLaVA and lmms-eval by default; lmms-eval also writes the
    question in small letters with a capital first."""


class VizWizBenchmark(PublishedBenchmark):
    """VizWiz, the 4,319 questions of `val`: asked by blind people, of which many cannot be answered (1802.08218)."""

    kind: Literal["vizwiz"] = "vizwiz"
    """VizWiz."""
    name: Label = "vizwiz"
    """Label of the benchmark in tables and reports."""
    path: str
    """`val.json` or its folder, or the Hub's Parquet files."""
    images: str | None = None
    """Folder of the pictures, `val` of the published archive. None: they are in the Parquet."""
    prompt: str = (
        "{question}\nWhen the provided information is insufficient, respond with 'Unanswerable'.\n"
        "Answer the question using a single word or phrase."
    )
    """Prompt of an item; placeholder: question. That of LLaVA and lmms-eval by default."""


class GqaBenchmark(PublishedBenchmark):
    """GQA, the 12,578 questions of `testdev_balanced`: relations in pictures, short answers (arXiv 1902.09506)."""

    kind: Literal["gqa"] = "gqa"
    """GQA."""
    name: Label = "gqa"
    """Label of the benchmark in tables and reports."""
    path: str
    """`testdev_balanced_questions.json` or its folder; or the Hub's folder that holds
    `testdev_balanced_instructions` and `testdev_balanced_images`."""
    images: str | None = None
    """Folder of the pictures, which are called by their ids. None: they are in the Parquet."""
    prompt: str = SHORTLY
    """Prompt of an item; placeholder: question. That of LLaVA and lmms-eval by default."""
