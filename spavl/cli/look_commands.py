"""The commands that look at something and leave it as it is: pictures, a run, a taxonomy. Without logic."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

look_app = typer.Typer()
RunFolder = Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.")]
Seed = Annotated[int | None, typer.Option(help="Seed of every random choice.")]


@look_app.command(name="try", epilog='Example: [bold]spavl try cat.jpg "What is this?" --run runs/demo[/bold]')
def try_(
    picture: Annotated[Path, typer.Argument(help="A picture.")],
    question: Annotated[str, typer.Argument(help="A question about it.")],
    run: Annotated[Path, typer.Option(help="A run folder, whose base and aligned models answer.")] = Path("runs/demo"),
    model: Annotated[list[str] | None, typer.Option(help="Another checkpoint, or a listed model. Repeatable.")] = None,
    seed: Seed = None,
) -> None:
    """Ask the base and the aligned models one question about one picture, side by side."""
    from spavl.cli.terminal import print_answers
    from spavl.pipeline.show import try_models
    from spavl.records import TRIED_AGAIN

    answers = try_models(picture, question, run=run, models=model or [], seed=seed or 0)
    print_answers(answers)
    if any(reply.status in TRIED_AGAIN for _, reply in answers):
        raise typer.Exit(3)


@look_app.command(
    epilog='Example: [bold]spavl search pictures "a red cup" --encoder openai/clip-vit-base-patch32[/bold]'
)
def search(
    folder: Annotated[Path, typer.Argument(metavar="PICTURES", help="A folder of pictures, with its sub-folders.")],
    words: Annotated[str, typer.Argument(help="What the pictures are to show.")],
    encoder: Annotated[str, typer.Option(help="Checkpoint folder or Hub id of CLIP, SigLIP or their like.")],
    count: Annotated[int, typer.Option("-k", "--count", min=1, help="At most so many pictures.")] = 10,
    vectors: Annotated[str, typer.Option(metavar="FOLDER", help="Where vectors are kept.")] = ".spavl/vectors",
) -> None:
    """Find pictures of a folder by words. They are encoded once, for `build.collect.source: search` too."""
    from spavl.cli.terminal import out as console
    from spavl.cli.terminal import say
    from spavl.config.build import CollectSettings
    from spavl.config.search import SearchSettings
    from spavl.dataset.collect.folder import name_of
    from spavl.dataset.collect.search import PictureSearch
    from spavl.progress import TerminalProgress

    wanted = SearchSettings(folder=str(folder), encoder=encoder, vectors=vectors)
    most = CollectSettings().max_pixels
    with PictureSearch(wanted, max_pixels=most, progress=TerminalProgress(console)) as opened:
        opened.extend()
        for hit in opened.hits([words], count):
            say(f"{hit.similarity:.3f}  {name_of(hit.path)}")


@look_app.command(epilog="Example: [bold]spavl show runs/demo weapon[/bold]")
def show(
    folder: RunFolder,
    query: Annotated[
        str, typer.Argument(help="Part of a question's id, such as `weapon`; the first match is shown.")
    ] = "",
    benchmark: Annotated[
        str | None, typer.Option(help="Show an item of this benchmark, in place of a question of the dataset.")
    ] = None,
    reveal: Annotated[bool, typer.Option("--reveal", help="Print also what may do harm.")] = False,
    coverage: Annotated[
        bool, typer.Option("--coverage", help="Show in place of a question what there is of every subcategory.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show one question of a run: its picture, answers, verdicts and pair. What may do harm stays closed."""
    from spavl.cli.terminal import print_json, print_question
    from spavl.cli.topics import print_coverage
    from spavl.pipeline.coverage import show_coverage
    from spavl.pipeline.show import find_item, find_question

    if coverage:
        print_coverage(show_coverage(folder), as_json=as_json)
        return
    found = (
        find_item(folder, benchmark, query, reveal=reveal) if benchmark else find_question(folder, query, reveal=reveal)
    )
    if as_json:
        print_json(found)
    else:
        print_question(found)


