"""The frame of local web apps: an app without forms takes none, and a stranger is refused before anything is read."""

from __future__ import annotations

from fastapi.responses import PlainTextResponse, Response
from starlette.testclient import TestClient

from spavl.errors import DataError
from spavl.pictures import Picture
from spavl.web.pages import static_of
from spavl.web.shell import Refused, Shell, framed_app, picture_answer


def client(*, forms: bool, admits: bool = True) -> TestClient:
    shell = Shell(command="spavl show-off", forms=forms, notice=lambda what, try_: f"{what} {try_}",
                  static=lambda name: static_of({}, name))  # fmt: skip
    app = framed_app(shell, host="127.0.0.1", admits=lambda request: admits)

    @app.api_route("/", methods=["GET", "POST"])
    def page() -> Response:
        return PlainTextResponse("seen")

    @app.get("/error")
    def broken() -> Response:
        raise DataError("A file is damaged", try_="make it anew")

    @app.get("/picture")
    def picture() -> Response:
        return picture_answer(lambda: Picture("x", None))

    @app.get("/refused/{status}")
    def refused(status: int) -> Response:
        raise Refused("Not this.", status)

    @app.get("/unforeseen")
    def unforeseen() -> Response:
        raise ZeroDivisionError("a secret of the server")

    return TestClient(app, base_url="http://localhost", raise_server_exceptions=False)


def test_an_app_without_forms_takes_none_and_one_with_forms_only_its_own() -> None:
    own = {"origin": "http://localhost"}
    assert client(forms=False).post("/", headers=own).status_code == 405
    assert client(forms=True).post("/", headers=own).text == "seen"
    assert client(forms=True).post("/", headers={"origin": "http://evil.example"}).status_code == 403
    assert client(forms=True).put("/").status_code == 405


def test_a_stranger_gets_static_files_alone_and_every_answer_has_the_headers() -> None:
    refused = client(forms=False, admits=False)
    for path, status in (("/", 403), ("/error", 403), ("/static/web.css", 200), ("/static/../shell.py", 403)):
        answer = refused.get(path)
        assert answer.status_code == status and "script-src 'self'" in answer.headers["content-security-policy"]
    assert "`spavl show-off` printed" in refused.get("/").text


def test_only_who_may_not_see_a_page_is_told_to_open_the_printed_address() -> None:
    seen = client(forms=False)
    assert "printed" in seen.get("/refused/403").text and "printed" not in seen.get("/refused/404").text


def test_an_unforeseen_error_is_a_page_with_the_headers_of_every_other() -> None:
    answer = client(forms=False).get("/unforeseen")
    assert answer.status_code == 500 and "cannot be shown" in answer.text and "secret" not in answer.text
    assert "script-src 'self'" in answer.headers["content-security-policy"]
    assert answer.headers["cache-control"] == "no-store"


def test_errors_are_sentences_and_a_missing_picture_a_drawing() -> None:
    seen = client(forms=False)
    assert (seen.get("/error").status_code, seen.get("/error").text) == (503, "A file is damaged make it anew")
    assert seen.get("/nowhere").status_code == 404 and seen.get("/static/nothing").status_code == 404
    assert b"missing or broken" in seen.get("/picture").content
