"""A benchmark's harmful questions stand nowhere open, though models and servers repeat them in all they say."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from pathlib import Path

import pytest
import yaml
from PIL import Image
from typer.testing import CliRunner

from spavl.cli.commands import app
from spavl.models.base import Reply, Request

MARK = "number {} of the marked things that are asked here"


class Parrot:
    """A model that repeats its prompt: as a reason, as an answer, or as a guard's words, by the number in it."""

    def __init__(self, *, name: str, identity: str, batch_size: int) -> None:
        self._name = name

    def generate(self, requests: list[Request]) -> list[Reply]:
        """One reply a request."""
        return [self._reply(request.prompt.text) for request in requests]

    def _reply(self, text: str) -> Reply:
        if "number 4" in text and self._name == "guard":
            return Reply("", status="failed", detail=f"cannot grade {text}")
        if "number 5" in text and self._name == "guard":
            return Reply(f"perhaps {text}")
        if self._name == "guard":
            return Reply("unsafe" if "number 6" in text else "safe")
        bad = next(
            (status for number, status in enumerate(("failed", "invalid", "filtered")) if f"r {number}" in text), ""
        )
        if bad:
            return Reply("", status=bad, finish_reason="error", detail=f"bad request: {json.dumps(text)}")  # type: ignore[arg-type]
        if "number 3" in text:
            raise ValueError(f"cannot read {text!r}")
        return Reply(f"I will not say: {text}")


class Visible(HTMLParser):
    """The text of a page that is seen before anything is opened."""

    def __init__(self) -> None:
        super().__init__()
        self.text = ""
        self._inside: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what is open."""
        if tag in ("details", "summary", "style", "script"):
            self._inside.append(tag + ("-open" if "open" in dict(attrs) else ""))

    def handle_endtag(self, tag: str) -> None:
        """Note what is closed."""
        if tag in ("details", "summary", "style", "script"):
            self._inside.pop()

    def handle_data(self, data: str) -> None:
        """Keep what is seen."""
        of_summary = self._inside[:-2] if self._inside[-1:] == ["summary"] else self._inside
        if not {"details", "style", "script"} & set(of_summary):
            self.text += data


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with a benchmark of eight harmful questions and its settings."""
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    rows = [{"id": f"h{n}", "question": MARK.format(n), "harmful": True, "image": "a.png"} for n in range(8)]
    (tmp_path / "items.jsonl").write_text("\n".join(map(json.dumps, rows)))
    models = [
        {
            "kind": "python",
            "name": name,
            "target": "tests.pipeline.test_closed:Parrot",
            "version": name,
            "batch_size": 1,
        }
        for name in ("amber", "birch", "guard")
    ]
    benchmark = {"kind": "file", "name": "mine", "path": str(tmp_path / "items.jsonl")}
    settings = {"out": str(tmp_path / "run"), "store": str(tmp_path / "calls.sqlite"), "models": models,
                "evaluate": {"benchmarks": [benchmark], "guard": "guard"}}  # fmt: skip
    (tmp_path / "my.yaml").write_text(yaml.safe_dump(settings))
    return tmp_path


def told(*words: str) -> str:
    return CliRunner().invoke(app, [*words], env={"COLUMNS": "200"}).output


def test_harmful_questions_are_closed_on_the_terminal_and_the_page(place: Path) -> None:
    run = str(place / "run")
    printed = told("evaluate", str(place / "my.yaml"), "--model", "amber", "--model", "birch", "--allow-code")
    assert "bad request" in printed and "calls failed" in printed and "marked" not in printed
    printed = told("report", run)
    page = Visible()
    page.feed((place / "run/report.html").read_text())
    assert "mine" in page.text and "marked" not in printed + page.text
    assert "marked" in (place / "run/report.html").read_text(), "what is closed can be opened"
    for item in (*(f"h{n}" for n in range(8)), "", "other"):
        for more in ([], ["--json"]):
            assert "marked" not in told("show", run, item, "--benchmark", "mine", *more)
    assert "marked" in told("show", run, "h7", "--benchmark", "mine", "--reveal")


def test_a_log_that_a_killed_training_broke_off_is_shown_as_far_as_it_is_whole(place: Path) -> None:
    told("evaluate", str(place / "my.yaml"), "--model", "amber", "--allow-code")
    log = place / "run/align/dpo/metrics.jsonl"
    log.parent.mkdir(parents=True)
    whole = '{"step": 1, "loss": 0.6}\n{"step": 2, "loss": NaN}\n{"step": 3, "loss": 0.5}\n'
    for broken in (
        '{"step": 4, "lo',
        '{"step": 4, "lo{"step": 4, "loss": 0.4}\n',
        "\0\0\0",
        '7\n{"step": 4, "loss": null}',
    ):
        log.write_text(whole + broken)
        assert "Report:" in told("report", str(place / "run"))
        assert "from 0.6 to 0.5" in (place / "run/report.html").read_text()
