"""Chat messages of other frameworks as prompts."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from spavl.bridges.chat import ChatTurn, PictureFolder, Shown, prompt_of
from spavl.errors import DataError


def red() -> Image.Image:
    return Image.new("RGB", (5, 4), (200, 10, 10))


def png(picture: Image.Image) -> bytes:
    file = io.BytesIO()
    picture.save(file, "PNG")
    return file.getvalue()


def test_a_conversation_becomes_a_prompt_with_its_system_turn_earlier_turns_and_pictures(tmp_path: Path) -> None:
    pictures = PictureFolder(tmp_path)
    turns = [
        ChatTurn("system", ["Answer in one word."]),
        ChatTurn("user", ["What is this?", Shown(red())]),
        ChatTurn("assistant", ["A teapot."]),
        ChatTurn("user", [Shown(red()), "Which colour?"]),
    ]
    prompt = prompt_of(turns, pictures.keep, item="7")
    assert (prompt.system, prompt.text, prompt.item) == ("Answer in one word.", "Which colour?", "7")
    assert [(turn.role, turn.text, len(turn.images)) for turn in prompt.earlier] == [
        ("user", "What is this?", 1),
        ("assistant", "A teapot.", 0),
    ]
    assert [turn.interleaved for turn in turns] == [False, True, False, False]
    assert len({image.sha256 for image in prompt.pictures}) == 1
    assert len(list(tmp_path.iterdir())) == 1, "equal pictures are kept once"


def test_a_picture_is_kept_as_it_is_whether_opened_in_bytes_by_path_or_as_a_data_url(tmp_path: Path) -> None:
    data = png(red())
    (tmp_path / "red.png").write_bytes(data)
    pictures = PictureFolder(tmp_path / "kept")
    url = f"data:image/png;base64,{base64.b64encode(data).decode()}"
    given_as = [data, str(tmp_path / "red.png"), f"file://{tmp_path / 'red.png'}", tmp_path / "red.png", url]
    assert {pictures.keep(one).path.read_bytes() for one in given_as} == {data}
    with Image.open(pictures.keep(red()).path) as opened:
        assert opened.tobytes() == red().tobytes()


@pytest.mark.parametrize(
    ("picture", "why"),
    [
        ("https://example.org/a.png", "nothing is downloaded"),
        ("no/such/file.png", "not there"),
        ("data:image/png;base64,???", "base64"),
    ],
)
def test_a_picture_that_cannot_be_had_is_refused_in_a_sentence(picture: str, why: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=why):
        PictureFolder(tmp_path).keep(picture)


@pytest.mark.parametrize("roles", [[], ["system"], ["user", "assistant"], ["tool", "user"]])
def test_a_conversation_that_no_model_can_answer_is_refused(roles: list[str], tmp_path: Path) -> None:
    with pytest.raises(DataError):
        prompt_of([ChatTurn(role, ["Words."]) for role in roles], PictureFolder(tmp_path).keep)


@given(st.lists(st.tuples(st.sampled_from(["user", "assistant"]), st.text()), max_size=5), st.text())
def test_no_word_of_a_conversation_is_lost(earlier: list[tuple[str, str]], last: str) -> None:
    turns = [ChatTurn(role, [text]) for role, text in [*earlier, ("user", last)]]
    prompt = prompt_of(turns, PictureFolder(Path()).keep)
    assert [(turn.role, turn.text) for turn in prompt.turns] == [*earlier, ("user", last)]
