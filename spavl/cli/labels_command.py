"""The commands `spavl labels draw`, `export` and `import`: what people label, and what they said. Without logic."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from spavl.cli.look_commands import RunFolder

if TYPE_CHECKING:
    from spavl.labels.store import LabelStore

labels_app = typer.Typer(no_args_is_help=True, help="Labels of a review: written to files, and read from them.")
Review = Annotated[Path, typer.Argument(metavar="REVIEW", help="Folder of a review, such as RUN/review/first.")]


@labels_app.command("draw", epilog="Example: [bold]spavl labels draw runs/first --n 500[/bold]")
def draw(
    folder: RunFolder,
    n: Annotated[int, typer.Option("--n", min=1, help="How many pairs or answers are drawn.")] = 500,
    answers: Annotated[
        bool, typer.Option("--answers", help="Draw answers of the evaluated models, by which guards are calibrated.")
    ] = False,
    name: Annotated[str, typer.Option(help="Name of the review.")] = "first",
    overlap: Annotated[float, typer.Option(min=0, max=1, help="Share that several annotators label.")] = 0.1,
    seed: Annotated[int, typer.Option(help="Of the draw.")] = 0,
) -> None:
    """Draw a stratified sample for people to label: the same run and settings draw the same. No model is called."""
    from spavl.review.make import ReviewSettings, folder_of, make_review
    from spavl.run import Run

    made = folder_of(folder, name)
    settings = ReviewSettings(kind="answers" if answers else "pairs", n=n, overlap=overlap, seed=seed)
    with make_review(Run(folder).found(), made, settings) as store:
        print_review(store)


def print_review(store: LabelStore) -> None:
    """Say what a review holds, and how people label it.

    Args:
        store: the review, open.
    """
    from spavl.cli.terminal import say
    from spavl.plural import plural

    made, labels = store.path.parent, len(store.labels())
    there = f", {plural(labels, 'label')} already" if labels else ""
    say(f"{plural(len(store), 'item')}{there}: {made}\n"
        f"Next:   `spavl review {made}` opens the page on which people label them; for Label Studio, "
        f"`spavl labels export {made} tasks.json --label-studio`")  # fmt: skip


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
    from spavl.labels.exchange import export_tasks, read_labels, write_labels
    from spavl.plural import plural

    found = read_labels(review)
    if label_studio:
        page = export_tasks(out, found, pictures_at=pictures_at)
        say(f"{len(found.items):,} tasks: {out}\nPage:   {page}\n"
            f"Next:   label them there, export JSON, and `spavl labels import {review} FILE`")  # fmt: skip
        return
    write_labels(out, found)
    for line in found.remarks:
        say(line)
    pairs = any(item.kind == "pair" for item in found.items)
    then = f"`build.labels={out}` lets them decide pairs on the next build"
    then = then if pairs else f"`evaluate.labels={out}` corrects rates by them; `spavl calibrate RUN` does it now"
    then = then if found.labels else f"nobody has labelled an item yet: `spavl review {review}`"
    say(f"{plural(len(found.labels), 'label')} of {plural(len(found.items), 'item')}: {out}\nNext:   {then}")


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
    from spavl.plural import plural

    with LabelStore(database_of(review)) as store:
        made = added(store, file, of_another=of_another)
    for line in made.remarks:
        say(line)
    if made.strangers:
        say(f"Of items that the review does not have: {made.strangers:,}, kept, and counted in no estimate")
    say(f"{plural(made.new, 'label')} added, {made.there:,} were there already\n"
        "Next:   `spavl agreement RUN` or `spavl calibrate RUN`")  # fmt: skip
