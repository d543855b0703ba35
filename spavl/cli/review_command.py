"""The command `spavl review`: the page on which people label. Without logic."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from spavl.review.start import Started

review_app = typer.Typer()
Source = Annotated[
    str, typer.Argument(metavar="SOURCE", help="A run folder, preference pairs of any public form, or a review.")
]
Number = Annotated[int | None, typer.Option("--n", min=1, help="How many are drawn. Default: 500.")]
Answers = Annotated[
    bool, typer.Option("--answers", help="Review answers of the evaluated models, by which guards are calibrated.")
]
OrderName = Annotated[
    str | None, typer.Option(help="proportional, equal (each stratum), doubtful (first), or active (for answers).")
]
Name = Annotated[str, typer.Option(help="Name of the review.")]
Overlap = Annotated[float | None, typer.Option(min=0, max=1, help="Share that several annotators label. Default: 0.1.")]
People = Annotated[int | None, typer.Option(min=2, help="How many those are. Default: all.")]
Labels = Annotated[Path | None, typer.Option(metavar="FILE", help="For `active`: an earlier review, or its export.")]
SeedOption = Annotated[int | None, typer.Option(help="Of the draw. Default: 0.")]
Guidelines = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Markdown for the guideline page. Default: the built-in one.")
]
Out = Annotated[Path | None, typer.Option(metavar="FOLDER", help="The folder of the review.")]
Host = Annotated[str, typer.Option(help="Where to listen; 0.0.0.0: other machines reach it too.")]
Port = Annotated[int | None, typer.Option(min=1, max=65535, help="Default: 8765, or a free one.")]
Link = Annotated[
    list[str] | None, typer.Option(metavar="NAME", help="Print a new personal link for somebody. Repeatable.")
]


@review_app.command(epilog="Example: [bold]spavl review runs/first --n 500[/bold]")
def review(
    source: Source, n: Number = None, answers: Answers = False, order: OrderName = None, name: Name = "first",
    overlap: Overlap = None, annotators: People = None, labels: Labels = None, seed: SeedOption = None,
    guidelines: Guidelines = None, out: Out = None, host: Host = "127.0.0.1", port: Port = None, link: Link = None,
) -> None:  # fmt: skip
    """Let people label pairs or answers on a local page: two blinded answers, keys for all, nothing ever lost.

    The same run and options draw the same items, and go on where people stopped. Ctrl-C ends it; no model is called.
    """
    from spavl.cli.terminal import say
    from spavl.review.start import ReviewRequest, draw_settings, ended_words, next_command, start_review

    said = {"n": n, "order": order, "overlap": overlap, "annotators": annotators, "labels": labels, "seed": seed}
    settings = draw_settings(
        source, {name: value for name, value in said.items() if value is not None}, answers=answers
    )
    request = ReviewRequest(source=source, name=name, out=out, settings=settings, guidelines=guidelines)
    started = start_review(request)
    with started.review.store as store:
        _serve(started, host, port, link or [])
        say(f"\n{ended_words(store)}: {request.folder}\nNext:    `{next_command(request, store)}`")


def _serve(started: Started, host: str, port: int | None, people: list[str]) -> None:
    from spavl.cli.terminal import say
    from spavl.review.access import address, is_loopback, name_of, number_of
    from spavl.review.app import create_app
    from spavl.review.serve import listen, serve

    review = started.review
    listening = listen(host, port)
    at = listening.getsockname()[1]
    if started.remark:
        say(started.remark)
    for person in people:
        say(f"{person}:  {address(name_of(host), at, review.token, started.personal_link(person))}")
    if not is_loopback(host):
        say(
            "Other machines can reach this page, and what they send is not encrypted: let only a trusted network do so."
        )
    shown = address(name_of(host), at, review.token)
    if number := number_of(host):
        shown += f"\nor:      {address(number, at, review.token)}"
    serve(create_app(review, host=host), listening, on_start=lambda: say(
        f"{len(review.store):,} items: {review.folder}\nOpen:    {shown}\n"
        "Ctrl-C ends the page; every label is kept at once."))  # fmt: skip
