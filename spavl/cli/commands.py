"""The verbs. No logic: each opens the road, walks a piece of it, and says what was made and what to do next."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from spavl.errors import SpavlError

if TYPE_CHECKING:
    from spavl.config import Settings
    from spavl.pipeline.session import Session

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Safety preference alignment for vision-language models: pictures → dataset → aligned model → report.",
    epilog="Try it: [bold]spavl demo[/bold] (no GPU, no key, no download; a few minutes).",
)

SettingsFile = Annotated[Path, typer.Argument(metavar="SETTINGS", help="A settings file; `spavl init` writes one.")]
Words = Annotated[list[str] | None, typer.Argument(metavar="[KEY.PATH=VALUE]...", help="Settings laid over the file.")]
Limit = Annotated[int | None, typer.Option(min=1, help="Only so many pictures, or items of an arm: for a first try.")]
Seed = Annotated[int | None, typer.Option(help="Drives every random choice.")]
Out = Annotated[str | None, typer.Option(metavar="FOLDER", help="The run folder.")]
AllowCode = Annotated[bool, typer.Option("--allow-code", help="Let the settings name Python classes of your own.")]
Models = Annotated[list[str] | None, typer.Option(help="Checkpoint folder, Hub id or roster name. Repeatable.")]
RunFolder = Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.")]
STOPPED = 130
"""Exit status after Ctrl-C."""


def run() -> int:
    """Run a verb. Exit status: 0 done, 1 our bug, 2 your slip, 3 done but some records failed."""
    from spavl.cli.terminal import err, print_error

    try:
        app()
    except SpavlError as error:
        return print_error(error)
    except SystemExit as stop:
        if stop.code == STOPPED:
            err.print("\nStopped. Everything finished is stored; run the same command again to go on.")
        return stop.code if isinstance(stop.code, int) else 0
    return 0


@app.command(epilog="Example: [bold]spavl demo --seed 1 --out runs/demo[/bold]")
def demo(
    seed: Seed = 1, out: Out = "runs/demo", limit: Limit = None,
    store: Annotated[str, typer.Option(help="The call store.")] = ".spavl/calls.sqlite",
) -> None:  # fmt: skip
    """The whole road in the miniature world: pictures, dataset, alignment, before and after, report."""
    from spavl.cli.terminal import print_summary
    from spavl.pipeline.demo import demo as walk
    from spavl.pipeline.demo import demo_settings

    settings = demo_settings(seed=1 if seed is None else seed, out=out, limit=limit, store=store)
    with _session(settings) as session:
        summary = walk(session)
    print_summary(summary)
    _end(f"Report: {Path(settings.out) / 'report.html'}", f"open it, or look closer with `spavl show {settings.out}`")


@app.command(epilog="Example: [bold]spavl init my.yaml && spavl check my.yaml[/bold]")
def init(
    path: Annotated[Path, typer.Argument(help="The file to write.")] = Path("spavl.yaml"),
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
) -> None:
    """Write a commented settings file for your own pictures and models."""
    from spavl.cli.settings_help import write_example

    write_example(path, force=force)
    _end(f"Wrote {path}", f"edit it, then `spavl check {path}`")


@app.command(epilog="Example: [bold]spavl check my.yaml --limit 20[/bold]")
def check(
    settings: SettingsFile, words: Words = None, limit: Limit = None, seed: Seed = None, out: Out = None,
    allow_code: AllowCode = False,
) -> None:  # fmt: skip
    """What would run and how many calls it makes, before any is made."""
    from spavl.cli.terminal import print_plan
    from spavl.pipeline.check import check

    with _session(_load(settings, words, limit, seed, out), allow_code=allow_code) as session:
        ready = print_plan(check(session))
    if not ready:
        raise typer.Exit(2)
    _end("Nothing was called", f"start with `spavl build {settings}`")


@app.command(epilog="Example: [bold]spavl build my.yaml build.collect.folder=pictures --limit 20[/bold]")
def build(
    settings: SettingsFile, words: Words = None, limit: Limit = None, seed: Seed = None, out: Out = None,
    allow_code: AllowCode = False,
) -> None:  # fmt: skip
    """Build the preference dataset: pictures → questions → answers → verdicts → pairs."""
    from spavl.cli.terminal import print_funnel
    from spavl.pipeline.build import build as walk

    loaded = _load(settings, words, limit, seed, out)
    with _session(loaded, allow_code=allow_code) as session:
        pairs = walk(session)
        manifest = session.run.manifest()
    failed = print_funnel(manifest)
    _end(f"{len(pairs):,} pairs in {Path(loaded.out) / 'dataset'} (Hub schema)", f"`spavl align {settings}`")
    if failed:
        raise typer.Exit(3)


@app.command(
    epilog="Example: [bold]spavl align --pairs spa-vl/train.parquet align.model=llava-hf/llava-1.5-7b-hf[/bold]"
)
def align(
    settings: Annotated[Path | None, typer.Argument(metavar="[SETTINGS]", help="A settings file.")] = None,
    words: Words = None,
    pairs: Annotated[Path | None, typer.Option(help="Parquet in the Hub schema, instead of this run's own.")] = None,
    name: Annotated[str | None, typer.Option(help="Names the result: RUN/align/NAME. Default: the method.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Only so many pairs.")] = None,
    seed: Seed = None, out: Out = None,
    allow_code: AllowCode = False,
) -> None:  # fmt: skip
    """Align a model with preference pairs: DPO, or a reward model and PPO."""
    from spavl.pipeline.align import align as walk

    file, extra = _file_or_word(settings, words)
    loaded = _load(file, extra, None, seed, out)
    with _session(loaded, allow_code=allow_code) as session:
        made = walk(session, name=name or loaded.align.method, pairs=pairs, limit=limit)
    _end(
        f"Aligned checkpoint: {made}",
        f"`spavl evaluate {file}`" if file else f"`spavl try PICTURE QUESTION --model {made}`",
    )


@app.command(epilog="Example: [bold]spavl evaluate my.yaml[/bold]")
def evaluate(
    settings: Annotated[Path | None, typer.Argument(metavar="[SETTINGS]", help="A settings file.")] = None,
    words: Words = None,
    model: Models = None,
    limit: Limit = None, seed: Seed = None, out: Out = None, allow_code: AllowCode = False,
) -> None:  # fmt: skip
    """Measure models: safety, over-refusal, helpfulness, skill; base and aligned on the same items."""
    from spavl.cli.terminal import print_scores
    from spavl.pipeline.evaluate import evaluate as walk

    file, extra = _file_or_word(settings, words)
    loaded = _load(file, extra, limit, seed, out)
    with _session(loaded, allow_code=allow_code) as session:
        print_scores(walk(session, models=model or []))
    _end(f"Scores: {Path(loaded.out) / 'evaluate'}", f"`spavl report {loaded.out}`")


@app.command(name="try", epilog='Example: [bold]spavl try cat.jpg "What is this?" --run runs/demo[/bold]')
def try_(
    picture: Annotated[Path, typer.Argument(help="A picture.")],
    question: Annotated[str, typer.Argument(help="A question about it.")],
    run: Annotated[Path, typer.Option(help="A run folder; its base and aligned models answer.")] = Path("runs/demo"),
    model: Annotated[list[str] | None, typer.Option(help="Other checkpoints to ask. Repeatable.")] = None,
    seed: Seed = None,
) -> None:
    """Ask the base and the aligned model the same thing, side by side."""
    from spavl.cli.terminal import print_answers
    from spavl.pipeline.show import try_models

    print_answers(try_models(picture, question, run=run, models=model or [], seed=seed or 0))


@app.command(epilog="Example: [bold]spavl report runs/first[/bold]")
def report(
    folder: RunFolder,
    out: Annotated[Path | None, typer.Option(help="The page to write. Default: report.html in the run.")] = None,
    limit: Annotated[int | None, typer.Option(min=0, help="Only so many examples.")] = None,
) -> None:
    """Write the page that says what happened."""
    from spavl.pipeline.report import write_run_report

    page = write_run_report(folder, out=out, examples=limit)
    _end(f"Report: {page}", "open it in a browser; it needs nothing but itself")


@app.command(epilog="Example: [bold]spavl show runs/demo weapon[/bold]")
def show(
    folder: RunFolder,
    query: Annotated[
        str, typer.Argument(help="Part of a question's id, such as `weapon`; the first that fits is shown.")
    ] = "",
    reveal: Annotated[bool, typer.Option("--reveal", help="Print answers graded unsafe in full.")] = False,
) -> None:
    """One question under the microscope: its picture, answers, verdicts and pair."""
    from spavl.cli.terminal import print_question
    from spavl.pipeline.show import find_question

    print_question(find_question(folder, query), reveal=reveal)


@app.command(epilog="Example: [bold]spavl settings align.loss[/bold]")
def settings(
    section: Annotated[str, typer.Argument(help="A section, such as `build.match`; all without one.")] = "",
) -> None:
    """Every setting with its default and its meaning."""
    from spavl.cli.settings_help import explain
    from spavl.cli.terminal import out as screen

    screen.print(explain(section), markup=False, soft_wrap=True)


def _load(path: Path | None, words: list[str] | None, limit: int | None, seed: int | None, out: str | None) -> Settings:
    from spavl.config import Settings, load_settings

    # As JSON, which is YAML: a folder named `2024` stays a name.
    options = {"limit": limit, "seed": seed, "out": out}
    said = [f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in options.items() if value is not None]
    return load_settings(Settings, path, [*(words or []), *said])


def _file_or_word(settings: Path | None, words: list[str] | None) -> tuple[Path | None, list[str]]:
    """The settings file may be left out, and then the first word stands in its place."""
    if settings is not None and "=" in str(settings):
        return None, [str(settings), *(words or [])]
    return settings, list(words or [])


@contextmanager
def _session(settings: Settings, *, allow_code: bool = False) -> Iterator[Session]:
    from spavl.cli.terminal import Terminal
    from spavl.pipeline.session import Session

    with Session(settings, Terminal(), allow_code=allow_code) as session:
        yield session


def _end(made: str, next_: str) -> None:
    from spavl.cli.terminal import out as screen

    screen.print(f"\n{made}\nNext:   {next_}", markup=False, soft_wrap=True)
