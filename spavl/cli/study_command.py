"""The command `spavl study`. Without logic."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from spavl.config.study import AnyStudy, LongitudinalStudy
    from spavl.progress import Progress
    from spavl.study.check import StudyCheck
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
    """Train and evaluate many variants that differ in one thing; one table and one page say what came out.

    `kind` in the file is what differs: scale, sources, questions, freeze, method, families, datasets, mix, grid or
    transfer; longitudinal trains nothing. Overrides are keys of the file, such as `seeds=[1,2]` or
    `changed.align.loss.beta=0.2`. settings/studies has a file of every kind, docs/studies a page.
    """
    from spavl.cli.terminal import err, print_json, say
    from spavl.cli.terminal import out as console
    from spavl.config.study import load_study
    from spavl.progress import TerminalProgress
    from spavl.study.folder import refuse_folders

    files, overrides = _files_and_overrides(words)
    progress = TerminalProgress(err if json_out else console)
    opened = [(load_study(file, overrides), file) for file in files]  # all mistakes before any work
    refuse_folders(opened)
    done = [_do(settings, file, progress, check=check, allow_code=allow_code, quiet=json_out)
            for settings, file in opened]  # fmt: skip
    if check and not json_out:
        again = ["spavl", "study", *words, *(["--allow-code"] if allow_code else [])]
        say(f"\nNothing was trained or asked.\nNext:   `{shlex.join(again)}`")
    if json_out:
        shown = [said for said, _ in done]
        print_json(shown if len(shown) > 1 else shown[0])
    if any(failed for _, failed in done):
        raise typer.Exit(3)


def _do(
    settings: AnyStudy, file: Path, progress: Progress, *, check: bool, allow_code: bool, quiet: bool
) -> tuple[Any, int]:
    """What a study would take, or made, as plain data, printed unless that is to be quiet; and how much failed."""
    from spavl.config.study import LongitudinalStudy
    from spavl.study.check import check_study
    from spavl.study.run import prepare_study, run_study

    if isinstance(settings, LongitudinalStudy):
        return _longitudinal(settings, file, progress, check=check, allow_code=allow_code, quiet=quiet)
    plan = prepare_study(settings, file, progress, allow_code=allow_code, build=not check)
    if check:
        checked = check_study(plan, progress)
        if not quiet:
            _print_check(checked)
        return checked.as_plain_data(), 0
    made = run_study(plan, progress)
    if not quiet:
        _print_study(made)
    return made.as_plain_data(), len(made.failed) + made.lost


def _files_and_overrides(words: list[str]) -> tuple[list[Path], list[str]]:
    """Tell files and overrides apart: a word with `=` that is no file is an override."""
    overrides = [word for word in words if "=" in word and not _is_file(word)]
    files = [Path(word) for word in words if word not in overrides]
    if not files:
        raise typer.BadParameter("name a study file, such as settings/studies/mini-scale.yaml", param_hint="STUDY.yaml")
    return files, overrides


def _is_file(word: str) -> bool:
    try:
        return Path(word).exists()
    except OSError:  # it is longer than a name may be
        return False


def _longitudinal(
    study: LongitudinalStudy, file: Path, progress: Progress, *, check: bool, allow_code: bool, quiet: bool
) -> tuple[dict[str, Any], int]:
    """Ask the models of a longitudinal study, or tell what would be asked. Returns plain data and the calls lost."""
    from spavl.cli.terminal import say
    from spavl.plural import plural
    from spavl.study.longitudinal import plan_longitudinal, run_longitudinal

    if check:
        plan = plan_longitudinal(study, file, allow_code=allow_code)
        if not quiet:
            say("\n".join(plan.lines()))
        return plan.as_plain_data(), 0
    made = run_longitudinal(study, file, progress, allow_code=allow_code)
    if not quiet:
        say(f"\n{plural(made.asked, 'call')} made, {made.stored:,} answered from the store.")
        if made.lost:
            say(f"{plural(made.lost, 'call')} failed; the same command again asks for what failed.")
        say(f"Results: {made.folder / 'results.parquet'}\nNext:   open {made.page}")
    return made.as_plain_data(), made.lost


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
    trained = sum(one.status == "made" and one.id in made.plan.trainings for one in made.made)
    say(f"\n{plural(trained, 'training')} made, {made.reused:,} found finished, {made.plan.shared:,} shared by arms.")
    if made.failed:
        say(f"{plural(len(made.failed), 'training')} not made; the same command again tries again.")
    if made.lost:
        say(f"{plural(made.lost, 'call')} failed; the same command again asks for what failed.")
    if made.page is None:
        say(f"No training has a result, so the earlier results and page in {made.folder} are left as they were.")
        return
    say(f"Results: {made.folder / 'results.parquet'}\nNext:   open {made.page}")


def _mean(rates: list[float | None]) -> str:
    from statistics import fmean

    read = [rate for rate in rates if rate is not None]
    return f"{100 * fmean(read):.1f} %" if read else "–"


def _print_check(checked: StudyCheck) -> None:
    from spavl.cli.terminal import say, table

    rows = [[one.label, f"{one.pairs:,}", f"{one.trainings:,}", f"{one.left:,}"] for one in checked.arms]
    table(f"Arms of {checked.name} ({checked.kind})", ["arm", "pairs", "trainings", "still to make"], rows)
    for line in checked.lines():
        say(line)
