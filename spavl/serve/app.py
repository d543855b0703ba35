"""The web app of `spavl serve`: what each address answers. There is no address that writes anything."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache, partial
from hashlib import sha256
from pathlib import Path
from typing import Final

from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from spavl.errors import DataError, RunError, SpavlError
from spavl.run import Run
from spavl.serve.catalogue import Catalogue, RunRow
from spavl.serve.compared import two_runs
from spavl.serve.filters import Cursor, PairFilter, chosen_words
from spavl.serve.index import Indexes
from spavl.serve.live import live_state
from spavl.serve.overview import PAGES, overview_of, verdicts_of
from spavl.serve.pages import notice, render, static_file
from spavl.serve.pair import pair_details
from spavl.serve.pairs import facets_of, neighbours, page_of, pair_at
from spavl.serve.picture import picture_of
from spavl.tables.kept import KeptDatabase
from spavl.visible_text import visible
from spavl.web.access import is_same
from spavl.web.shell import Cookies, Refused, Shell, framed_app, picture_answer

STORED_PAGE: Final = {
    "Content-Security-Policy": "sandbox allow-popups; default-src 'none'; style-src 'unsafe-inline'; img-src data:; "
    "font-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
}
"""Headers of a page that was written before: whatever it holds, it runs no script and fetches nothing."""
PATIENCE: Final = 0.2
"""Seconds that a request waits for an index that is being made, before it says so."""


_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Served:
    """What is served."""

    catalogue: Catalogue
    """The runs."""
    token: str
    """The token in the address."""
    indexes: Indexes = field(default_factory=Indexes)
    """Of their pairs."""

    @property
    def name(self) -> str:
        """What tells it from other pages of this machine: its cookie bears it."""
        return sha256(f"{self.catalogue.root.resolve()}\0{self.token}".encode()).hexdigest()[:12]

    def run(self, key: str) -> tuple[Run, RunRow]:
        """A run with its row.

        Args:
            key: as an address has it.

        Raises:
            Refused: there is none of that key.
            RunError: it is damaged, or of another format version.
        """
        try:
            folder = self.catalogue.folder(key)
        except DataError as error:
            raise Refused(error.what, 404) from None
        run, row = Run(folder).found(), self.catalogue.row(key)
        if row.problem:
            raise RunError(row.problem, where=str(folder))
        return run, row


@contextmanager
def _read(*runs: Run) -> Iterator[None]:
    """Whatever a file of these runs holds where something else belongs, what is said is that it is damaged.

    The terminal says where the program failed, for it may as well be a fault of its own.
    """
    try:
        yield
    except (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError) as error:
        names = " or ".join(f"`{run.folder.resolve().name}`" for run in runs)
        _tell(names, f"{type(error).__name__}: {error}", str(traceback.extract_tb(error.__traceback__)[-1]))
        raise RunError(f"run.json, progress.json, or a log of a training, of {names} is damaged",
                       where=" or ".join(str(run.folder) for run in runs),
                       try_="Other pages may still open; the terminal says what was met.") from error  # fmt: skip


@lru_cache(256)
def _tell(names: str, what: str, place: str) -> None:
    """Log why a page of a run cannot be shown: once, for the live page is read every other second."""
    _log.warning("%s", visible(f"A page of {names} cannot be shown: {what} at {place}"))


def create_app(served: Served, *, host: str = "127.0.0.1") -> FastAPI:
    """The app.

    Args:
        served: the runs.
        host: that the server listens at.
    """
    cookies = Cookies(f"spavl_serve_{served.name}")
    shell = Shell(command="spavl serve", forms=False, notice=notice, static=static_file)

    def admits(request: Request) -> bool:
        given = request.query_params.get("token", "") if request.scope["path"] == "/" else ""
        return is_same(given, served.token) or cookies.has_token(request, served.token)

    app = framed_app(shell, host=host, admits=admits)
    _add_entrance(app, served, cookies)
    _add_run(app, served)
    _add_live(app, served)
    _add_pairs(app, served)
    _add_files(app, served)
    return app


def _add_entrance(app: FastAPI, served: Served, cookies: Cookies) -> None:
    @app.get("/")
    def entrance(token: str = "") -> Response:
        if token:  # it is the right one, or nobody would come here
            answer = RedirectResponse("/", 303)
            cookies.sign_in(answer, token)
            return answer
        runs, studies = served.catalogue.runs(), served.catalogue.studies()
        if len(runs) == 1 and runs[0].place == ".":
            return RedirectResponse(f"/runs/{runs[0].key}", 303)
        own = {one.key: [row for row in runs if one.key in row.studies] for one in studies}
        root = served.catalogue.root.resolve()
        return HTMLResponse(render("runs.html.j2", runs=runs, studies=studies, own=own, root=root))

    @app.get("/compare")
    def compare(a: str = "", b: str = "", base: str = "") -> Response:
        runs = [row for row in served.catalogue.runs() if not row.problem]
        first, second = (served.run(key) if key else None for key in (a, b))
        found, why = None, ""
        if first and second:
            try:
                with _read(first[0], second[0]):
                    found = two_runs(first[0], second[0], base=base)
            except SpavlError as error:
                why = error.what
        return HTMLResponse(render("compare.html.j2", runs=runs, a=a, b=b, base=base, found=found, why=why,
                                   rows=[one and one[1] for one in (first, second)]))  # fmt: skip


def _add_run(app: FastAPI, served: Served) -> None:
    @app.get("/runs/{key}")
    def overview(key: str) -> Response:
        run, row = served.run(key)
        with _read(run):
            return HTMLResponse(render("run.html.j2", page="run", row=row, run=overview_of(run, row)))

    @app.get("/runs/{key}/verdicts")
    def verdicts(key: str) -> Response:
        run, _ = served.run(key)
        found: tuple[str, ...] = ()
        why = ""
        try:
            with _read(run):
                found = verdicts_of(run)
        except SpavlError as error:
            why = error.what
        return HTMLResponse(render("verdicts.html.j2", verdicts=found, why=why))


def _add_live(app: FastAPI, served: Served) -> None:
    def shown(template: str, key: str) -> Response:
        run, row = served.run(key)
        with _read(run):
            return HTMLResponse(render(template, page="live", row=row, live=live_state(run)))

    @app.get("/runs/{key}/live")
    def live(key: str) -> Response:
        return shown("live.html.j2", key)

    @app.get("/runs/{key}/live/part")
    def part(key: str) -> Response:
        return shown("live_part.html.j2", key)


def _add_pairs(app: FastAPI, served: Served) -> None:
    def index_of(run: Run, row: RunRow) -> KeptDatabase | None:
        return served.indexes.of(run, row.key, wait=PATIENCE)

    @app.get("/runs/{key}/pairs")
    def pairs(request: Request, key: str, after: str = "", before: str = "") -> Response:
        run, row = served.run(key)
        index = index_of(run, row)
        if index is None:
            return HTMLResponse(render("waiting.html.j2", page="pairs", row=row))
        wanted = PairFilter.read(request.query_params)
        found = page_of(index, wanted, after=Cursor.read(after), before=Cursor.read(before))
        display = _display(run)
        return HTMLResponse(render("pairs.html.j2", page="pairs", row=row, wanted=wanted, found=found, display=display,
                                   facets=facets_of(index), chosen=chosen_words(wanted, display)))  # fmt: skip

    @app.get("/runs/{key}/pair")
    def pair(request: Request, key: str, id: str = "") -> Response:
        run, row = served.run(key)
        index = index_of(run, row)
        if index is None:
            return HTMLResponse(render("waiting.html.j2", page="pairs", row=row))
        try:
            shown = pair_at(index, id)
        except DataError as error:
            raise Refused(error.what, 404) from None
        wanted = PairFilter.read(request.query_params)
        before, after = neighbours(index, wanted, shown)
        return HTMLResponse(render(
            "pair.html.j2", page="pairs", row=row, wanted=wanted, before=before, after=after, display=_display(run),
            pair=pair_details(run, index, shown),
        ))  # fmt: skip

    @app.get("/runs/{key}/pictures/{sha256}")
    def picture(key: str, sha256: str, small: bool = False) -> Response:
        run, row = served.run(key)
        index = served.indexes.of(run, row.key)
        assert index is not None, "who waits as long as it takes gets one"
        return picture_answer(partial(picture_of, run.folder, index, sha256), small=small)


def _display(run: Run) -> dict[str, str]:
    """Names of the taxonomy as people read them."""
    with _read(run):
        shown = run.manifest().get("coverage", {}).get("display", {})
        return {name: str(said) for name, said in shown.items()}


def _add_files(app: FastAPI, served: Served) -> None:
    @app.get("/runs/{key}/pages/{name}")
    def stored(key: str, name: str) -> Response:
        try:
            folder = served.catalogue.folder(key)
        except DataError as error:
            raise Refused(error.what, 404) from None
        if name not in PAGES:
            raise Refused("There is no such page of a run.", 404)
        return _stored(folder / PAGES[name])


def _stored(path: Path) -> Response:
    """A page that was written before, as it stands on the disk."""
    try:
        body = path.read_bytes()
    except OSError:
        raise Refused("That page was not written yet; `spavl report` writes the one of a run.", 404) from None
    return Response(body, media_type="text/html; charset=utf-8", headers=STORED_PAGE)
