"""The commands of `spavl`, without logic: each runs a part of the pipeline, then prints what it made."""

from __future__ import annotations

import re
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from spavl import __version__
from spavl.cli import INTERRUPTED, STOPPED
from spavl.cli.agreement_command import agreement_app
from spavl.cli.audit_command import audit_app
from spavl.cli.bridge_commands import bridge_app
from spavl.cli.contamination_command import contamination_app
from spavl.cli.export_command import export_app
from spavl.cli.grade_command import grade_app
from spavl.cli.import_command import import_app
from spavl.cli.labels_command import labels_app
from spavl.cli.look_commands import RunFolder, Seed, look_app
from spavl.cli.review_command import review_app
from spavl.cli.serve_command import serve_app
from spavl.cli.store_commands import store_app
from spavl.cli.study_command import study_app
from spavl.errors import NothingMade, SpavlError

if TYPE_CHECKING:
    from spavl.api import PipelineRun
    from spavl.pipeline.check import RunPlan

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Safety preference alignment for vision-language models: pictures → dataset → aligned model → report.",
    epilog="Try it: [bold]spavl demo[/bold] (no GPU, no key, no model to download; a few minutes). "
    "Exit status: 0 done, 1 a bug of ours, 2 your slip, 3 done but some calls failed, 4 a limit broken, 130 stopped.",
)

app.add_typer(look_app)
app.add_typer(grade_app)
app.add_typer(audit_app)
app.add_typer(import_app)
app.add_typer(export_app)
app.add_typer(agreement_app)
app.add_typer(labels_app, name="labels")
app.add_typer(review_app)
app.add_typer(serve_app)
app.add_typer(contamination_app)
app.add_typer(study_app)
app.add_typer(store_app, name="store")
app.add_typer(bridge_app, name="bridge")

SettingsFile = Annotated[Path, typer.Argument(metavar="SETTINGS", help="A settings file; `spavl init` writes one.")]
Overrides = Annotated[
    list[str] | None, typer.Argument(metavar="[KEY.PATH=VALUE]...", help="Overrides of the settings file.")
]
Limit = Annotated[
    int | None, typer.Option(min=1, help="At most so many pictures, or items of a subset: for a first try.")
]
Out = Annotated[str | None, typer.Option(metavar="FOLDER", help="The run folder.")]
AllowCode = Annotated[bool, typer.Option("--allow-code", help="Run Python classes of your own that the settings name.")]
Replay = Annotated[bool, typer.Option("--replay", help="Let no call leave: a missing answer is an error.")]
Models = Annotated[
    list[str] | None, typer.Option(help="Checkpoint folder, Hub id or name of a listed model. Repeatable.")
]


SCALES = {"": 1, "k": 1_000, "m": 1_000_000}
"""What the letter after a number stands for."""


class DemoLanguage(StrEnum):
    """What the miniature world's questions and answers are written in, in a demo."""

    closed = "closed"
    """A few hundred words, and models of less than a million weights."""
    real = "real"
    """English, and a pretrained language model."""


def _sections(incomplete: str) -> list[str]:
    """What a shell offers for a section of the settings that is typed in part."""
    from spavl.cli.settings_help import section_names

    return [name for name in section_names() if name.startswith(incomplete)]


def parse_count(text: str) -> int:
    """A number as people write it: `250000`, `250k`, `1.5M`.

    Args:
        text: what is typed.

    Raises:
        typer.BadParameter: it is no whole number above 0.
    """
    found = re.fullmatch(r"(\d[\d_,]*(?:\.\d+)?)\s*([kKmM]?)", text.strip())
    number = float(found[1].replace("_", "").replace(",", "")) * SCALES[found[2].lower()] if found else 0.0
    if number < 1 or number != int(number):
        raise typer.BadParameter(f"`{text}` is no number of pictures, such as 250000, 250k or 10M")
    return int(number)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"spavl {__version__}")
        raise typer.Exit


def run() -> int:
    """Run the command that the command line names. Returns the exit status.

    0: done. 1: a bug of ours. 2: a user error. 3: done, but some calls failed. 4: a limit is
    broken. 130: interrupted.
    """
    from spavl.cli.terminal import err, print_error

    try:
        app()
    except SpavlError as error:
        return print_error(error)
    except SystemExit as stop:
        if stop.code == INTERRUPTED:
            err.print(STOPPED)
        return stop.code if isinstance(stop.code, int) else 0
    return 0


@app.callback()
def every_command(
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_print_version, help="Print the version and exit.")
    ] = False,
) -> None:
    """Options of the command line as a whole."""


