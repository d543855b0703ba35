"""The frame of a local web app: what every answer says of itself, who is refused before anything is read, and files."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, unquote

from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, Response

from spavl.errors import DataError, SpavlError
from spavl.pictures import Picture
from spavl.web.access import is_known_host, is_own_page, is_same, known_hosts
from spavl.web.served_picture import DRAWING, LONGEST, SMALL, served_picture

MOST_BYTES: Final = 128 * 1024
"""Bytes of a form."""
HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff", "Referrer-Policy": "same-origin", "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Resource-Policy": "same-origin",
}  # fmt: skip
"""Headers of every answer: no script, style or picture from elsewhere, and no other page around this one."""
HOUR: Final = 3600
"""Seconds for which a browser keeps a picture: for undo and reload, not as a collection of harm."""
YEAR: Final = 365 * 24 * 3600
"""Seconds for which a device stays known."""


class Refused(Exception):
    """A request that may not see the page, or asks for what is not there.

    Args:
        what: a sentence that says why, and what to do.
        status: of the answer.
    """

    def __init__(self, what: str, status: int = 403) -> None:
        super().__init__(what)
        self.status = status


@dataclass(frozen=True, slots=True, kw_only=True)
class Shell:
    """What a web app puts into the frame."""

    command: str
    """The command that serves it, which prints its address, such as `spavl review`."""
    forms: bool
    """Whether its pages send forms; an app without them has no address that writes."""
    notice: Callable[[str, str], str]
    """A page of a sentence, and of what to do about it."""
    static: Callable[[str], tuple[str, str]]
    """Text and media type of a file that pages load; KeyError where there is none."""


@dataclass(frozen=True, slots=True)
class Cookies:
    """The cookies of one app, named by what it serves: others on other ports of this machine have theirs."""

    access: str
    """Holds the token of the page."""
    person: str = ""
    """Holds the token of the person; empty: the app knows no persons."""

    def sign_in(self, answer: Response, token: str, personal: str = "") -> None:
        """Have a device known from now on.

        Args:
            answer: that sets the cookies.
            token: of the page.
            personal: of the person; empty: not known yet.
        """
        for name, value in ((self.access, token), (self.person, personal)):
            if value:
                answer.set_cookie(name, quote(value), max_age=YEAR, httponly=True, samesite="lax", path="/")

    def has_token(self, request: Request, token: str) -> bool:
        """Whether a request brings the token of the page.

        Args:
            request: any.
            token: the right one.
        """
        return is_same(unquote(request.cookies.get(self.access, "")), token)


def framed_app(shell: Shell, *, host: str, admits: Callable[[Request], bool] = lambda request: True) -> FastAPI:
    """An app that answers nothing yet, inside the frame.

    Args:
        shell: what it puts into the frame.
        host: that the server listens at.
        admits: whether a request may see anything beside the static files; what it refuses is not read further.
    """
    app = FastAPI(title=shell.command, docs_url=None, redoc_url=None, openapi_url=None)
    _guard(app, shell, known_hosts(host), admits)
    _refusals(app, shell)
    _add_static(app, shell)
    return app


def _guard(app: FastAPI, shell: Shell, known: frozenset[str], admits: Callable[[Request], bool]) -> None:
    @app.middleware("http")
    async def guarded(request: Request, following: Callable[[Request], Awaitable[Response]]) -> Response:
        answer = _refusal(request, shell, known) or _stranger(request, shell, admits) or await following(request)
        for name, value in HEADERS.items():
            answer.headers.setdefault(name, value)
        answer.headers.setdefault("Cache-Control", "no-store")
        return answer


def _refusal(request: Request, shell: Shell, known: frozenset[str]) -> Response | None:
    """What a request is refused with before anything is read of it."""
    if not is_known_host(request.headers.get("host", ""), known):
        return HTMLResponse(shell.notice("This server is not called by that name.", "Open the printed address."), 421)
    if request.method not in ("GET", "HEAD", *(["POST"] if shell.forms else [])):
        return HTMLResponse(shell.notice("There is nothing to do that way here.", ""), 405)
    if request.method == "POST":
        if not is_own_page(request.headers):
            return HTMLResponse(shell.notice("Forms are taken from this server's own pages alone.", ""), 403)
        length = request.headers.get("content-length", "")
        if not length.isdigit() or int(length) > MOST_BYTES:
            return HTMLResponse(shell.notice("That form is too large.", ""), 413)
    return None


def _stranger(request: Request, shell: Shell, admits: Callable[[Request], bool]) -> Response | None:
    # the path as it came: that of `request.url` is made with the help of what the request calls its host
    if request.scope["path"].startswith("/static/") or admits(request):
        return None
    what = "This page opens with its whole address, token included."
    return HTMLResponse(shell.notice(what, f"Open the address that `{shell.command}` printed."), 403)


def _refusals(app: FastAPI, shell: Shell) -> None:
    @app.exception_handler(Refused)
    async def refused(request: Request, error: Refused) -> Response:
        try_ = f"Open the address that `{shell.command}` printed." if error.status == 403 else ""
        return HTMLResponse(shell.notice(str(error), try_), error.status)

    @app.exception_handler(SpavlError)
    async def unusable(request: Request, error: SpavlError) -> Response:
        return HTMLResponse(shell.notice(error.what, error.try_), 503)

    @app.exception_handler(Exception)
    async def unforeseen(request: Request, error: Exception) -> Response:  # beyond the guard
        what, try_ = "This page cannot be shown.", f"The terminal of `{shell.command}` says why."
        return HTMLResponse(shell.notice(what, try_), 500, {**HEADERS, "Cache-Control": "no-store"})

    @app.exception_handler(405)
    async def no_such_way(request: Request, error: Exception) -> Response:
        return HTMLResponse(shell.notice("There is nothing to do that way here.", ""), 405)

    @app.exception_handler(404)
    async def unknown(request: Request, error: Exception) -> Response:
        return HTMLResponse(shell.notice("There is no such page here.", ""), 404)


def _add_static(app: FastAPI, shell: Shell) -> None:
    @app.get("/static/{name}")
    def static(name: str) -> Response:
        try:
            text, kind = shell.static(name)
        except KeyError:
            raise Refused("There is no such file here.", 404) from None
        return Response(text, media_type=kind, headers={"Cache-Control": "no-cache"})


def picture_answer(find: Callable[[], Picture], *, small: bool = False) -> Response:
    """A picture as an answer: encoded anew, or a drawing that says that its file is missing or broken.

    Args:
        find: the picture; DataError where there is none of that key.
        small: whether it is shown beside many others.

    Raises:
        Refused: there is none.
    """
    try:
        picture = find()
    except DataError as error:
        raise Refused(error.what, 404) from None
    body, kind = served_picture(picture, SMALL if small else LONGEST)
    kept = "no-store" if kind == DRAWING else f"private, max-age={HOUR}"
    return Response(body, media_type=kind, headers={"Cache-Control": kept})
