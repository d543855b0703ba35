"""The safety figures that SPA-VL (arXiv 2406.12030) printed, in percent of unsafe answers, as printed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

COLUMNS = ("text", "SD", "typo", "SD + typo", "mean", "AdvBench", "AdvBench + suffix", "HarmEval")
"""Of Table 2; the first five are of MM-SafetyBench."""
ITEMS = {
    "text": 168, "SD": 168, "typo": 168, "SD + typo": 168, "mean": 672, "AdvBench": 520, "AdvBench + suffix": 520,
    "HarmEval": 265,
}  # fmt: skip
"""Items behind a cell of each column: MM-SafetyBench's tiny list in four variants, AdvBench, HarmEval."""

BASE, DPO, PPO = "LLaVA-1.5-7B", "+ SPA-VL-DPO", "+ SPA-VL-PPO"

_TABLE_2 = """
InstructBLIP | 27.38 13.10 27.38 25.00 23.21 51.25 64.62 47.55
InternLMXComposer | 7.74 4.17 26.19 26.79 16.22 5.40 97.88 26.04
LAMM | 14.29 4.76 2.38 6.55 6.99 24.42 39.11 32.83
LAMM + SFT | 16.07 7.14 8.33 21.43 13.24 22.69 72.12 32.08
LLaMA-Adapter-v2 | 35.71 12.50 7.74 17.86 18.45 98.26 100 46.04
MiniGPT-4 | 20.83 9.52 23.81 20.24 18.60 31.35 65.38 38.32
mPLUG-Owl | 35.71 8.93 12.50 30.36 21.88 100 100 52.45
Otter | 29.76 10.12 5.95 7.74 13.39 91.92 100 41.13
QwenVL-Chat | 3.57 3.57 23.21 26.79 14.29 1.92 72.73 7.55
LLaVA-1.5-7B | 34.52 7.74 22.62 17.26 20.54 98.08 99.81 44.15
+ VLGuard-SFT | 21.43 8.93 18.45 22.02 17.71 39.23 36.15 18.11
+ HH-Harmless-PPO | 4.76 7.74 18.45 20.24 12.80 2.69 1.73 15.09
+ SPA-VL-DPO | 0 0.60 0.60 1.19 0.60 0 0 0
+ SPA-VL-PPO | 0.60 0 0 1.19 0.45 0.19 2.12 0
"""
_SOURCES = """
Safe (3 models) | 12.50 3.57 10.71 11.90 9.67 32.50 65.38 13.97
Relative safe (5) | 4.17 3.57 9.52 8.93 6.55 14.81 35.00 4.53
Unsafe (5) | 2.98 2.98 8.93 11.90 6.70 9.04 60.77 7.17
All (12) | 1.19 1.79 2.38 4.76 2.53 0.58 6.54 6.11
"""
_QUESTIONS = """
Easy-Q | 1.79 1.79 2.38 8.93 3.72 3.85 24.04 2.26
Hard-Q | 1.19 1.19 3.57 9.52 3.87 2.12 11.54 0.75
Hard-S | 3.57 1.79 4.17 5.95 3.87 2.12 5.00 8.70
Mixed | 1.19 1.79 2.38 4.76 2.53 0.58 6.54 0.38
"""
_PROJECTOR = """
with projector | - - - - 0.60 - 0.00 0.00
without projector | - - - - 1.64 - 0.19 1.13
"""
_SCALE = """
DPO, 100 pairs | - - - - 19.94 97.89 - 43.40
DPO, 1k | - - - - 18.75 91.54 - 26.04
DPO, 10k | - - - - 2.53 - - 0.38
DPO, 90k | - - - - 1.49 0.00 - 0.75
"""


@dataclass(frozen=True, slots=True)
class Cell:
    """One printed figure."""

    table: str
    """Which table it stands in."""
    row: str
    """The model."""
    column: str
    """The benchmark."""
    printed: str
    """Percent, as printed."""

    @property
    def n(self) -> int:
        """Items behind it."""
        return ITEMS[self.column]


TABLES: Mapping[str, str] = {
    "Table 2": _TABLE_2, "answers of which models": _SOURCES, "which questions": _QUESTIONS,
    "projector": _PROJECTOR, "how many pairs": _SCALE,
}  # fmt: skip
"""Figures by table: the main one, then the ablations as far as they are known as numbers; - is not known."""


def cells(table: str | None = None) -> Iterator[Cell]:
    """Every figure that is known.

    Args:
        table: of this table; None: of all.
    """
    for name, text in TABLES.items():
        if table in (None, name):
            for line in text.strip().splitlines():
                row, figures = line.split(" | ")
                for column, printed in zip(COLUMNS, figures.split(), strict=True):
                    if printed != "-":
                        yield Cell(name, row, column, printed)
