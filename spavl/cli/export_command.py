"""The command `spavl export`: a dataset in the form of another trainer, on disk or on the Hub. Without logic."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from spavl.pipeline.exports import Exported

export_app = typer.Typer()
MOST_REASONS = 8
"""Most reasons of refused rows that are printed."""


def _form_names(incomplete: str) -> list[str]:
    """What a shell offers for a form that is typed in part."""
    from spavl.pipeline.exports import FORMS

    return [one for one in FORMS if one.startswith(incomplete)]


Source = Annotated[str, typer.Argument(metavar="SOURCE", help="A run folder, or preference pairs of any public form.")]
FormName = Annotated[
    str,
    typer.Option(
        "--as", metavar="FORM", autocompletion=_form_names,
        help="trl, trl-conversational, llama-factory-sharegpt, llama-factory-alpaca, ms-swift, align-anything, spa-vl, "
        "jsonl, csv, parquet, or guard (rows for training a guard).",
    ),
]  # fmt: skip
Folder = Annotated[Path, typer.Option(metavar="FOLDER", help="The folder that is written.")]
Trim = Annotated[
    bool, typer.Option("--trim", help="Take white space off the start of a question where the form cannot keep it.")
]
ReadAs = Annotated[
    str | None, typer.Option(metavar="FORM", help="The source's form, where columns fit several (`align.data.form`).")
]
Prefer = Annotated[
    str | None, typer.Option(metavar="WHICH", help="safer or more_helpful, where the source says both of two answers.")
]
Push = Annotated[
    str | None,
    typer.Option(metavar="OWNER/NAME", help="Push it to the Hub, private and gated; the token is in HF_TOKEN."),
]
Public = Annotated[
    bool, typer.Option("--public", help="With --push: everybody sees that it is there, and may ask for access.")
]


@export_app.command(
    epilog="Example: [bold]spavl export runs/first --as llama-factory-sharegpt --out for-llama-factory[/bold]"
)
def export(
    source: Source,
    form: FormName,
    out: Folder,
    trim: Trim = False,
    read_as: ReadAs = None,
    prefer: Prefer = None,
    push: Push = None,
    public: Public = False,
) -> None:
    """Write a dataset for another trainer, with a card of measured numbers; push it to the Hub if asked."""
    from spavl.cli.terminal import out as console
    from spavl.cli.terminal import say
    from spavl.pipeline.exports import ExportRequest, reading_of
    from spavl.pipeline.exports import export as write_export
    from spavl.progress import TerminalProgress

    if public and push:
        say(f"--public: everybody will see that {push} is there. It holds harmful questions, answers and pictures, and "
            "is still gated: you grant access one by one.", style="bold red")  # fmt: skip
    request = ExportRequest(
        source=source, form=form, out=out, trim=trim, repo=push, public=public, reading=reading_of(read_as, prefer)
    )
    _print_exported(write_export(request, TerminalProgress(console)))


def _print_exported(found: Exported) -> None:
    from spavl.cli.terminal import say
    from spavl.plural import plural
    from spavl.rows import listed

    for name, split in found.splits.items():
        say(f"{name}: {plural(split.rows, 'row')} in {found.folder / split.file}")
        for reason, count in split.refused.most_common(MOST_REASONS):
            say(f"  left out, {plural(count, 'row')}: {reason} (such as {', '.join(split.examples[reason])})")
        if (others := len(split.refused) - MOST_REASONS) > 0:
            say(f"  left out for {plural(others, 'other reason')}: see export.json")
    if found.unknown:
        say(f"Not read from the source: {listed(found.unknown)}.")
    if found.lost:
        say(f"Not in this form: {', '.join(found.lost)}.")
    if found.unread:
        say(f"Kept, and not read by its trainer: {', '.join(found.unread)}.")
    if found.address:
        seen = "public and gated" if found.public else "private and gated"
        say(f"Pushed: {found.address} ({seen})")
    say(f"\nCard:   {found.folder / 'README.md'}\nNext:   " + found.next.replace("\n", "\n        "))
