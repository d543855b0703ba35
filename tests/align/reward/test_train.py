"""A reward model: it learns from pairs, depends on the picture, and comes back from disk as it was."""

import json
import shutil
from contextlib import contextmanager
from dataclasses import replace
from io import BytesIO

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from spavl.align.data.batches import PairDataset
from spavl.align.data.views import swap_pictures
from spavl.align.reward.accuracy import reward_margins
from spavl.align.reward.model import RewardModel
from spavl.align.reward.train import train_reward
from spavl.align.validation.held_out import split_by_picture
from spavl.config.align import AlignSettings
from spavl.errors import DataError, ModelError
from spavl.models.trees.score import hidden_at
from spavl.pictures import Picture
from spavl.preferences.pairs import Pair


def coloured(number):
    """A picture that is light or dark, as its number is odd or even, with something in a corner."""
    shade = 40 if number % 2 else 215
    image = Image.new("RGB", (24, 24), (shade, shade, shade))
    image.putpixel((number % 24, number // 24), (255, 0, 0))
    file = BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


@pytest.fixture(scope="module")
def shades():
    """24 pairs of which the picture alone tells the better answer: `yes` where it is dark."""
    answers = ("yes i can see it", "no")
    return [
        Pair(f"s{n}", (Picture(f"shade{n}", coloured(n)),), "is it blue ?", *(answers if n % 2 else answers[::-1]))
        for n in range(24)
    ]


@pytest.fixture
def learns(settings_for):
    """Settings under which the tiny model learns shades."""
    return settings_for(
        freeze={"rank": 8, "alpha": 16.0},
        optimiser={"learning_rate": 1e-2, "max_steps": 30},
        batching={"pairs": 12},
        validation={"held_out": 0.25, "measure_every": 10},
        saving={"log_every": 10},
    )


@pytest.fixture(scope="module")
def trained(pairs, checkpoint, tmp_path_factory):
    """The folder of a reward model after a few steps; not to be written into."""
    settings = AlignSettings.model_validate(
        {
            "model": str(checkpoint),
            "freeze": {"rank": 4},
            "optimiser": {"learning_rate": 1e-2, "max_steps": 3},
            "batching": {"pairs": 12},
        }
    )
    return train_reward(pairs, settings, tmp_path_factory.mktemp("reward")).folder


class Stopper:
    """Stops a training at a step as a pulled plug would."""

    def __init__(self, at):
        self.at = at

    @contextmanager
    def bar(self, doing):
        yield self._on_progress if doing == "reward" else lambda done, total: None

    def _on_progress(self, done, total):
        if done == self.at:
            raise KeyboardInterrupt

    def log(self, line):
        pass


@pytest.mark.parametrize("language", ["lora", "full"])
def test_it_learns_what_only_the_picture_decides_and_is_saved_whole(shades, learns, tmp_path, language):
    settings = learns.model_copy(update={"freeze": learns.freeze.model_copy(update={"language": language})})
    if language == "full":
        slower = learns.optimiser.model_copy(update={"learning_rate": 3e-3})
        settings = settings.model_copy(update={"optimiser": slower})
    classes = {pair.pair_id: "dark" if int(pair.pair_id[1:]) % 2 else "light" for pair in shades}
    made = train_reward(shades, settings, tmp_path / "out", classes=classes)
    assert made.held_out.pairs == 6 and made.held_out.own_picture == 1
    assert made.held_out.other_picture <= 0.7
    assert set(made.held_out.by_class) <= {"dark", "light"} and sum(n for n, _ in made.held_out.by_class.values()) == 6
    model = RewardModel.load(made.folder)
    assert (model.card["pairs"], model.card["steps"], model.card["held_out"]["pairs"]) == (18, 30, 6)
    assert (tmp_path / "out" / "adapter").is_dir() == (language == "lora")
    assert (tmp_path / "out" / "checkpoint").is_dir() == (language == "full")
    learn, held = split_by_picture(shades, 0.25, 1)
    assert not {p.context for p in learn} & {p.context for p in held}
    assert (reward_margins(model.scalar_head, held) > 0).all()
    lines = [json.loads(line) for line in (tmp_path / "out" / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if "held_out_accuracy" in line] == [10, 20, 30]
    assert next(line["loss"] for line in lines if "loss" in line) > 0.3 > lines[-1].get("loss", 0)


def test_a_reward_is_the_value_of_the_head_at_the_end_token_of_the_answer_alone(pairs, trained):
    model = RewardModel.load(trained)
    together = model.score(
        [p.pictures[0].source for p in pairs], [p.question for p in pairs], [p.chosen for p in pairs]
    )
    scalar_head, family = model.scalar_head, model.scalar_head.family
    for pair, reward in zip(pairs[:4], together.tolist(), strict=False):
        prompt = family.tokenize(family.chat("", 1, pair.question), [(48, 48)])
        text = family.chat("", 1, pair.question, pair.chosen)
        ids, _ = family.answer(pair.chosen, family.tokenize(text.rstrip(), [(48, 48)]), prompt)
        assert ids[-1] == 2, "the end token is read"
        inputs = {
            "input_ids": torch.tensor([prompt + ids]),
            **family.pixels([Image.open(pair.pictures[0].source).convert("RGB")]),
        }
        with torch.no_grad(), scalar_head.active_adapter():
            hidden = scalar_head.model(**inputs, output_hidden_states=True).hidden_states[-1][0, -1]
        assert float(scalar_head.head(hidden)) == pytest.approx(reward, abs=1e-4)


def test_scores_do_not_depend_on_what_is_scored_with_them(pairs, trained):
    model = RewardModel.load(trained)
    rows = [(str(p.pictures[0].source), p.question, p.rejected) for p in pairs]
    together = model.score(*map(list, zip(*rows, strict=True)))
    apart = torch.cat([model.score([i], [q], [a]) for i, q, a in rows])
    assert torch.allclose(together, apart, atol=1e-5)
    files = [p.pictures[0].source.read_bytes() for p in pairs]
    opened = [Image.open(p.pictures[0].source) for p in pairs]
    for images in (files, opened):
        again = model.score(images, [p.question for p in pairs], [p.rejected for p in pairs], token_budget=64)
        assert torch.allclose(together, again, atol=1e-5)


def test_a_training_that_was_stopped_ends_with_the_same_weights_to_the_bit(pairs, learns, tmp_path):
    short = learns.optimiser.model_copy(update={"max_steps": 8})
    often = learns.saving.model_copy(update={"every": 3, "log_every": 1})
    settings = learns.model_copy(update={"optimiser": short, "saving": often})
    train_reward(pairs, settings, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        train_reward(pairs, settings, tmp_path / "stopped", progress=Stopper(7))
    train_reward(pairs, settings, tmp_path / "stopped")
    for name in ("adapter/adapter_model.safetensors", "head.safetensors"):
        whole, resumed = load_file(tmp_path / "whole" / name), load_file(tmp_path / "stopped" / name)
        assert all(torch.equal(whole[key], resumed[key]) for key in whole), name


def test_one_micro_batch_of_eight_pairs_is_eight_of_one(pairs, learns, tmp_path):
    few = learns.model_copy(update={"optimiser": learns.optimiser.model_copy(update={"max_steps": 3})})
    single = few.model_copy(update={"batching": few.batching.model_copy(update={"forward_pairs": 1})})
    train_reward(pairs, few, tmp_path / "many")
    train_reward(pairs, single, tmp_path / "one")
    many, one = RewardModel.load(tmp_path / "many"), RewardModel.load(tmp_path / "one")
    assert torch.allclose(reward_margins(many.scalar_head, pairs), reward_margins(one.scalar_head, pairs), atol=1e-3)


def test_swapped_pictures_are_never_a_pairs_own_and_nothing_else_changes(pairs):
    for seed in range(5):
        for pair, other in zip(pairs, swap_pictures(pairs, seed), strict=True):
            assert other.context != pair.context
            assert replace(other, pictures=pair.pictures) == pair


def test_a_reward_that_ignores_the_picture_is_found_out(shades, learns, tmp_path):
    accuracy = train_reward(shades, learns.model_copy(update={"blind": True}), tmp_path).held_out
    assert accuracy.own_picture == accuracy.other_picture <= 0.7


def test_a_folder_that_is_no_reward_model_or_whose_base_changed_is_refused(trained, tmp_path, checkpoint):
    with pytest.raises(ModelError, match="no reward model"):
        RewardModel.load(checkpoint)
    copied = shutil.copytree(trained, tmp_path / "copied")
    card = json.loads((copied / "reward.json").read_text())
    (copied / "reward.json").write_text(json.dumps({**card, "base_identity": "local:another"}))
    with pytest.raises(ModelError, match="other weights"):
        RewardModel.load(copied)
    (copied / "reward.json").write_text(json.dumps({**card, "format": 99}))
    with pytest.raises(ModelError, match="format 99"):
        RewardModel.load(copied)


def test_an_answer_without_a_picture_is_refused_not_scored(trained):
    model = RewardModel.load(trained)
    with pytest.raises(DataError, match="no picture"):
        model.score([None], ["what is this ?"], ["a cup"])


def test_values_are_read_where_a_token_is_predicted_and_train_the_active_adapter(pairs, trained):
    scalar_head = RewardModel.load(trained).scalar_head
    batch, _ = PairDataset(pairs, scalar_head.family, packing="tree").batch([(0, 1, 2)])
    with torch.no_grad(), scalar_head.active_adapter():
        hidden = hidden_at(scalar_head.model, batch, scalar_head.family, batch.scored)
    assert torch.equal(scalar_head.read(batch, batch.scored), scalar_head.head(hidden).squeeze(-1))
    scalar_head.read(batch, batch.scored, train=True).sum().backward()
    touched = {name for name, weight in scalar_head.model.named_parameters() if weight.grad is not None}
    own = set(scalar_head.weights()) - {"head"}
    assert touched and touched <= own
