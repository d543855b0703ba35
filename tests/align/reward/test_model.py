"""What a reward model's folder says of itself, in this version and in the first one."""

from __future__ import annotations

import errno
import json
from pathlib import Path

import pytest
import torch

from spavl.align.reward import model
from spavl.align.reward.model import FORMAT, read_card, save_head
from spavl.errors import ModelError, RunError


def test_a_reward_model_of_the_first_version_is_read(tmp_path: Path) -> None:
    (tmp_path / "reward.json").write_text(json.dumps({"format": 1, "layout": "separate", "base": "b"}))
    card = read_card(tmp_path)
    assert (card["format"], card["packing"], card["base"]) == (FORMAT, "separate", "b")


def test_a_reward_model_of_a_later_format_is_refused_with_advice(tmp_path: Path) -> None:
    (tmp_path / "reward.json").write_text(json.dumps({"format": 99}))
    with pytest.raises(ModelError, match="format 99") as error:
        read_card(tmp_path)
    assert error.value.try_


def test_a_head_that_cannot_be_written_is_an_error_that_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(model, "save_file", full)
    with pytest.raises(RunError, match="head cannot be written: No space left"):
        save_head(tmp_path, torch.zeros(1, 4), {})
    assert list(tmp_path.iterdir()) == []
