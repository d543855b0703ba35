"""The command `spavl grade`: stored answers under any guard. Without logic."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from spavl.cli.look_commands import RunFolder

if TYPE_CHECKING:
    from spavl.pipeline.regrade import Difference, Regrade, Regraded
    from spavl.statistics.intervals import Rate

grade_app = typer.Typer()
MOST_GROUPS = 3
"""Most groups that are named where two guards differ."""


@grade_app.command(epilog="Example: [bold]spavl grade runs/first --guard llama --guard big[/bold]")
def grade(
    folder: RunFolder,
    guard: Annotated[list[str], typer.Option(help="Label of a guard, or of a model. Repeatable.")],
    overrides: Annotated[
        list[str] | None,
        typer.Argument(metavar="[KEY.PATH=VALUE]...", help="Overrides of the settings, such as `guards=[…]`."),
    ] = None,
    settings: Annotated[
        Path | None, typer.Option(help="A settings file that lists guards and models. Default: the run's own.")
    ] = None,
    allow_code: Annotated[
        bool, typer.Option("--allow-code", help="Run Python classes of your own that the settings name.")
    ] = False,
    replay: Annotated[bool, typer.Option("--replay", help="Let no call leave: a missing answer is an error.")] = False,
) -> None:
    """Grade the stored answers of a run by any guard; no model answers again. Two guards are compared."""
    from spavl.api import open_run
    from spavl.cli.terminal import out as console
    from spavl.cli.terminal import say
    from spavl.progress import TerminalProgress

    opened = open_run(
        settings or folder / "settings.yaml", overrides or (), out=folder, allow_code=allow_code, replay=replay,
        progress=TerminalProgress(console),
    )  # fmt: skip
    found = opened.grade(guard)
    _print_regraded(found)
    say(f"\nGrades: {found.folder}\nNext:   `spavl evaluate` with `evaluate.guard` set to the one that you trust")
    if found.too_unread:
        raise typer.Exit(4)
    if found.failed:
        raise typer.Exit(3)


def _print_regraded(found: Regraded) -> None:
    from spavl.cli.terminal import say, table

    rows = [_grade_row(one) for one in found.grades]
    table("Stored answers, graded again", ["guard", "model", "benchmark", "rate", "95 %", "unread"], rows, right=3)
    if found.differences:
        head = ["two guards", "model", "benchmark", "the same", "κ", "differ most on"]
        table("On the same answers", head, [_difference_row(one) for one in found.differences], right=3)
        say("What they differ on stays closed: `spavl show RUN ID --benchmark NAME` shows an item.")
    for line in (*found.lost, *found.too_unread):
        say(line)


def _grade_row(one: Regrade) -> list[str]:
    what = "refusals" if one.tells == "refusal" else "unsafe"
    return [one.guard, one.model, one.benchmark, f"{_percent(one.rate)} {what} of {one.rate.n:,}",
            f"{100 * one.rate.low:.1f}–{100 * one.rate.high:.1f}", f"{one.rate.unreadable:,}"]  # fmt: skip


def _difference_row(one: Difference) -> list[str]:
    same, kappa = one.agreement.same, one.agreement.kappa
    named = [f"{group or 'no group'} ({n:,})" for group, n in list(one.groups.items())[:MOST_GROUPS]]
    ids = f"; such as {', '.join(one.items)}" if one.items else ""
    return [f"{one.first} and {one.second}", one.model, one.benchmark, f"{_percent(same)} of {same.n:,}",
            "–" if kappa is None else f"{kappa:.2f}", f"{', '.join(named) or '–'}{ids}"]  # fmt: skip


def _percent(rate: Rate) -> str:
    return "–" if rate.value is None else f"{100 * rate.value:.1f} %"
