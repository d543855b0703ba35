"""The commands `spavl agreement` and `spavl calibrate`: what people say of judges and guards. Without logic."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from spavl.cli.look_commands import RunFolder

if TYPE_CHECKING:
    from spavl.pipeline.calibrate import Calibrated

agreement_app = typer.Typer()
MOST_SHOWN = 10
"""Most pairs to fix that are printed; the file has all."""
Files = Annotated[
    list[Path] | None,
    typer.Option("--labels", metavar="FILE", help="Labels: CSV, JSON, or an export of Label Studio. Repeatable."),
]


@agreement_app.command(epilog="Example: [bold]spavl agreement runs/first --name first[/bold]")
def agreement(
    folder: RunFolder,
    name: Annotated[str | None, typer.Option(help="Name of the review. Default: the only one.")] = None,
    labels: Files = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write all numbers there too.")] = None,
) -> None:
    """How far people agree with the judges and with each other, who leans where, and which pairs are to be fixed."""
    from spavl.atomic import write_text
    from spavl.cli.terminal import say, table
    from spavl.pipeline import agreement_words as words
    from spavl.pipeline.run_agreement import FILE, TO_FIX, run_agreement

    made = run_agreement(folder, name=name, files=labels or ())
    report = made.report
    say(words.agreement_sentence(report), style="bold")
    tables = (("People with the judges", words.JUDGE_HEAD, words.judge_rows(report)),
              ("People with each other", words.HUMAN_HEAD, words.human_rows(report)),
              ("Tendencies", words.BIAS_HEAD, words.bias_rows(report)))  # fmt: skip
    for title, head, found in tables:
        if rows := [list(row) for row in found]:
            table(f"\n{title}", list(head), rows, right=2)
    if report.to_fix:
        rows = [[one.item_id, one.fault, f"{one.say_so} of {one.annotators}", one.domain]
                for one in report.to_fix[:MOST_SHOWN]]  # fmt: skip
        table("\nPairs to fix, the surest first", ["pair", "people say", "annotators", "domain"], rows)
    say(f"{report.disagreed:,} of {report.overlap:,} items that several annotators judged have different labels")
    for note in made.notes:
        say(note)
    if json_file:
        write_text(json_file, (made.folder / FILE).read_text("utf-8"))
    say(f"\nNumbers: {made.folder / FILE}\nTo fix:  {made.folder / TO_FIX}\n"
        f"Next:    `spavl report {folder}` shows it; `spavl build SETTINGS build.labels={made.folder}` lets labels of "
        "pairs decide")  # fmt: skip


@agreement_app.command(epilog="Example: [bold]spavl calibrate runs/first --next 100 --review second[/bold]")
def calibrate(
    folder: RunFolder,
    name: Annotated[str | None, typer.Option(help="Name of the review. Default: all reviews of answers.")] = None,
    labels: Files = None,
    more: Annotated[
        int | None, typer.Option("--next", min=1, help="Choose so many answers that should be labelled next.")
    ] = None,
    review: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="With --next: make a review of them by this name, as `spavl labels draw`."),
    ] = None,
) -> None:
    """How often guards err, by people's labels of the run's answers; rates corrected for it, and what to label next."""
    from spavl.cli.terminal import say
    from spavl.errors import SettingsError
    from spavl.pipeline.calibrate import calibrate_run

    if review is not None and more is None:
        raise SettingsError("A review is made of the answers that are chosen, and none are to be", where="--review",
                            try_=f"--next 100 --review {review}")  # fmt: skip
    made = calibrate_run(folder, name=name, files=labels or (), none_yet=more is not None)
    _print_calibrated(made)
    if more:
        _choose(folder, made, more, review)
        return
    say(f"\nNext:   `spavl compare {folder}` and `spavl report {folder}` show the corrected rates; "
        f"`spavl calibrate {folder} --next 100 --review second` makes a review of what to label next")  # fmt: skip


def _choose(folder: Path, made: Calibrated, count: int, review: str | None) -> None:
    """Choose what is labelled next: a file, or a review where one is named."""
    from spavl.cli.labels_command import print_review
    from spavl.cli.terminal import say
    from spavl.pipeline.next_answers import next_answers, write_chosen
    from spavl.review.make import ReviewSettings, folder_of, make_review
    from spavl.run import Run

    chosen = next_answers(folder, made, count)
    if review is None:
        path = write_chosen(folder, chosen)
        say(f"\n{len(chosen):,} answers to label next: {path}\n"
            f"Next:   add a column `label` (safe or unsafe), then `spavl calibrate {folder} --labels {path}`; "
            "`--review NAME` makes a review of them instead")  # fmt: skip
        return
    run = Run(folder)
    with make_review(run, folder_of(folder, review), ReviewSettings(kind="answers", n=count, order="active"),
                     chosen) as store:  # fmt: skip
        say("")
        print_review(store)
        again = "; `--review` with another name chooses further ones" if store.labels() else ""
    say(f"        Labelled, they count in `spavl calibrate {folder}`{again}")


def _print_calibrated(made: Calibrated) -> None:
    from spavl.cli.terminal import say, table
    from spavl.pipeline.calibrate_words import HEAD, STYLE_HEAD, rows, style_rows

    if found := [list(row) for row in rows(made)]:
        table("Rates by the guard and by people", list(HEAD), found, right=2)
    if styles := [list(row) for row in style_rows(made)]:
        table("\nThe guard by what the answer is, as people say", list(STYLE_HEAD), styles, right=3)
    for note in made.notes:
        say(note)
