"""The command `spavl import`: a preference dataset of any public form into a folder of our own. Without logic."""

from __future__ import annotations

import shlex
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from spavl.pipeline.imports import Imported

import_app = typer.Typer()
MOST_NAMES = 8
"""Most columns and files that are named of those that were not read."""


class SourceForm(StrEnum):
    """What a source may be read as: a form, or a dataset that has it."""

    spa_vl = "spa-vl"
    """question, chosen, rejected."""
    trl = "trl"
    """TRL: standard, conversational, implicit prompt."""
    hh_rlhf = "hh-rlhf"
    """Texts of Human and Assistant."""
    sharegpt = "sharegpt"
    """LLaMA-Factory."""
    alpaca = "alpaca"
    """LLaMA-Factory."""
    ms_swift = "ms-swift"
    """ms-swift."""
    two_responses = "two-responses"
    """Two answers and marks on them."""
    rlhf_v = "rlhf-v"
    """A pair as JSON in `text`."""
    vlfeedback = "vlfeedback"
    """Several rated answers."""
    beavertails_v = "beavertails-v"
    """As two-responses."""
    align_anything = "align-anything"
    """As two-responses."""
    rlaif_v = "rlaif-v"
    """As spa-vl."""
    vlguard = "vlguard"
    """Labelled requests, of which no pairs are made."""


class Preferred(StrEnum):
    """Which of two answers is preferred."""

    safer = "safer"
    """The safer one."""
    more_helpful = "more_helpful"
    """The more helpful one."""


@import_app.command(
    name="import", epilog="Example: [bold]spavl import sqrti/SPA-VL --meta meta_files --out data/spa-vl[/bold]"
)
def import_dataset(
    source: Annotated[str, typer.Argument(
        metavar="SOURCE", help="A file, a folder, a `datasets` folder, or OWNER/NAME:CONFIG/SPLIT of the Hub, of which "
        "config and split may be left out; `*` stands for every config.")],
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="Folder of the imported dataset.")],
    form: Annotated[SourceForm | None, typer.Option("--as", help="What it is. Default: told by its columns.")] = None,
    prefer: Annotated[Preferred | None, typer.Option(
        help="Which answer is the chosen one, where the source says which is safer and which is more helpful.")] = None,
    image_folder: Annotated[Path | None, typer.Option(
        metavar="FOLDER", help="Folder of the pictures that are named by paths. Default: that of each file.")] = None,
    meta: Annotated[Path | None, typer.Option(
        metavar="FOLDER", help="`meta_files` of SPA-VL: classes, question types, rationales, sources, labels.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first so many rows.")] = None,
    again: Annotated[bool, typer.Option("--again", help="Import anew even where no file has changed.")] = False,
) -> None:  # fmt: skip
    """Import a preference dataset of any public form; every command then reads the folder as its own."""
    from spavl.cli.terminal import out as console
    from spavl.pipeline.imports import ImportChoices, import_pairs
    from spavl.progress import TerminalProgress

    choices = ImportChoices(
        form=form.value if form else None, prefer=prefer.value if prefer else None, images=image_folder, meta=meta,
        limit=limit,
    )  # fmt: skip
    found = import_pairs(source, out, choices, again=again, progress=TerminalProgress(console))
    _print_imported(found)


def _print_imported(found: Imported) -> None:
    from spavl.cli.terminal import say, table
    from spavl.plural import plural

    rows = [[one.file, one.form, _some(one.unread)] for one in found.read_as]
    table("Read", ["file", "as", "columns that were not read"], rows, right=3)
    if found.left_out:
        rows = [[one.reason, "; ".join(one.places), f"{one.rows:,}"] for one in found.left_out]
        table("Left out", ["why", "first places", "rows"], rows, right=2)
    if found.joined is not None:
        rows = [[what, f"{n:,} of {found.joined.pairs:,}"] for what, n in found.joined.found.items()]
        table("From the meta files", ["what", "pairs"], rows)
        if found.joined.empty:
            table("Left empty", ["why", "count"], [[why, f"{n:,}"] for why, n in found.joined.empty.items()])
    if found.passed_over:
        more = f" and {len(found.passed_over) - MOST_NAMES:,} more" if len(found.passed_over) > MOST_NAMES else ""
        say(f"Not read: {', '.join(found.passed_over[:MOST_NAMES])}{more} (no split for training)")
    if found.repeated_ids:
        say(f"With the `pair_id` of an earlier pair: {plural(found.repeated_ids, 'pair')}")
    were = " (as before: no file has changed)" if found.was_there else ""
    made = plural(found.rows, "labelled request" if found.labelled else "pair")
    say(f"\n{made} of {plural(found.read, 'row')} read, in {found.folder}{were}")
    folder = shlex.quote(str(found.folder))
    if found.labelled:
        say("No pairs: each request has one answer, and none is made up.")
        say(f"Next:   `spavl qualify SETTINGS --guard NAME --examples {folder}/labelled.parquet`")
        return
    say(f"Next:   `spavl audit {folder}`, or `spavl align SETTINGS --pairs {folder}`")


def _some(names: tuple[str, ...]) -> str:
    from spavl.rows import listed

    more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    return f"{listed(names[:MOST_NAMES])}{more}" if names else "–"
