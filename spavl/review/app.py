"""The web app of a review: what each address answers. All work is done by `opened`, all HTML is made by `pages`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any
from urllib.parse import quote, unquote

from fastapi import Depends, FastAPI, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from starlette.exceptions import HTTPException

from spavl.errors import DataError
from spavl.review.access import hash_of, is_loopback, name_said, personal_token
from spavl.review.form import FormError, field_name
from spavl.review.guidelines import GUIDELINES, shown_guidelines
from spavl.review.opened import OpenReview, Work
from spavl.review.pages import notice, render, static_file
from spavl.web.access import is_same
from spavl.web.shell import Cookies, Refused, Shell, framed_app, picture_answer


class NameMissing(Exception):
    """Somebody with the token who has not said a name yet."""


def create_app(review: OpenReview, *, host: str = "127.0.0.1") -> FastAPI:
    """The app of a review.

    Args:
        review: that is open.
        host: that the server listens at.
    """
    app = framed_app(Shell(command="spavl review", forms=True, notice=notice, static=static_file), host=host)
    cookies = Cookies(f"spavl_{review.name}", f"spavl_{review.name}_me")
    _refusals(app)
    people = _People(review, cookies)
    _add_entrance(app, people)
    _add_joining(app, people)
    _add_labelling(app, people)
    _add_about(app, people)
    return app


def _refusals(app: FastAPI) -> None:
    @app.exception_handler(NameMissing)
    async def nameless(request: Request, error: NameMissing) -> Response:
        return _to("/name", request)

    @app.exception_handler(405)
    async def form_address(request: Request, error: Exception) -> Response:
        if request.method == "GET":  # the address of a form's answer, opened again
            return RedirectResponse("/", 303)
        return HTMLResponse(notice("There is nothing to do that way here."), 405)


def _to(path: str, request: Request) -> Response:
    """Go to another page; a part of a page that htmx asked for makes the whole page go there."""
    if "hx-request" in request.headers:
        return Response(status_code=204, headers={"HX-Redirect": path})
    return RedirectResponse(path, 303)


async def _form(request: Request) -> dict[str, str]:
    """The fields of a form as texts; files in it are left out."""
    try:
        return {name: value for name, value in (await request.form()).items() if isinstance(value, str)}
    except HTTPException as error:
        raise Refused("That is no form of this page.", 400) from error


Form = Annotated[dict[str, str], Depends(_form)]


@dataclass(frozen=True, slots=True)
class _People:
    """Who a request is of."""

    review: OpenReview
    cookies: Cookies

    def check(self, request: Request) -> None:
        """Refuse a request without the token of the review."""
        if not self.cookies.has_token(request, self.review.token):
            raise Refused("This review opens with its whole address, token included.")

    def name(self, request: Request) -> str:
        """The annotator of a request."""
        self.check(request)
        found = self.known(request)
        if found is None:
            raise NameMissing
        return found

    def known(self, request: Request) -> str | None:
        """The annotator whose token a request brings; None: a stranger."""
        found = self.review.store.annotator_of(self.person(request))
        return None if found is None else found.name

    def new_token(self, key: str, name: str) -> str:
        """The token of somebody new: the one of the page, so that its form sent twice is of one person."""
        made = personal_token()
        owner = self.review.store.annotator_of(hash_of(key))
        return key if len(key) == len(made) and (owner is None or owner.name == name) else made

    def person(self, request: Request) -> str:
        """Hash of the personal token that a request brings; empty where it brings none."""
        given = request.cookies.get(self.cookies.person, "")
        return hash_of(unquote(given)) if given else ""


def _add_entrance(app: FastAPI, people: _People) -> None:
    review = people.review

    @app.get("/")
    def entrance(request: Request, token: str = "", me: str = "") -> Response:
        if not token:
            return HTMLResponse(_work_page(review, review.work(people.name(request))))
        if not is_same(token, review.token):
            raise Refused("The token in this address is not the one of this review.")
        if me and review.store.annotator_of(hash_of(me)) is None:
            raise Refused("That personal link is no longer valid; ask whoever runs the review for a new one.")
        answer = RedirectResponse("/", 303)
        people.cookies.sign_in(answer, token, me)
        return answer

    @app.post("/leave")
    def leave(request: Request) -> Response:
        people.check(request)
        answer = RedirectResponse("/name", 303)
        answer.delete_cookie(people.cookies.person)
        return answer


def _add_joining(app: FastAPI, people: _People) -> None:
    review = people.review

    def page(key: str, name: str = "", problem: str = "") -> Response:
        text = render("name.html.j2", review=review, key=key or personal_token(), name=name, problem=problem)
        return HTMLResponse(text, 422 if problem else 200)

    @app.get("/name")
    def name_page(request: Request) -> Response:
        people.check(request)
        return page("") if people.known(request) is None else RedirectResponse("/", 303)

    @app.post("/name")
    def join(request: Request, form: Form) -> Response:
        people.check(request)
        name, known = name_said(form.get("name", "")), people.known(request)
        personal = people.new_token(form.get("key", ""), name)
        if known == name:
            return RedirectResponse("/", 303)
        if known is not None:
            return page(personal, name, f"This device labels as {known}. Its page About you is where to change that.")
        try:
            _join(review, name, hash_of(personal))
            review.store.opt_out(name, _chosen(form, review))
        except (DataError, FormError) as error:
            return page(personal, name, error.what if isinstance(error, DataError) else str(error))
        answer = RedirectResponse("/", 303)
        people.cookies.sign_in(answer, review.token, personal)
        return answer


def _join(review: OpenReview, name: str, token_hash: str) -> None:
    """Let somebody label under a name that nobody has."""
    if not name:
        raise FormError("Say your name, or any name that is yours alone", "name")
    if not review.store.claim(name, token_hash):
        raise FormError(
            f"Somebody labels as {name} already. If that is you on another device, use the link on its page About"
            " you, or ask whoever runs the review for one.", "name",
        )  # fmt: skip


def _chosen(form: Mapping[str, str], review: OpenReview) -> list[str]:
    """Subjects that a form opts out of: its fields are named by them."""
    return sorted(name for name in review.subjects.optional if f"out/{field_name(name)}" in form)


def _add_labelling(app: FastAPI, people: _People) -> None:
    review = people.review

    def answer(request: Request, work: Work) -> Response:
        status = 422 if work.problem else 200
        if "hx-request" in request.headers:
            return HTMLResponse(render("work.html.j2", review=review, work=work), status)
        if work.problem or work.notice or (work.shown and work.shown.form):
            return HTMLResponse(_work_page(review, work), status)
        return RedirectResponse("/", 303)

    @app.post("/labels")
    def save(request: Request, form: Form, page: str = "") -> Response:
        return answer(request, review.save(people.name(request), form, page))

    @app.post("/undo")
    def undo(request: Request, form: Form, page: str = "") -> Response:
        return answer(request, review.undo(people.name(request), form, page))

    @app.get("/pictures/{key}")
    def shown(request: Request, key: str) -> Response:
        people.check(request)
        return picture_answer(partial(review.pictures.picture_of, key))


def _work_page(review: OpenReview, work: Work) -> str:
    return render("page.html.j2", review=review, work=work)


def _add_about(app: FastAPI, people: _People) -> None:
    review = people.review

    def about(request: Request, name: str, said: str = "") -> Response:
        personal = unquote(request.cookies.get(people.cookies.person, ""))
        link = f"{request.url.scheme}://{request.url.netloc}/?token={quote(review.token)}&me={quote(personal)}"
        values: dict[str, Any] = {"annotator": review.store.annotator(name), "link": link, "said": said}
        values |= {"here": request.url.hostname or "", "is_here": is_loopback(request.url.hostname or "")}
        return HTMLResponse(render("about.html.j2", review=review, progress=review.store.progress(name), **values))

    @app.get("/about")
    def about_page(request: Request) -> Response:
        return about(request, people.name(request))

    @app.post("/about")
    def change(request: Request, form: Form) -> Response:
        name = people.name(request)
        review.store.opt_out(name, _chosen(form, review))
        return about(request, name, "Kept. Items of the subjects that you ticked are not shown to you.")

    @app.get("/guidelines")
    def guidelines(request: Request) -> Response:
        people.check(request)
        return HTMLResponse(render("guidelines.html.j2", review=review,
                                   text=shown_guidelines(review.folder / GUIDELINES)))  # fmt: skip
