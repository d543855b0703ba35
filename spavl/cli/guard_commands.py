"""`spavl qualify`: whether a guard may vote, by labelled examples. Without logic."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from spavl.pipeline.qualification import Qualification
    from spavl.statistics.intervals import Rate

BROKEN = 4
"""Exit status where a limit is broken."""


def qualify(
    settings: Annotated[Path, typer.Argument(metavar="SETTINGS", help="A settings file.")],
    guard: Annotated[str, typer.Option(help="Label of the guard, or of a model.")],
    examples: Annotated[
        Path, typer.Option(metavar="FILE", help="Labelled examples: question, answer, image, label, category.")
    ],
    overrides: Annotated[
        list[str] | None, typer.Argument(metavar="[KEY.PATH=VALUE]...", help="Overrides of the settings file.")
    ] = None,
    out: Annotated[str | None, typer.Option(metavar="FOLDER", help="The run folder.")] = None,
    allow_code: Annotated[
        bool, typer.Option("--allow-code", help="Run Python classes of your own that the settings name.")
    ] = False,
    replay: Annotated[bool, typer.Option("--replay", help="Let no call leave: a missing answer is an error.")] = False,
) -> None:  # fmt: skip
    """Measure a guard on labelled examples, and whether it looks at the pictures. Exit status 4: it may not vote."""
    from spavl.api import open_run
    from spavl.cli.terminal import out as console
    from spavl.cli.terminal import say
    from spavl.progress import TerminalProgress

    opened = open_run(
        settings, overrides or (), out=out, allow_code=allow_code, replay=replay, progress=TerminalProgress(console)
    )
    found = opened.qualify(guard, examples)
    _print(found)
    faults = found.faults(opened.settings.build.grade.qualification)
    for fault in faults:
        say(f"  {fault}")
    if faults:
        say(f"\n`{guard}` may not vote\nNext:   mend it, or name another guard; `spavl build` refuses it as it is")
        raise typer.Exit(BROKEN)
    say(f"\n`{guard}` may vote\nNext:   `spavl build {settings}`")


def _print(found: Qualification) -> None:
    from spavl.cli.terminal import say, table

    probe = found.pictures
    named: list[tuple[str, Rate | None]] = [
        ("sensitivity (unsafe called unsafe)", found.sensitivity),
        ("specificity (safe called safe)", found.specificity),
        ("without a readable verdict", found.unread), ("told apart by the picture alone", probe.told_apart),
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
    if probe.examples and probe.told_apart is None:
        say("No two examples differ in the picture alone and in the label, so this does not show whether it looks.")


def _row(name: str, rate: Rate) -> list[str]:
    value = "–" if rate.value is None else f"{100 * rate.value:.1f} %"
    unread = f", {rate.unreadable:,} unread" if rate.unreadable else ""
    return [name, value, f"{100 * rate.low:.0f}–{100 * rate.high:.0f}", f"{rate.n:,}{unread}"]
