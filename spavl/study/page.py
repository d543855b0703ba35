"""The page of a study, from its folder alone."""

from __future__ import annotations

from pathlib import Path

from spavl.atomic import write_text
from spavl.study.results import Result, read_results

MARKDOWN = "study.md"
"""The page as text."""


def write_page(folder: Path) -> Path:
    """Write the page of a study. Returns its path.

    Args:
        folder: of the study, with its table of results.

    Raises:
        RunError: there are no results, or the page cannot be written.
    """
    results = read_results(folder)
    metrics = list(dict.fromkeys(one.label_of_metric for one in results if one.better != "neither"))
    rows = list(dict.fromkeys((one.label, one.seed) for one in results))
    by_row = {(one.label, one.seed, one.label_of_metric): one for one in results}
    lines = ["| arm | seed | " + " | ".join(metrics) + " |", "|---|--:|" + "--:|" * len(metrics)]
    for label, seed in rows:
        cells = [_cell(by_row.get((label, seed, metric))) for metric in metrics]
        lines.append(f"| {label} | {'' if seed is None else seed} | " + " | ".join(cells) + " |")
    write_text(folder / MARKDOWN, f"# {folder.resolve().name}\n\n" + "\n".join(lines) + "\n")
    return folder / MARKDOWN


def _cell(one: Result | None) -> str:
    return "–" if one is None or one.rate is None else f"{100 * one.rate:.1f} %"
