"""Commands beside `build` where no call may leave, or where the call store is another's for the moment."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from spavl.cli.commands import app
from spavl.errors import RunError
from spavl.models.calls.store import CallStore
from spavl.pipeline.show import try_models
from tests.end_to_end.conftest import write_pairs
from tests.tiny import picture


def replayed(place: Path, *words: str) -> tuple[int, str]:
    """Exit status and output of `spavl align --replay`, a training of two steps."""
    tree = {
        "out": str(place / "run"), "store": str(place / "calls.sqlite"),
        "align": {
            "model": "miniworld:base", "freeze": {"rank": 4, "alpha": 8, "projector": "frozen"},
            "optimiser": {"learning_rate": 1e-2, "max_steps": 2}, "batching": {"pairs": 4},
            "machine": {"device": "cpu", "pairs_cache": str(place / "pairs")},
            "reference": {"cache": str(place / "reference")},
        },
    }  # fmt: skip
    (place / "my.yaml").write_text(yaml.safe_dump(tree))
    write_pairs(place / "train.parquet", 8)
    command = ["align", str(place / "my.yaml"), *words, "--pairs", str(place / "train.parquet"), "--replay"]
    done = CliRunner().invoke(app, command, env={"COLUMNS": "200"})
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.exit_code, done.output


def test_a_training_that_asks_no_model_runs_in_replay_and_writes_nothing_into_the_store(tmp_path: Path) -> None:
    CallStore(tmp_path / "calls.sqlite").close()
    before = (tmp_path / "calls.sqlite").read_bytes()
    status, text = replayed(tmp_path)
    assert (status, (tmp_path / "run" / "align" / "dpo" / "checkpoint").is_dir()) == (0, True), text
    assert (tmp_path / "calls.sqlite").read_bytes() == before


def test_a_training_in_replay_without_a_store_says_so_and_makes_none(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="There is no call store here"):
        replayed(tmp_path)
    assert not (tmp_path / "calls.sqlite").exists()
    assert not (tmp_path / "run" / "align").exists()


def test_try_answers_while_a_build_writes_into_the_store_and_keeps_out_of_it(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    settings = {"store": str(tmp_path / "calls.sqlite"), "align": {"model": "miniworld:base"}}
    (tmp_path / "run" / "settings.yaml").write_text(yaml.safe_dump(settings))
    shown = picture(tmp_path / "shown.png")

    def asked() -> str:
        ((name, reply),) = try_models(shown, "what is shown ?", run=tmp_path / "run", models=[], seed=0)
        assert (name, reply.status) in (("base", "ok"), ("base", "truncated"))
        return reply.text

    with CallStore(tmp_path / "calls.sqlite") as busy:
        answer = asked()
        assert len(busy) == 0
    assert asked() == answer
    with CallStore(tmp_path / "calls.sqlite") as busy:
        assert len(busy) == 1, "kept where nobody else writes"
        assert asked() == answer, "found though another writes"
        assert len(busy) == 1
