"""Settings of benchmarks of helpfulness."""

from __future__ import annotations

from typing import Literal

from spavl.config.benchmarks.published import PublishedBenchmark
from spavl.config.models import Label

HelpfulPart = Literal["helpful-base", "helpful-online", "helpful-rejection-sampled"]
"""Parts of HH-RLHF whose answers were compared for helpfulness; each is a folder."""


class AnthropicHelpfulBenchmark(PublishedBenchmark):
    """Anthropic-Helpful: the test dialogues of HH-RLHF, text alone; answers are compared with the chosen one.

    Needs a judge (arXiv 2204.05862)."""

    kind: Literal["anthropic-helpful"] = "anthropic-helpful"
    """Anthropic-Helpful."""
    name: Label = "anthropic-helpful"
    """Label of the benchmark in tables and reports."""
    path: str
    """The folder of HH-RLHF, with `helpful-base/test.jsonl.gz`; or that file alone, which is then of the one part."""
    parts: tuple[HelpfulPart, ...] = ("helpful-base",)
    """Which parts are asked."""
    turns: Literal["all", "first"] = "all"
    """How much of a dialogue is asked: all up to its last question, or its first question alone."""


HelpfulBenchmark = AnthropicHelpfulBenchmark
"""All of them."""
