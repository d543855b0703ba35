"""Several processes: every method with every kind of trained weights learns what one process learns."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from spavl.align.ppo.rollout import split_to
from spavl.align.ppo.train import train_ppo
from spavl.config.align import AlignSettings
from spavl.errors import SettingsError
from spavl.preferences.pairs import Pair
from tests import processes
from tests.align.launches import MATRIX, TOLERANCE, Case, difference, launch, train, write_task

SHORT = tuple(
    c for c in MATRIX
    if c.freeze != "vision" and (c.dtype == "float32" or c.method == "dpo") and c.loss == "sigmoid"
)  # fmt: skip
"""What the default suite trains; the rest is slow."""
FEW_PICTURES = Case("ppo", "lora", minibatches=6)
"""A round of 12 questions about 4 pictures, for 6 minibatches on 2 devices."""


@pytest.fixture(scope="module")
def reward(pairs: list[Pair], checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("reward")
    train(Case("reward", "lora"), pairs, checkpoint, folder, folder)
    return folder / Case("reward", "lora").name


@pytest.fixture(scope="module")
def one_and_two(
    pairs: list[Pair], checkpoint: Path, reward: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Path]:
    """Folders of trainings by one process and by two, which are forked where torch is imported."""
    folder = tmp_path_factory.mktemp("both")
    one, two = folder / "one", folder / "two"
    for case in SHORT:
        train(case, pairs, checkpoint, reward, one)
    write_task((*SHORT, FEW_PICTURES), pairs, checkpoint, reward, two)
    processes.launch("-m", "tests.align.launches", str(two))
    return one, two


@pytest.mark.slow
@pytest.mark.parametrize("case", SHORT, ids=lambda case: case.name)
def test_two_processes_have_the_losses_of_one(case: Case, one_and_two: tuple[Path, Path]) -> None:
    assert difference(case, *one_and_two) <= TOLERANCE[case.dtype]


@pytest.mark.slow
def test_two_processes_have_the_losses_of_one_in_the_rest_of_the_matrix(
    pairs: list[Pair], checkpoint: Path, reward: Path, tmp_path: Path
) -> None:
    rest = [case for case in MATRIX if case not in SHORT]
    folders = tmp_path / "one", tmp_path / "two"
    for case in rest:
        train(case, pairs, checkpoint, reward, folders[0])
    done = launch(rest, pairs, checkpoint, reward, folders[1])
    errors = {path.stem: path.read_text("utf-8") for path in folders[1].glob("*.error")}
    assert done.returncode == 0, errors or done.stderr[-3000:]
    assert {c.name: d for c in rest if (d := difference(c, *folders)) > TOLERANCE[c.dtype]} == {}


def test_ppo_goes_on_where_a_round_has_fewer_pictures_than_minibatches_on_all_devices(
    one_and_two: tuple[Path, Path],
) -> None:
    rounds = (one_and_two[1] / FEW_PICTURES.name / "metrics.jsonl").read_text().splitlines()
    assert rounds, "every round finished, and the launch ended with status 0"


def test_groups_are_halved_until_there_are_enough_and_nothing_is_lost() -> None:
    assert split_to([[1, 2, 3, 4, 5], [6]], 2) == [[1, 2, 3, 4, 5], [6]], "enough as they are"
    parts = split_to([[1, 2, 3, 4, 5], [6]], 6)
    assert sorted(parts) == [[1], [2], [3], [4], [5], [6]]
    assert split_to([[1, 2, 3, 4]], 2) == [[1, 2], [3, 4]]


def test_a_round_with_fewer_prompts_than_minibatches_is_refused_before_anything_is_opened(
    pairs: list[Pair], tmp_path: Path
) -> None:
    ppo = {"prompts": 2, "minibatches": 3}
    settings = AlignSettings.model_validate({"method": "ppo", "model": str(tmp_path / "nowhere"), "ppo": ppo})
    with pytest.raises(SettingsError, match="2 prompts is too small for 3 minibatches on 1 devices"):
        train_ppo(pairs, settings, tmp_path, reward=tmp_path)


def test_the_reward_models_own_head_is_trained_and_the_words_head_is_not(one_and_two: tuple[Path, Path]) -> None:
    card = json.loads((one_and_two[0] / "reward-full-float32" / "reward.json").read_text())
    assert not any("lm_head" in name for name in card["trained"])
    assert any("embed_tokens" in name for name in card["trained"])
