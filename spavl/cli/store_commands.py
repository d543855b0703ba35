"""`spavl store`: look into the call store, mend it, make it small, take answers out of it. Without logic."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from spavl.models.calls.repair import StoreHealth

store_app = typer.Typer(
    no_args_is_help=True,
    help="Look into the call store, mend it, make it small, export it.",
    epilog="Example: [bold]spavl store count[/bold]",
)


class Forgettable(StrEnum):
    """Statuses of calls without an answer, which alone may be dropped."""

    failed = "failed"
    empty = "empty"
    invalid = "invalid"
    filtered = "filtered"


DEFAULT = Path(".spavl/calls.sqlite")
StoreFile = Annotated[Path, typer.Argument(metavar="FILE", help="The call store, as the setting `store` names it.")]


@store_app.command(epilog="Example: [bold]spavl store count .spavl/calls.sqlite[/bold]")
def count(file: StoreFile = DEFAULT) -> None:
    """Count the calls by model and status, with their tokens and what they cost."""
    from spavl.cli.terminal import table
    from spavl.models.calls.maintenance import count as counted

    found = counted(file)
    rows = [
        [one.model, one.status, f"{one.calls:,}", f"{one.prompt_tokens:,}", f"{one.completion_tokens:,}",
         f"{one.cost:,.2f}"]
        for one in found
    ]  # fmt: skip
    table("Calls", ["model", "status", "calls", "prompt tokens", "answer tokens", "cost"], rows, right=2)
    total = sum(one.calls for one in found)
    _end(f"{total:,} calls in {file}", f"`spavl store check {file}` looks at every row of it")


@store_app.command(epilog="Example: [bold]spavl store explain 3f2a90[/bold]")
def explain(
    key: Annotated[str, typer.Argument(help="A call's key, or the beginning of it.")],
    file: StoreFile = DEFAULT,
    reveal: Annotated[bool, typer.Option("--reveal", help="Print the texts too, which may do harm.")] = False,
) -> None:
    """Show what was asked and what came back: request, status and reason. Texts stay closed."""
    from spavl.cli.terminal import say
    from spavl.models.calls.maintenance import explain as explained

    call = explained(file, key)
    for name, value in _shown(call, reveal=reveal).items():
        say(f"{name:>17}  {value}")
    _end(f"Call {call['key']} of {file}", "`--reveal` prints the texts" if not reveal else "`spavl store count`")


@store_app.command(epilog="Example: [bold]spavl store check --repair[/bold]")
def check(
    file: StoreFile = DEFAULT,
    repair: Annotated[
        bool, typer.Option("--repair", help="Take damaged rows out, so that their calls are made again.")
    ] = False,
) -> None:
    """Look at every row for damage. Nothing is changed without `--repair`, and no whole row is ever lost."""
    from spavl.models.calls.repair import check as checked
    from spavl.models.calls.repair import repair as repaired

    found = repaired(file) if repair else checked(file)
    _print_health(found)
    if found.is_whole:
        _end(f"All {found.whole:,} rows of {file} are whole", "nothing to do")
    elif found.kept:
        _end(f"{found.whole:,} whole rows are in {file}; what is damaged was moved to {found.kept}",
             "run your last command again; it asks only for what is missing")  # fmt: skip
    else:
        _end(f"{file} is damaged; {found.whole:,} rows of it are whole", f"`spavl store check {file} --repair`")
        raise typer.Exit(2)


@store_app.command(epilog="Example: [bold]spavl store compact .spavl/calls.sqlite[/bold]")
def compact(file: StoreFile = DEFAULT) -> None:
    """Write the file anew without the room of rows that were dropped or replaced."""
    from spavl.models.calls.maintenance import compact as compacted

    before, after = compacted(file)
    _end(f"{file}: {before / 2**20:,.1f} MiB before, {after / 2**20:,.1f} MiB now", f"`spavl store count {file}`")


@store_app.command(epilog="Example: [bold]spavl store forget --status invalid --model gpt-4[/bold]")
def forget(
    status: Annotated[Forgettable, typer.Option(help="What became of the calls.")],
    model: Annotated[str, typer.Option(help="Part of the identity of the models, as `count` shows it.")] = "",
    file: StoreFile = DEFAULT,
) -> None:
    """Drop calls that brought no answer, so that they are made again. Answers are never dropped."""
    from spavl.models.calls.maintenance import forget as forgotten

    dropped = forgotten(file, status=status.value, model=model)
    _end(f"{dropped:,} {status.value} calls were dropped from {file}", "run your last command again; it asks for them")


@store_app.command(epilog="Example: [bold]spavl store export calls.parquet[/bold]")
def export(
    out: Annotated[Path, typer.Argument(help="The file to write: `.jsonl` or `.parquet`.")],
    file: StoreFile = DEFAULT,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
) -> None:
    """Write all calls as JSON lines or Parquet. It holds every text, those that may do harm too."""
    from spavl.models.calls.maintenance import export as exported

    written = exported(file, out, force=force)
    _end(f"{written:,} calls in {out}", "open it with pandas, DuckDB or `datasets`")


def _shown(call: dict[str, Any], *, reveal: bool) -> dict[str, str]:
    """What is printed of a call, line by line."""
    import json
    import time

    request = call["request"]
    turns = request.get("turns", [])
    lines = {
        "model": request.get("model", ""),
        "sampling": json.dumps(request.get("sampling", {})),
        "turns": ", ".join(f"{turn['role']} ({len(turn['text']):,} characters, {len(turn['images'])} pictures)"
                           for turn in turns),
        "status": call["status"], "finish reason": call["finish_reason"], "detail": call["detail"],
        "tokens": f"{call['prompt_tokens']:,} in the prompt, {call['completion_tokens']:,} in the answer",
        "cost": f"{call['cost']:g}", "seconds": f"{call['latency']:.2f}", "attempts": str(call["attempts"]),
        "time": time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(call["time"])), "server's build": call["fingerprint"],
        "damage": call["fault"], "answer": f"{len(call['text']):,} characters (closed)",
    }  # fmt: skip
    if reveal:
        texts = {f"turn {number}": turn["text"] for number, turn in enumerate(turns, 1)}
        lines |= {"system": request.get("system", ""), **texts, "thought": call["thought"], "answer": call["text"]}
    return {name: value for name, value in lines.items() if value}


def _print_health(found: StoreHealth) -> None:
    from spavl.cli.terminal import say

    unreadable = "an unknown number of" if found.unreadable is None else f"{found.unreadable:,}"
    say(f"{found.whole:,} whole rows, {found.damaged:,} damaged, {unreadable} unreadable")
    for line in found.named:
        say(f"  {line}")
    if found.damaged > len(found.named):
        say(f"  … and {found.damaged - len(found.named):,} more")
    if found.structure:
        say(f"  SQLite says of the file: {found.structure}")


def _end(made: str, next_step: str) -> None:
    from spavl.cli.terminal import say

    say(f"\n{made}\nNext:   {next_step}")
