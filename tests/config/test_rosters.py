"""The rosters that ship: twelve responders each, one of them an empty slot, and what they say without a server."""

from __future__ import annotations

from pathlib import Path

import pytest

from spavl.config import Settings, load_settings
from spavl.errors import SettingsError

FOLDER = Path(__file__).parents[2] / "settings" / "rosters"
ROSTERS = sorted(FOLDER.glob("*.yaml"))
PAPER = {
    "Otter", "mPLUG-Owl", "LAMM", "LAMM_SFT", "LLaMA-Adapter-v2", "MiniGPT-4", "InstructBLIP", "LLaVA1.5",
    "InternLMXComposer", "QwenVL", "gemini", "gemini_jb",
}  # fmt: skip


def test_there_are_four_rosters() -> None:
    assert [path.stem for path in ROSTERS] == ["hosted", "local", "paper", "vllm"]


@pytest.mark.parametrize("roster", ROSTERS, ids=lambda path: path.stem)
def test_a_roster_names_twelve_different_responders_of_which_one_is_an_empty_slot(roster: Path) -> None:
    settings = load_settings(Settings, roster)
    respond = settings.build.respond
    assert len(set(respond.models)) == 12 == len(settings.models)
    assert set(respond.models) == {model.name for model in settings.models}
    assert len(respond.empty_slots) == 1
    assert len(respond.responders) == 11
    assert not set(respond.empty_slots) & set(respond.responders)


def test_the_papers_roster_has_its_labels() -> None:
    assert set(load_settings(Settings, FOLDER / "paper.yaml").build.respond.models) == PAPER


@pytest.mark.parametrize("roster", ROSTERS, ids=lambda path: path.stem)
def test_no_roster_has_a_price_a_key_or_remote_code(roster: Path) -> None:
    for model in load_settings(Settings, roster).models:
        told = model.model_dump()
        assert not told.get("price_in") and not told.get("price_out")
        assert not told.get("trust_remote_code")
        assert told.get("headers", {}) == {}


@pytest.mark.parametrize("roster", ROSTERS, ids=lambda path: path.stem)
def test_a_slot_is_filled_by_a_file_of_ones_own(roster: Path, tmp_path: Path) -> None:
    (slot,) = load_settings(Settings, roster).build.respond.empty_slots
    mine = tmp_path / "my.yaml"
    mine.write_text(f"include: ['{roster}']\nbuild: {{respond: {{own_system: {{{slot}: mine.txt}}}}}}\n")
    respond = load_settings(Settings, mine).build.respond
    assert respond.empty_slots == ()
    assert len(respond.responders) == 12


def test_a_system_prompt_for_nobody_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="`own_system` names `gemini`, which is none of the responders"):
        load_settings(Settings, None, ["build.respond.models=[one, two]", "build.respond.own_system.gemini=x.txt"])


def test_an_empty_slot_cannot_be_followed_up() -> None:
    words = ["build.respond.models=[one, two]", "build.respond.own_system.two=null",
             "build.ask.types=[easy_question, follow_up]", "build.ask.follow_up.responder=two"]  # fmt: skip
    with pytest.raises(SettingsError, match=r"names `two`, which is an empty slot"):
        load_settings(Settings, None, words)


@pytest.mark.parametrize(("words", "says"), [
    (["build.ask.types=[follow_up]"], "needs `follow_up: {responder: LABEL, after: TYPE}`"),
    (["build.ask.types=[hard_questoin]"], "is no type of question (did you mean `hard_question`?)"),
    (["build.ask.models.hard_questoin=x"], "is no type of question (did you mean `hard_question`?)"),
    (["build.ask.models.benign_question=x"], "`models` names `benign_question`, which is none of the types"),
    (["build.respond.models=[a]", "build.respond.samples=3", "build.respond.sampling.temperature=0"],
     "`a` is to answer 3 times at temperature 0"),
    (["build.ask.near_duplicates=0"], "`build.ask.near_duplicates` is 0"),
])  # fmt: skip
def test_settings_that_do_not_fit_together_are_a_sentence(words: list[str], says: str) -> None:
    with pytest.raises(SettingsError) as error:
        load_settings(Settings, None, words)
    assert says in error.value.what and "[key]" not in error.value.what
