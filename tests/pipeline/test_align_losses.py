"""Losses and reward models by their settings, from a file of one's own to a folder in the run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from spavl.errors import DataError
from tests.end_to_end.conftest import write_pairs
from tests.pipeline.test_trainings import opened


def single_answers(folder: Path) -> Path:
    """Two prompts, each with a wanted and an unwanted answer, text only."""
    rows = [
        {"prompt": f"what is {number} ?", "completion": "yes ." if label else "no .", "label": label}
        for number in range(2)
        for label in (True, False)
    ]
    (folder / "answers.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder / "answers.jsonl"


def made(run: Path, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((run / "align" / name / "training.json").read_text())
    return found


def test_kto_trains_on_a_file_of_single_answers_which_dpo_refuses(tmp_path: Path) -> None:
    file = single_answers(tmp_path)
    with pytest.raises(DataError, match="single answers with labels") as error:
        opened(tmp_path).align(pairs=file)
    assert "align.loss.kind=kto" in error.value.try_
    opened(tmp_path, loss={"kind": "kto"}).align("kto", pairs=file)
    found = made(tmp_path / "run", "kto")
    assert (found["pairs"], found["loss"]["kind"]) == (4, "kto")
    sft = {"loss": {"kind": "sft"}, "data": {"invalid": "skip"}}
    opened(tmp_path, **sft).align("sft", pairs=file)
    assert made(tmp_path / "run", "sft")["pairs"] == 2, "the unwanted ones are left out"


def test_the_reward_model_of_ppo_may_be_trained_on_other_pairs_than_those_of_its_prompts(tmp_path: Path) -> None:
    for name, pairs in (("prompts.parquet", 8), ("safest.parquet", 6)):
        write_pairs(tmp_path / name, pairs)
    ppo = {"prompts": 2, "answers": 2, "max_tokens": 4}
    run = opened(tmp_path, method="ppo", ppo=ppo, reward={"pairs": str(tmp_path / "safest.parquet")})
    run.align("ppo", pairs=tmp_path / "prompts.parquet")
    reward = made(tmp_path / "run", "reward")
    assert reward["pairs"] + reward["held_out"] == 6 and made(tmp_path / "run", "ppo")["pairs"] == 8
