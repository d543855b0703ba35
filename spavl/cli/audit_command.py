"""The commands `spavl audit` and `spavl clean`. Without logic."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from spavl.pipeline.audit import Audited

audit_app = typer.Typer()
Source = Annotated[str, typer.Argument(metavar="SOURCE", help="A run folder, or preference pairs of any public form.")]


@audit_app.command(epilog="Example: [bold]spavl audit runs/first[/bold]")
def audit(
    source: Source,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="The folder of the audit.", show_default="RUN/audit, or audit-NAME"),
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first so many pairs.")] = None,
    settings: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Settings: limits (`audit:`), and the judges which probes ask.")
    ] = None,
    probe: Annotated[
        list[str] | None, typer.Option(help="Ask the judges too: necessity (of pictures) or wording. Repeatable.")
    ] = None,
    n: Annotated[int, typer.Option("--n", min=1, help="Pairs that a probe asks about.")] = 200,
    allow_code: Annotated[
        bool, typer.Option("--allow-code", help="Run Python classes of your own that the settings name.")
    ] = False,
    json_out: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False,
    fail: Annotated[bool, typer.Option("--fail", help="Exit with status 4 where a fault is found.")] = False,
) -> None:
    """What is wrong with a preference dataset: a sentence, findings with intervals, a page, and the pairs concerned."""
    from spavl.cli.terminal import out as console
    from spavl.cli.terminal import print_json, say
    from spavl.pipeline.audit_files import FILE, read_audit
    from spavl.pipeline.audit_with import audit_source
    from spavl.progress import TerminalProgress

    made = audit_source(source, out=out, limit=limit, settings=settings, probes=probe or (), sample=n,
                        progress=TerminalProgress(console), allow_code=allow_code)  # fmt: skip
    if json_out:
        print_json(read_audit(made.folder))
    else:
        _print_audited(made)
        say(f"\nAudit:  {made.folder / 'audit.html'} ({FILE} and findings.parquet beside it)\n"
            f"Next:   {_next(shlex.quote(source), made, out, limit)}")  # fmt: skip
    if made.failed:
        raise typer.Exit(3)
    if fail and made.faults:
        raise typer.Exit(4)


def _next(source: str, made: Audited, out: Path | None, limit: int | None) -> str:
    """What may follow: the suspected pairs left out, or training."""
    suspected = sorted(made.suspects, key=lambda kind: -made.suspects[kind])
    if not suspected or not made.suspects[suspected[0]]:
        return f"train on it, or `spavl export {source} --as FORM --out FOLDER`"
    named = (f" --audit {shlex.quote(str(out))}" if out else "") + (f" --limit {limit}" if limit else "")
    return (
        f"`spavl clean {source} --drop {suspected[0]}{named} --out cleaned` leaves those suspected pairs out; "
        "`--drop` takes any kind of them, or several"
    )


def _print_audited(made: Audited) -> None:
    from spavl.cli.terminal import say, table

    rows = [["fault" if one.weight == "fault" else "", one.kind, one.subject, one.what] for one in made.findings]
    table("Findings", ["", "kind", "of", "what"], rows, right=4)
    reasons: dict[str, list[str]] = {}
    for kind, why in made.not_possible.items():
        reasons.setdefault(why, []).append(kind)
    for why, kinds in reasons.items():
        say(f"Not told ({', '.join(kinds)}): {why}")
    if suspects := {kind: count for kind, count in made.suspects.items() if count}:
        say("Suspected pairs: " + ", ".join(f"{kind} {count:,}" for kind, count in suspects.items()))
    say(made.verdict, style="bold")


@audit_app.command(epilog="Example: [bold]spavl clean runs/first --drop contradictions --out cleaned[/bold]")
def clean(
    source: Source,
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="The folder of the new dataset.")],
    drop: Annotated[list[str], typer.Option(help="Kind of finding; several with commas, or repeated.")],
    audited: Annotated[
        Path | None, typer.Option("--audit", metavar="FOLDER", help="Folder of the audit, where it was named.")
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="As it was audited.")] = None,
) -> None:
    """Write a dataset without the pairs that its audit suspects of some kinds of faults."""
    from spavl.cli.terminal import out as console
    from spavl.cli.terminal import say
    from spavl.pipeline.audit import AuditRequest
    from spavl.pipeline.clean import DROPPED
    from spavl.pipeline.clean import clean as cleaned
    from spavl.plural import plural
    from spavl.progress import TerminalProgress
    from spavl.rows import listed

    kinds = [kind.strip() for several in drop for kind in several.split(",") if kind.strip()]
    made = cleaned(AuditRequest(source=source, out=audited, limit=limit), kinds, out, TerminalProgress(console))
    for kind in dict.fromkeys(kinds):
        say(f"dropped {made.by_kind.get(kind, 0):,}: {kind}")
    for reason, count in made.dataset.malformed.items():
        say(f"left out {count:,}: {reason}")
    if made.dataset.unread:
        say(f"Not read, and not in the new dataset: {listed(made.dataset.unread)}")
    say(f"\n{plural(made.dataset.kept, 'pair')}: {out} (what was dropped: {DROPPED})\n"
        f"Next:   `spavl align SETTINGS --pairs {shlex.quote(str(out))}`")  # fmt: skip