@look_app.command(epilog="Example: [bold]spavl taxonomy my-taxonomy.yaml[/bold]")
def taxonomy(
    file: Annotated[
        Path | None, typer.Argument(metavar="[FILE]", help="A taxonomy file of your own. Default: SPA-VL's, built in.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Check a taxonomy of harms and print its tree, with descriptions, search keywords and aliases."""
    from spavl.cli.topics import print_taxonomy
    from spavl.taxonomy import load_taxonomy

    print_taxonomy(load_taxonomy(file), as_json=as_json)


@look_app.command(epilog="Example: [bold]spavl protocols pope-official[/bold]")
def protocols(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="A protocol, or a YAML file of your own. Default: list all.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the published ways of measuring that a benchmark can follow, or show what one of them fixes."""
    from spavl.cli.protocols import print_protocol, print_protocols

    if name is None:
        print_protocols(as_json=as_json)
    else:
        print_protocol(name, as_json=as_json)


@look_app.command(epilog="Example: [bold]spavl compare runs/demo --margin 0.01 --markdown comparison.md[/bold]")
def compare(
    folders: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Run folders with scores.")],
    base: Annotated[
        str | None, typer.Option(help="What the others are compared with. Default: the first model of the first run.")
    ] = None,
    margin: Annotated[
        float | None, typer.Option(help="Largest loss of a skill, as a share. Default: `evaluate.margin` of the run.")
    ] = None,
    groups: Annotated[bool, typer.Option("--groups", help="Also show the headline by domain or subject.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    markdown: Annotated[Path | None, typer.Option(metavar="FILE", help="Also write Markdown, for a comment.")] = None,
) -> None:
    """Compare models on all four axes, on the same items: what changed, how sure that is, and a verdict each."""
    from spavl.atomic import write_text
    from spavl.cli.compare_tables import print_comparison
    from spavl.cli.terminal import print_json
    from spavl.pipeline.compare import compare_runs
    from spavl.pipeline.compare_words import markdown as as_markdown

    found = compare_runs(folders, base=base, margin=margin, by_subject=groups)
    if markdown:
        write_text(markdown, as_markdown(found))
    if as_json:
        print_json(found.as_plain_data())
    else:
        print_comparison(found)


@look_app.command(epilog="Example: [bold]spavl gate runs/demo limits.yaml --junit gate.xml[/bold]")
def gate(
    folder: RunFolder,
    limits: Annotated[Path, typer.Argument(metavar="LIMITS", help="A YAML file of limits.")],
    junit: Annotated[Path | None, typer.Option(metavar="FILE", help="Also write JUnit XML, for CI.")] = None,
    markdown: Annotated[Path | None, typer.Option(metavar="FILE", help="Also write Markdown, for a comment.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Hold models against limits on the bounds of their scores. Exit status 4: a limit is not shown to be kept."""
    from spavl.atomic import write_text
    from spavl.cli.compare_tables import print_gate
    from spavl.cli.terminal import print_json
    from spavl.pipeline.gate import gate_run, load_limits
    from spavl.pipeline.gate_files import junit as as_junit
    from spavl.pipeline.gate_files import markdown as as_markdown

    found = gate_run(folder, load_limits(limits))
    for path, made in ((junit, as_junit), (markdown, as_markdown)):
        if path:
            write_text(path, made(found))
    if as_json:
        print_json(found)
    else:
        print_gate(found)
    if not found.passes:
        raise typer.Exit(4)


@look_app.command(epilog="Example: [bold]spavl benchmarks --axis over-refusal[/bold]")
def benchmarks(
    axis: Annotated[
        str | None, typer.Option(help="Only those of one axis: safety, over-refusal, helpfulness or skill.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the published benchmarks that can be read: what each measures, where its files are, and its licence."""
    from spavl.cli.catalogue import print_catalogue
    from spavl.evaluate.loaders.catalogue import catalogue

    print_catalogue(catalogue(axis), as_json=as_json)
