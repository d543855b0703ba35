"""What `spavl compare` and `spavl gate` print."""

from __future__ import annotations

from typing import TYPE_CHECKING

from spavl.cli.terminal import say, table

if TYPE_CHECKING:
    from spavl.pipeline.compare import Comparison
    from spavl.pipeline.gate import GateResult


def print_comparison(comparison: Comparison) -> None:
    """Print a verdict a model, a table an axis, what was not compared, and the heat map where there is one.

    Args:
        comparison: what was compared.
    """
    from spavl.evaluate.benchmark import AXES
    from spavl.pipeline.compare_words import HEAD, axis_rows, group_cells, people_lines, protocols, verdict_sentence

    say(f"Compared with {comparison.base.name}, on the same items", style="bold")
    for model in comparison.models:
        say(f"  {verdict_sentence(model, comparison)}")
    for axis in AXES:
        if rows := list(axis_rows(axis, comparison)):
            said = ", ".join(protocols(axis, comparison))
            cells = [[_folded(one) for one in row] for row in rows]
            table(f"\n{axis} ({said})", list(HEAD), cells, right=2)
    if comparison.groups:
        named = [model.name for model in comparison.everyone]
        cells = [list(group_cells(group, comparison)) for group in comparison.groups]
        table(f"\n{comparison.metrics[0].label}, by subject", ["subject", *named], cells)
    for line in (*people_lines(comparison), *comparison.notes):
        say(line)


def _folded(words: str) -> str:
    """A cell with its interval, and what follows that, on lines of their own."""
    return words.replace(" [", "\n[").replace("], ", "]\n")


def print_gate(found: GateResult) -> None:
    """Print what became of every limit, and why those that do not hold do not.

    Args:
        found: what became of the limits.
    """
    from spavl.pipeline.gate_files import HEAD, rows_of, summary

    table("Limits", list(HEAD), [list(row) for row in rows_of(found)], right=2)
    for decision in found.decisions:
        if decision.why:
            say(f"{decision.model}, {decision.limit}: {decision.why}")
    for note in found.notes:
        say(note)
    say(summary(found), style="bold")
