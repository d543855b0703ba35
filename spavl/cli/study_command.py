"""The command `spavl study`. Without logic."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from spavl.progress import Progress
    from spavl.study.check import StudyCheck
    from spavl.study.plan import StudyPlan
    from spavl.study.results import Result
    from spavl.study.run import StudyMade

study_app = typer.Typer()


@study_app.command(
    epilog="Example: [bold]spavl study settings/studies/mini-scale.yaml --check[/bold]. Exit status 3: a training was "
    "not made, or calls of an evaluation failed; the same command again tries them again."
)
def study(
    words: Annotated[
        list[str],
        typer.Argument(metavar="STUDY.yaml... [KEY.PATH=VALUE]...", help="Study files, and overrides of all of them."),
    ],
    check: Annotated[
        bool, typer.Option("--check", help="Tell what would be trained, and what that takes. Nothing is trained.")
    ] = False,
    json_out: Annotated[bool, typer.Option("--json", help="Print the plan or the results as JSON.")] = False,
    allow_code: Annotated[
        bool, typer.Option("--allow-code", help="Run Python classes of your own that the settings name.")
    ] = False,
) -> None:
    """Train and evaluate many variants that differ in one thing: data scale, sources, questions, freezing, methods."""
    from spavl.cli.terminal import print_json

    files, overrides = _files_and_overrides(words)
    shown, ended_well = (_check if check else _run)(files, overrides, allow_code=allow_code, quiet=json_out)
    if json_out:
        print_json(shown if len(shown) > 1 else shown[0])
    if not ended_well:
        raise typer.Exit(3)


def _check(files: list[Path], overrides: list[str], *, allow_code: bool, quiet: bool) -> tuple[list[Any], bool]:
    """Plain data of what the studies would take, which is printed unless that is to be quiet."""
    from spavl.study.check import check_study

    shown = []
    for file, plan, progress in _plans(files, overrides, allow_code=allow_code, quiet=quiet, build=False):
        checked = check_study(plan, progress)
        shown.append(checked.as_plain_data())
        if not quiet:
            _print_check(checked, file)
    return shown, True


def _run(files: list[Path], overrides: list[str], *, allow_code: bool, quiet: bool) -> tuple[list[Any], bool]:
    """Plain data of what the studies made, which is printed unless that is to be quiet; and whether nothing failed."""
    from spavl.study.run import run_study

    shown, ended_well = [], True
    for _, plan, progress in _plans(files, overrides, allow_code=allow_code, quiet=quiet, build=True):
        made = run_study(plan, progress)
        shown.append(made.as_plain_data())
        ended_well = ended_well and not (made.failed or made.lost)
        if not quiet:
            _print_study(made)
    return shown, ended_well


def _plans(
    files: list[Path], overrides: list[str], *, allow_code: bool, quiet: bool, build: bool
) -> Iterator[tuple[Path, StudyPlan, Progress]]:
    """Every study's file with its plan, and where its progress is shown; all files are read before any is planned."""
    from spavl.cli.terminal import err
    from spavl.cli.terminal import out as console
    from spavl.config.study import load_study
    from spavl.progress import TerminalProgress
    from spavl.study.run import prepare_study

    progress = TerminalProgress(err if quiet else console)
    for file, settings in [(file, load_study(file, overrides)) for file in files]:
        yield file, prepare_study(settings, file, progress, allow_code=allow_code, build=build), progress


def _files_and_overrides(words: list[str]) -> tuple[list[Path], list[str]]:
    """Tell files and overrides apart: a word with `=` that is no file is an override."""
    overrides = [word for word in words if "=" in word and not Path(word).exists()]
    files = [Path(word) for word in words if word not in overrides]
    if not files:
        raise typer.BadParameter("name a study file, such as settings/studies/mini-scale.yaml", param_hint="STUDY.yaml")
    return files, overrides


def _print_study(made: StudyMade) -> None:
    from spavl.cli.terminal import say, table
    from spavl.plural import plural

    metrics = list(dict.fromkeys(one.label_of_metric for one in made.results if one.better != "neither"))
    arms: dict[str, list[Result]] = {}
    for one in made.results:
        arms.setdefault(one.label, []).append(one)
    rows = [
        [label, f"{max((one.pairs for one in own), default=0):,}", str(len({one.seed for one in own})),
         *(_mean([one.rate for one in own if one.label_of_metric == metric]) for metric in metrics)]
        for label, own in arms.items()
    ]  # fmt: skip
    table(f"Means over seeds: {made.plan.name}", ["arm", "pairs", "seeds", *metrics], rows)
    trained = len(made.plan.trainings) - made.reused - len(made.failed)
    say(f"\n{plural(trained, 'training')} made, {made.reused:,} found finished, {made.plan.shared:,} shared by arms.")
    if made.failed:
        say(f"{plural(len(made.failed), 'training')} not made; the same command again tries again.")
    if made.lost:
        say(f"{plural(made.lost, 'call')} failed; the same command again asks for what failed.")
    say(f"Results: {made.folder / 'results.parquet'}\nNext:   open {made.page}")


def _mean(rates: list[float | None]) -> str:
    from statistics import fmean

    read = [rate for rate in rates if rate is not None]
    return f"{100 * fmean(read):.1f} %" if read else "–"


def _print_check(checked: StudyCheck, file: Path) -> None:
    from spavl.cli.terminal import say, table

    rows = [[one.label, f"{one.pairs:,}", f"{one.trainings:,}", f"{one.left:,}"] for one in checked.arms]
    table(f"Arms of {checked.name} ({checked.kind})", ["arm", "pairs", "trainings", "still to make"], rows)
    for line in checked.lines():
        say(line)
    say(f"\nNothing was trained.\nNext:   `spavl study {file}`")
