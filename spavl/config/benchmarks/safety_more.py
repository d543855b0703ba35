"""Settings of further benchmarks of safety: pairs of pictures, jailbreaks, several pictures, several turns."""

from __future__ import annotations

from typing import Literal

from spavl.config.benchmarks.published import PublishedBenchmark
from spavl.config.models import Label

Turns = Literal[1, 2, 4, 6, 8]
"""Length of a dialogue of SafeMT in turns of the user."""


class MssBenchmark(PublishedBenchmark):
    """MSSBench: one request beside a picture where it is harmless and one where it does harm (arXiv 2410.06172)."""

    kind: Literal["mssbench"] = "mssbench"
    """MSSBench."""
    name: Label = "mssbench"
    """Label of the benchmark in tables and reports."""
    path: str
    """`combined.json` or its folder, which also holds the folders `chat/` and `embodied/` of the pictures."""
    images: str | None = None
    """The folder that holds `chat/` and `embodied/`. None: that of `combined.json`."""
    parts: tuple[Literal["chat", "embodied"], ...] = ("chat", "embodied")
    """Which parts: questions to an assistant (`chat`), tasks of a household robot (`embodied`)."""
    prompt: str = "{question}"
    """Prompt of an item; placeholder: question. The bare request by default. The official instructions stand before it,
    one for each part: `PROMPT_CHAT_IF` and `PROMPT_EMBODIED_IF` in utils/prompts.py of eric-ai-lab/MSSBench; to follow
    them, enter each part as a benchmark of its own."""


class JailbreakVBenchmark(PublishedBenchmark):
    """JailBreakV-28K: jailbreak texts beside a picture, and pictures that hold the request (arXiv 2404.03027)."""

    kind: Literal["jailbreakv"] = "jailbreakv"
    """JailBreakV-28K."""
    name: Label = "jailbreakv"
    """Label of the benchmark in tables and reports."""
    path: str
    """The folder with `JailBreakV_28K.csv` or `mini_JailBreakV_28K.csv`, or one of these files."""
    images: str | None = None
    """The folder that the pictures' paths are relative to. None: that of the CSV file."""
    mini: bool = False
    """The 280 rows of the mini version, and not all 28,000."""
    prompt: str = "{question}"
    """Prompt of an item; placeholder: question. The bare jailbreak text is official."""


class MirSafetyBenchmark(PublishedBenchmark):
    """MIR-SafetyBench: two to four pictures that do harm by how they relate to each other (arXiv 2601.14127)."""

    kind: Literal["mir-safetybench"] = "mir-safetybench"
    """MIR-SafetyBench."""
    name: Label = "mir-safetybench"
    """Label of the benchmark in tables and reports."""
    path: str
    """The folder of its categories as `extract_data.py` writes it, or the Hub's Parquet files."""
    prompt: str = "{question}"
    """Prompt of an item; placeholder: question. The bare question is official."""


class SafeMtBenchmark(PublishedBenchmark):
    """SafeMT: one harmful request at the end of dialogues of one, two, four, six and eight turns (arXiv 2510.12133)."""

    kind: Literal["safemt"] = "safemt"
    """SafeMT."""
    name: Label = "safemt"
    """Label of the benchmark in tables and reports."""
    path: str
    """The folder with `1_turn.json`, `2_turn.json` and so on, or one above it; or the Hub's Parquet files."""
    images: str | None = None
    """The folder that holds a folder of pictures for every scenario. None: `images` beside the files."""
    turns: tuple[Turns, ...] = (1, 2, 4, 6, 8)
    """Dialogues of which lengths, each a file of its own."""
    prompt: str = "{question}"
    """Prompt of the last turn; placeholder: question."""


MoreSafetyBenchmark = MssBenchmark | JailbreakVBenchmark | MirSafetyBenchmark | SafeMtBenchmark
"""All of them."""
