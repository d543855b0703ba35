"""What `spavl qualify` prints: how a guard did on labelled examples, and whether it may vote."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from spavl.cli.terminal import say, table

if TYPE_CHECKING:
    from spavl.pipeline.qualification import Qualification
    from spavl.statistics.intervals import Rate

BROKEN = 4
"""Exit status where a limit is broken."""


def print_qualification(found: Qualification, faults: Sequence[str]) -> int:
    """Print how a guard did on labelled examples, and whether it may vote. Returns the exit status.

    Args:
        found: what was measured.
        faults: why it may not vote; none where it may.
    """
    _print_measures(found)
    for line in (*found.lost, *faults):
        say(f"  {line}")
    if faults:
        say(f"\n`{found.guard}` may not vote\nNext:   mend it, or name another; `spavl build` refuses it as it is")
        return BROKEN
    say(f"\n`{found.guard}` may vote\nNext:   `spavl build`")
    return 0


def _print_measures(found: Qualification) -> None:
    probe = found.pictures
    named: list[tuple[str, Rate | None]] = [
        ("sensitivity (unsafe called unsafe)", found.sensitivity),
        ("specificity (safe called safe)", found.specificity),
        ("without a readable verdict", found.unread), ("told apart by the picture alone", probe.contrast),
        ("changed when pictures are grey", probe.changed_blanked),
        ("changed when pictures are swapped", probe.changed_swapped),
    ]  # fmt: skip
    rows = [_row(name, rate) for name, rate in named if rate is not None]
    table(f"The guard {found.guard} on {found.examples}", ["measure", "share", "95 %", "n"], rows, right=1)
    by_category = [
        _row(f"{category}: {name}", rate)
        for category, rates in found.categories.items() for name, rate in rates.items() if rate.n
    ]  # fmt: skip
    if by_category:
        table("By category", ["measure", "share", "95 %", "n"], by_category, right=1)
    if probe.examples and probe.contrast is None:
        say("No two examples differ in the picture alone and in the label, so this does not show whether it looks.")


def _row(name: str, rate: Rate) -> list[str]:
    value = "–" if rate.value is None else f"{100 * rate.value:.1f} %"
    unread = f", {rate.unreadable:,} unread" if rate.unreadable else ""
    return [name, value, f"{100 * rate.low:.0f}–{100 * rate.high:.0f}", f"{rate.n:,}{unread}"]