@app.command(epilog="Example: [bold]spavl demo --seed 1 --out runs/demo[/bold]")
def demo(
    seed: Seed = 1, limit: Limit = None,
    out: Annotated[
        str | None,
        typer.Option(metavar="FOLDER", help="The run folder.", show_default="runs/demo; in real, runs/demo-real"),
    ] = None,
    store: Annotated[str, typer.Option(help="The call store.")] = ".spavl/calls.sqlite",
    language: Annotated[
        DemoLanguage,
        typer.Option(help="`closed`: a few minutes. `real`: English and a pretrained language model; needs an hour."),
    ] = DemoLanguage.closed,
) -> None:  # fmt: skip
    """The whole pipeline in the miniature world: pictures, dataset, alignment, evaluation, report."""
    from spavl.cli.terminal import out as console
    from spavl.cli.terminal import print_summary
    from spavl.pipeline.demo import DEMOS, demo_settings, make_ready
    from spavl.pipeline.demo import demo as run_demo
    from spavl.pipeline.session import Session
    from spavl.progress import TerminalProgress

    which = DEMOS[language.value]
    settings = demo_settings(which, seed=1 if seed is None else seed, out=out, limit=limit, store=store)
    make_ready(which, settings)
    with Session(settings, TerminalProgress(console)) as session:
        summary = run_demo(session, which)
    print_summary(summary)
    page = Path(settings.out) / "report.html"
    _print_next(f"Report: {page}", f"open it, or look closer with `spavl show {settings.out}`")


@app.command(epilog="Example: [bold]spavl init my.yaml && spavl check my.yaml[/bold]")
def init(
    path: Annotated[Path, typer.Argument(help="The file to write.")] = Path("spavl.yaml"),
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
) -> None:
    """Write a commented settings file for your own pictures and models."""
    from spavl.cli.settings_help import write_example

    write_example(path, force=force)
    _print_next(f"Wrote {path}", f"edit it, then `spavl check {path}`")


