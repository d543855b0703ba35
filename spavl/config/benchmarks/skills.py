"""Settings of benchmarks of skills."""

from __future__ import annotations

from typing import Literal

from pydantic import PositiveInt

from spavl.config.base import Section
from spavl.config.models import Label


class PopeBenchmark(Section):
    """POPE: is an object in the picture (arXiv 2305.10355). Its JSON-lines files and the COCO pictures."""

    kind: Literal["pope"] = "pope"
    """POPE."""
    name: Label = "pope"
    """Label of the benchmark in tables and reports."""
    path: str
    """One `coco_pope_*.json` file, or a folder of them."""
    images: str
    """Folder of the COCO val2014 pictures."""
    prompt: str = "{question}"
    """Prompt of an item; placeholder: question. LLaVA's runs add "Answer the question using a single word or phrase.";
    that changes the score, so say so."""
    limit: PositiveInt | None = None
    """Only so many items, from all files alike, as many of them to be answered yes as no."""


SkillBenchmark = PopeBenchmark
"""All of them."""
