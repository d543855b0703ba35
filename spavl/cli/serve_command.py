"""The command `spavl serve`: the page on which runs are looked at. Without logic."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

serve_app = typer.Typer()
Folder = Annotated[Path, typer.Argument(metavar="FOLDER", help="The folder of your runs, or one run folder.")]
Port = Annotated[int | None, typer.Option(min=1, max=65535, help="Default: 8764, or a free one.")]
Open = Annotated[bool, typer.Option("--open", help="Open it in the browser of this machine.")]


@serve_app.command(epilog="Example: [bold]spavl serve runs/ --open[/bold]")
def serve(folder: Folder = Path("runs"), port: Port = None, open_: Open = False) -> None:
    """Look at runs on a local page: all of them, any two side by side, every pair, and work that is under way.

    It is read-only, answers this machine alone, and asks no model. Ctrl-C ends it.
    """
    from spavl.cli.terminal import say
    from spavl.serve.start import PORT, cache_folder, check_serve_packages, open_catalogue

    check_serve_packages()
    from spavl.plural import plural
    from spavl.serve.app import Served, create_app
    from spavl.serve.index import Indexes
    from spavl.web.access import access_token, address
    from spavl.web.listening import listen_at
    from spavl.web.listening import serve as serve_pages

    cache = cache_folder()
    served = Served(open_catalogue(folder), access_token(cache), Indexes(cache))
    listening = listen_at("127.0.0.1", port, usual=PORT)
    shown = address("127.0.0.1", listening.getsockname()[1], served.token)
    runs, studies = len(served.catalogue.runs()), len(served.catalogue.studies())

    def started() -> None:
        say(f"{plural(runs, 'run')}, {plural(studies, 'study', 'studies')}: {folder}\nOpen:    {shown}\n"
            "Ctrl-C ends the page; it changes nothing.")  # fmt: skip
        if open_:
            typer.launch(shown)

    try:
        serve_pages(create_app(served), listening, on_start=started)
    finally:
        served.indexes.close()
    say(f"\nServed:  {folder}\nNext:    `spavl report RUN` writes the page of a run that you can pass on")
