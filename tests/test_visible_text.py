"""What models, files and servers send reaches no terminal as a command, and nothing of it is lost."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from spavl.cli import terminal
from spavl.errors import DataError
from spavl.progress import TerminalProgress
from spavl.visible_text import HIDDEN, visible

HOSTILE = "[/INST] [bold]x[/] \x1b[2J\x1b]0;title\x07 \x9b31m \r \u202egnp.exe \ud83d [link=x]"


def test_control_characters_are_spelt_out() -> None:
    assert visible("a\x1b[31mb\r\nc\td") == "a\\x1b[31mb\\x0d\nc\td"
    assert visible("\u202etxt \u2066 \ud800") == "\\u202etxt \\u2066 \\ud800"


@pytest.mark.parametrize("text", ["سلام", "日本語", "👩‍🔬 e\u0301", "[/INST] <b>"])
def test_other_text_stays_as_it_is(text: str) -> None:
    assert visible(text) == text


@given(st.text(st.characters(codec=None)))
def test_nothing_is_lost_and_nothing_hidden_is_left(text: str) -> None:
    shown = visible(text)
    assert not HIDDEN.search(shown)
    assert HIDDEN.sub("", text) == text or len(shown) > len(text)


@pytest.mark.parametrize("is_terminal", [True, False])
def test_hostile_text_reaches_the_terminal_as_text(is_terminal: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    page = io.StringIO()
    console = Console(file=page, width=200, highlight=False, force_terminal=is_terminal, color_system=None)
    monkeypatch.setattr(terminal, "out", console)
    monkeypatch.setattr(terminal, "err", console)
    terminal.say(HOSTILE)
    terminal.table("t", ["a", HOSTILE], [["x", HOSTILE]])
    terminal.print_error(DataError(HOSTILE, where=HOSTILE, try_=HOSTILE))
    TerminalProgress(console).log(HOSTILE)
    if not is_terminal:
        with TerminalProgress(console).bar(HOSTILE) as on_progress:
            on_progress(1, 1)
    shown = page.getvalue()
    assert shown.count("[/INST]") == (8 if not is_terminal else 7)
    assert "\x1b]0" not in shown and "\x1b[2J" not in shown and "\x9b" not in shown and "\u202e" not in shown
