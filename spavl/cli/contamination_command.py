"""The command `spavl contamination`: what a dataset shares with benchmarks or another dataset. Without logic."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from spavl.contamination.table import Counts
    from spavl.pipeline.contamination import Contamination, ContaminationRequest

contamination_app = typer.Typer()


Against = Annotated[
    list[str] | None,
    typer.Option(
        metavar="PATH", help="Another dataset, a file or folder of questions, or a folder of pictures. Repeatable."
    ),
]
Out = Annotated[
    Path | None,
    typer.Option(
        metavar="FOLDER", help="Folder of what is found.", show_default="RUN/contamination, or contamination-NAME"
    ),
]
Text = Annotated[
    float | None, typer.Option(min=0.2, max=1.0, help="Least similarity of nearly equal texts.", show_default="0.55")
]
Bits = Annotated[
    int | None,
    typer.Option(
        min=0, max=64, help="Most bits of 256 by which the hashes of nearly equal pictures differ.", show_default="31"
    ),
]
Drop = Annotated[
    list[str] | None,
    typer.Option(
        metavar="KIND", show_default="all",
        help="With --clean: kinds whose pairs are left out (exact, near, picture_same, picture_near, picture_cropped); "
        "several with commas, or repeated.",
    ),
]  # fmt: skip
Crops = Annotated[
    bool, typer.Option(" /--no-crops", help="Do not look for parts of pictures, which takes most of the time.")
]


@contamination_app.command(
    epilog="Example: [bold]spavl contamination runs/first --settings my.yaml --clean data/clean[/bold]"
)
def contamination(
    source: Annotated[
        str, typer.Argument(metavar="SOURCE", help="A preference dataset of any public form, or a run folder.")
    ],
    against: Against = None,
    settings: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A settings file: its `evaluate.benchmarks` are compared.")
    ] = None,
    out: Out = None,
    clean: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Write the pairs that share nothing there (Hub schema).")
    ] = None,
    drop: Drop = None,
    text: Text = None,
    bits: Bits = None,
    crops: Crops = True,
    fail: Annotated[bool, typer.Option("--fail", help="End with status 4 where anything is shared.")] = False,
    allow_code: Annotated[
        bool, typer.Option("--allow-code", help="Run benchmarks of your own code that the settings name.")
    ] = False,
) -> None:  # fmt: skip
    """Find the texts and pictures that a dataset shares with benchmarks or another dataset; no model is called."""
    from spavl.cli.terminal import out as console
    from spavl.pipeline.contamination import ContaminationRequest, settings_session
    from spavl.pipeline.contamination import contamination as find
    from spavl.progress import TerminalProgress

    progress = TerminalProgress(console)
    given = {"threshold": text, "distance": bits, "drop": _kinds(drop)}
    changed: Any = {name: value for name, value in given.items() if value is not None}
    request = ContaminationRequest(source=source, against=against or (), out=out, clean=clean, crops=crops, **changed)
    opened = nullcontext() if settings is None else settings_session(settings, progress, allow_code=allow_code)
    with opened as session:
        found = find(request, progress, session)
    _print(found, request)
    if fail and found.shared:
        raise typer.Exit(4)


def _kinds(drop: list[str] | None) -> list[str] | None:
    named = [kind.strip() for several in drop or () for kind in several.split(",") if kind.strip()]
    return named or None


def _print(found: Contamination, request: ContaminationRequest) -> None:
    from spavl.cli.terminal import say, table

    kinds = ["text", "near text", "picture", "near picture", "cropped picture"]
    head = ["compared with", "items", "shared", "pairs", *kinds, "both"]
    table("What the dataset shares", head, [_row(one) for one in found.by_other], right=1)
    for one in found.by_other:
        if one.note:
            say(f"{one.against}: {one.note}{': drop the pairs that share with it' if one.pairs else ''}")
        if one.unread:
            say(f"{one.against}: {one.unread:,} pictures cannot be read, and were not compared")
    if found.not_compared:
        say(f"Not compared: {', '.join(found.not_compared)}. Items of a miniature world are drawn, and lie in no file")
    if found.unread:
        say(f"{found.unread:,} pictures of the dataset cannot be read, and were not compared")
    say(f"\n{found.shared:,} of {found.pairs:,} pairs share something: {found.folder / 'contamination.parquet'}")
    if found.cleaned is None:
        following = "`--clean FOLDER` writes the dataset without these pairs" if found.shared else "train on it"
    else:
        lost = sum(found.cleaned.malformed.values())
        malformed = f", {lost:,} are malformed" if lost else ""
        say(f"{found.cleaned.kept:,} are written, without the {found.cleaned.dropped:,} that share "
            f"{', '.join(request.drop)} (`--drop` chooses){malformed}: {found.cleaned.folder}")  # fmt: skip
        following = f"`spavl align --pairs {found.cleaned.folder}`"
    say(f"Next:   {following}")


def _row(one: Counts) -> list[str]:
    kinds = one.pairs_by_kind
    cells = (one.items, one.items_shared, one.pairs, kinds["exact"], kinds["near"], kinds["picture_same"],
             kinds["picture_near"], kinds["picture_cropped"], one.pairs_both)  # fmt: skip
    return [one.against, *(f"{cell:,}" for cell in cells)]
