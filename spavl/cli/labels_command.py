"""The commands `spavl labels export` and `spavl labels import`: labels in files of ours and of Label Studio."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

labels_app = typer.Typer(no_args_is_help=True, help="Labels of a review: written to files, and read from them.")
Review = Annotated[Path, typer.Argument(metavar="REVIEW", help="Folder of a review, such as RUN/review/first.")]


@labels_app.command("export", epilog="Example: [bold]spavl labels export runs/first/review/first labels.csv[/bold]")
def export_labels(
    review: Review,
    out: Annotated[Path, typer.Argument(metavar="FILE", help="A file that ends with .csv, .json or .jsonl.")],
    label_studio: Annotated[
        bool, typer.Option("--label-studio", help="Write the items as tasks of Label Studio, and its page beside them.")
    ] = False,
    pictures_at: Annotated[
        str, typer.Option(help="For Label Studio: the address of the pictures, before their keys.")
    ] = "/data/local-files/?d=",
) -> None:
    """Write all labels of a review, with the items that they are of; or its items for Label Studio."""
    from spavl.cli.terminal import say
    from spavl.labels.exchange import read_labels, write_labels
    from spavl.labels.label_studio import write_tasks

    found = read_labels(review)
    if label_studio:
        page = write_tasks(out, found.items, pictures_at=pictures_at)
        say(f"{len(found.items):,} tasks: {out}\nPage:   {page}\n"
            f"Next:   label them there, export JSON, and `spavl labels import {review} FILE`")  # fmt: skip
        return
    write_labels(out, found)
    for line in found.remarks:
        say(line)
    say(f"{len(found.labels):,} labels of {len(found.items):,} items: {out}\n"
        f"Next:   `build.labels={out}` lets them decide pairs on the next build")  # fmt: skip


@labels_app.command("import", epilog="Example: [bold]spavl labels import runs/first/review/first labels.csv[/bold]")
def import_labels(
    review: Review,
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="Labels as CSV, JSON or JSON lines, or an export of Label Studio.")
    ],
    of_another: Annotated[
        bool, typer.Option("--of-another-run", help="Take labels of another run too; they count where their ids do.")
    ] = False,
) -> None:
    """Add the labels of a file to a review. Done again, it adds none."""
    from spavl.cli.terminal import say
    from spavl.labels.exchange import database_of
    from spavl.labels.exchange import import_labels as added
    from spavl.labels.store import LabelStore

    with LabelStore(database_of(review)) as store:
        made = added(store, file, of_another=of_another)
    for line in made.remarks:
        say(line)
    if made.strangers:
        say(f"{made.strangers:,} are of items that the review does not have: kept, and counted in no estimate")
    say(f"{made.new:,} labels added, {made.there:,} were there already\nNext:   `spavl agreement` or `spavl calibrate`")
