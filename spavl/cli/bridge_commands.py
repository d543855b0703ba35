"""The commands of the bridges to other evaluation frameworks. Without logic."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from spavl.cli.look_commands import RunFolder

bridge_app = typer.Typer(
    no_args_is_help=True, help="Other evaluation frameworks: tasks of lmms-eval, logs of Inspect and of lmms-eval."
)


class TaskAxis(StrEnum):
    """What the tasks of another framework measure."""

    safety = "safety"
    """Whether answers are safe."""
    over_refusal = "over-refusal"
    """Whether harmless requests are declined."""
    helpfulness = "helpfulness"
    """Whether answers help."""
    skill = "skill"
    """Whether answers are right."""


@bridge_app.command(epilog="Example: [bold]spavl bridge lmms my.yaml --task pope --model base[/bold]")
def lmms(
    settings: Annotated[Path, typer.Argument(metavar="SETTINGS", help="A settings file; `spavl init` writes one.")],
    task: Annotated[list[str], typer.Option(help="Name of a task of lmms-eval. Repeatable.")],
    overrides: Annotated[
        list[str] | None, typer.Argument(metavar="[KEY.PATH=VALUE]...", help="Overrides of the settings file.")
    ] = None,
    model: Annotated[
        list[str] | None, typer.Option(help="Checkpoint folder, Hub id or name of a listed model. Repeatable.")
    ] = None,
    include: Annotated[Path | None, typer.Option(metavar="FOLDER", help="Folder of further tasks.")] = None,
    axis: Annotated[TaskAxis, typer.Option(help="What the tasks measure.")] = TaskAxis.skill,
    limit: Annotated[int | None, typer.Option(min=1, help="At most so many documents of a task.")] = None,
    allow_code: Annotated[
        bool, typer.Option("--allow-code", help="Run Python classes of your own that the settings name.")
    ] = False,
) -> None:
    """Evaluate models on tasks of lmms-eval, through the call store. Their scores take the place of the run's."""
    from spavl.bridges.lmms.run import evaluate_tasks
    from spavl.cli.terminal import out as console
    from spavl.cli.terminal import print_scores, say
    from spavl.config import Settings, load_settings
    from spavl.pipeline.session import Session
    from spavl.progress import TerminalProgress

    words = [*(overrides or []), *([] if limit is None else [f"limit={limit}"])]
    loaded = load_settings(Settings, settings, words)
    with Session(loaded, TerminalProgress(console), allow_code=allow_code) as session:
        found = evaluate_tasks(session, task, models=model or [], include=include, axis=axis.value)
    print_scores(found.scores)
    for line in found.lines:
        say(line)
    if found.scores.failed:
        raise typer.Exit(3)


@bridge_app.command(
    name="lmms-log",
    epilog="Example: [bold]spavl bridge lmms-log runs/first 2026_samples_pope.jsonl --model base --benchmark pope "
    "--metric pope_accuracy[/bold]",
)
def lmms_log(
    folder: RunFolder,
    log: Annotated[Path, typer.Argument(metavar="LOG", help="A log of samples, `<date>_samples_<task>.jsonl`.")],
    model: Annotated[str, typer.Option(help="Name of the model in the run.")],
    benchmark: Annotated[str, typer.Option(help="Name of the benchmark in the run.")],
    metric: Annotated[str, typer.Option(help="Its metric.")],
    logged: Annotated[str | None, typer.Option(help="Metric of the log. Default: that of the same name.")] = None,
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="Write every item on both routes, as CSV.")] = None,
) -> None:
    """Compare a log of lmms-eval with the scores of a run, item by item: two routes to one number."""
    from spavl.bridges.lmms.log import read_sample_log
    from spavl.bridges.lmms.routes import compare_routes, write_routes
    from spavl.cli.terminal import say
    from spavl.run import Run

    table = Run(folder).evaluate / model / f"{benchmark}.parquet"
    routes = compare_routes(read_sample_log(log), table, metric, logged or metric)
    say(routes.sentence)
    if out is not None:
        write_routes(routes, out)
        say(f"Items on both routes: {out}")


@bridge_app.command(epilog="Example: [bold]spavl bridge inspect runs/first --out logs[/bold]")
def inspect(
    folder: RunFolder,
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="Folder of the logs.")] = Path("logs"),
    pictures: Annotated[
        bool, typer.Option("--pictures/--no-pictures", help="Put pictures into the logs, or only their paths.")
    ] = True,
) -> None:
    """Write the scores of a run as logs of Inspect, one for every model and benchmark. All words stand in them."""
    from spavl.bridges.inspect.log import log_sources
    from spavl.cli.terminal import say
    from spavl.errors import MissingExtra, RunError

    sources = log_sources(folder)
    if not sources:
        raise RunError("Nothing was evaluated in this run yet", where=str(folder), try_="run `spavl evaluate`")
    try:
        from spavl.bridges.inspect.export import write_logs
    except ImportError as missing:
        raise MissingExtra(f"Inspect is not installed: {missing}.", try_="pip install 'spavl[inspect]'") from missing
    harmful = 0
    for written in write_logs(sources, out, pictures=pictures):
        harmful += written.harmful
        say(f"{written.path}  {written.samples:,} samples")
    if harmful:
        say(f"{harmful:,} samples ask for harm; their words and pictures stand open in the logs, unlike in the report")
    say(f"Next:   `inspect view --log-dir {out}`")