@app.command(epilog="Example: [bold]spavl check my.yaml --limit 20[/bold]")
def check(
    settings: SettingsFile, overrides: Overrides = None, limit: Limit = None, seed: Seed = None, out: Out = None,
    allow_code: AllowCode = False,
    pictures: Annotated[
        int | None,
        typer.Option(parser=parse_count, metavar="NUMBER",
                     help="Plan for so many pictures, such as 250k or 10M, in place of those that there are."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the plan as JSON.")] = False,
) -> None:  # fmt: skip
    """Show what would run and what it takes (calls, tokens, money, time, disk), without making a call."""
    from spavl.cli.plan_tables import print_plan
    from spavl.cli.terminal import print_json

    plan = _open(settings, overrides, limit, seed, out, allow_code).check(pictures=pictures)
    if as_json:
        print_json(plan.as_plain_data())
    elif print_plan(plan):
        _print_next("Nothing was called", _after_check(plan, settings))
    if plan.problems:
        raise typer.Exit(2)


@app.command(epilog="Example: [bold]spavl qualify my.yaml --guard guard --examples labelled.jsonl[/bold]")
def qualify(
    settings: SettingsFile,
    guard: Annotated[str, typer.Option(help="Label of the guard, or of a model.")],
    examples: Annotated[
        Path, typer.Option(metavar="FILE", help="Labelled examples: question, answer, image, label, category.")
    ],
    overrides: Overrides = None, out: Out = None, allow_code: AllowCode = False, replay: Replay = False,
) -> None:  # fmt: skip
    """Measure a guard on labelled examples, and whether it looks at the pictures. Exit status 4: it may not vote."""
    from spavl.cli.qualification import print_qualification

    opened = _open(settings, overrides, None, None, out, allow_code, replay=replay)
    found = opened.qualify(guard, examples)
    raise typer.Exit(print_qualification(found, found.faults(opened.settings.build.grade.qualification)))


@app.command(epilog="Example: [bold]spavl build my.yaml build.collect.folder=pictures --limit 20[/bold]")
def build(
    settings: SettingsFile, overrides: Overrides = None, limit: Limit = None, seed: Seed = None, out: Out = None,
    allow_code: AllowCode = False, replay: Replay = False,
) -> None:  # fmt: skip
    """Build the preference dataset: pictures → questions → answers → verdicts → pairs."""
    from spavl.cli.terminal import print_funnel

    opened = _open(settings, overrides, limit, seed, out, allow_code, replay=replay)
    try:
        pairs = sum(opened.build()["export"].values())
    except NothingMade:
        print_funnel(opened.manifest())
        raise
    failed = print_funnel(opened.manifest())
    _print_next(f"{pairs:,} pairs in {opened.folder / 'dataset'} (Hub schema)", f"`spavl align {settings}`")
    if failed:
        raise typer.Exit(3)


@app.command(
    epilog="Example: [bold]spavl align --pairs spa-vl/train.parquet align.model=llava-hf/llava-1.5-7b-hf[/bold]"
)
def align(
    settings: Annotated[Path | None, typer.Argument(metavar="[SETTINGS]", help="A settings file.")] = None,
    overrides: Overrides = None,
    pairs: Annotated[Path | None, typer.Option(help="File or folder of pairs, instead of this run's own.")] = None,
    name: Annotated[str | None, typer.Option(help="Name of the result, RUN/align/NAME. Default: the method.")] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Delete another training of that name. Without it, none is ever deleted.")
    ] = False,
    limit: Annotated[int | None, typer.Option(min=1, help="At most so many pairs.")] = None,
    seed: Seed = None, out: Out = None,
    allow_code: AllowCode = False, replay: Replay = False,
) -> None:  # fmt: skip
    """Align a model with preference pairs: DPO, or a reward model and PPO."""
    from spavl.cli.terminal import say
    from spavl.pipeline.alarms import alarms_of_training

    file, given = _file_and_overrides(settings, overrides)
    opened = _open(file, given, None, seed, out, allow_code, replay=replay)
    made = opened.align(name, pairs=pairs, limit=limit, replace=replace)
    for line in alarms_of_training(made).lines():
        say(line)
    _print_next(
        f"Aligned checkpoint: {made}",
        f"`spavl evaluate {file}`" if file else f"`spavl try PICTURE QUESTION --model {made}`",
    )


@app.command(epilog="Example: [bold]spavl evaluate my.yaml[/bold]")
def evaluate(
    settings: Annotated[Path | None, typer.Argument(metavar="[SETTINGS]", help="A settings file.")] = None,
    overrides: Overrides = None,
    model: Models = None,
    limit: Limit = None, seed: Seed = None, out: Out = None, allow_code: AllowCode = False, replay: Replay = False,
) -> None:  # fmt: skip
    """Evaluate models: safety, over-refusal, helpfulness and skill; base and aligned on the same items."""
    from spavl.cli.terminal import print_scores

    file, given = _file_and_overrides(settings, overrides)
    opened = _open(file, given, limit, seed, out, allow_code, replay=replay)
    scores = opened.evaluate(model or [])
    print_scores(scores)
    _print_next(f"Scores: {opened.folder / 'evaluate'}", f"`spavl report {opened.folder}`")
    if scores.too_unread:
        raise typer.Exit(4)
    if scores.failed:
        raise typer.Exit(3)


@app.command(epilog="Example: [bold]spavl report runs/first[/bold]")
def report(
    folder: RunFolder,
    out: Annotated[Path | None, typer.Option(help="The page to write. Default: report.html in the run folder.")] = None,
    limit: Annotated[int | None, typer.Option(min=0, help="At most so many examples.")] = None,
    figures: Annotated[
        Path | None, typer.Option(help="A folder for every figure as SVG and PDF, for a paper.", show_default=False)
    ] = None,
) -> None:
    """Write the report of a run, or of a dataset that was built: one self-contained HTML page.

    The same numbers stand beside it as Markdown and JSON.
    """
    from spavl.cli.terminal import say
    from spavl.pipeline.report import without_scores, write_run_report

    page = write_run_report(folder, out=out, examples=limit, figures=figures)
    if gone := without_scores(folder):
        say(f"warning: {gone}: what needs them was not compared; `spavl evaluate` again makes them")
    made = f"Report: {page}, and {page.stem}.md and {page.stem}.json beside it"
    _print_next(f"{made}; figures: {figures}" if figures else made, "open it in a browser; it needs nothing but itself")


@app.command(epilog="Example: [bold]spavl settings align.loss[/bold]")
def settings(
    section: Annotated[
        str,
        typer.Argument(help="A section, such as `build.match`. Default: all.", autocompletion=_sections),
    ] = "",
    schema: Annotated[
        bool,
        typer.Option("--schema", help="Print the JSON schema of settings files, by which editors help to write them."),
    ] = False,
) -> None:
    """Print every setting with its default and its meaning."""
    from spavl.cli.settings_help import explain, json_schema
    from spavl.cli.terminal import say

    say(json_schema() if schema else explain(section))


def _open(
    path: Path | None, overrides: list[str] | None, limit: int | None, seed: int | None, out: str | None, code: bool,
    *, replay: bool = False,
) -> PipelineRun:  # fmt: skip
    """The run of a settings file, with overrides and the options of the command line over it."""
    from spavl.api import open_run
    from spavl.cli.terminal import out as console
    from spavl.progress import TerminalProgress

    return open_run(
        path, overrides or (), out=out, seed=seed, limit=limit, allow_code=code, replay=replay,
        progress=TerminalProgress(console),
    )  # fmt: skip


def _after_check(plan: RunPlan, settings: Path) -> str:
    """What comes after a plan: a small run that measures what calls take, where none has, else the whole."""
    if not plan.stages:
        return f"start with `spavl evaluate {settings}{' --model NAME' if plan.unnamed else ''}`"
    if plan.measured:
        return f"start with `spavl build {settings}`"
    return f"`spavl build {settings} --limit 20` measures what calls take; then check again, at any size (`--pictures`)"


def _file_and_overrides(settings: Path | None, overrides: list[str] | None) -> tuple[Path | None, list[str]]:
    """Tell file and overrides apart where the file may be left out: then the first override stands in its place."""
    if settings is not None and "=" in str(settings):
        return None, [str(settings), *(overrides or [])]
    return settings, list(overrides or [])


def _print_next(made: str, next_step: str) -> None:
    from spavl.cli.terminal import say

    say(f"\n{made}\nNext:   {next_step}")
