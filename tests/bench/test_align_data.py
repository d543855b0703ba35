"""The benchmark of pairs at real size: its files are read as the published ones, and a training is watched."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench import align_data
from spavl.preferences.pairs import read_rows
from spavl.preferences.sources import find_pairs
from tests.tiny import tiny_llava


def test_files_have_three_pairs_a_picture_of_the_size_that_is_named(tmp_path: Path) -> None:
    pairs = list(read_rows(find_pairs(align_data.write_pairs(tmp_path / "train.parquet", 7))))
    assert [len(pair.pictures) for pair in pairs] == [1] * 7 and len({pair.context for pair in pairs}) == 3
    for pair in pairs:
        content = pair.pictures[0].source
        assert isinstance(content, bytes) and len(content) == pytest.approx(align_data.PICTURE_BYTES, rel=0.1)


@pytest.mark.slow
def test_a_training_is_watched_until_its_first_step(tmp_path: Path) -> None:
    pairs, model = align_data.write_pairs(tmp_path / "train.parquet", 24), tiny_llava(tmp_path / "model")
    found = align_data.train(pairs, model, tmp_path / "run")
    assert found.peak > 1e8 and 0.5 < found.first_step < 300
    assert (tmp_path / "run" / "pairs").is_dir()
