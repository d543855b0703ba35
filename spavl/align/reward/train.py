"""Pairs → a reward model: a linear head on the last token of an answer, by Bradley–Terry.

The trees, the loop, taking up again and the freeze policies are those of DPO; only the loss is another, and there is no
reference. Pairs on a share of the pictures are kept out of training. On them the accuracy is measured twice: with their
own pictures, and each with the picture of another pair — where it should fall, or the reward does not look.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, final

import torch
from accelerate import PartialState
from torch import Tensor, nn
from transformers import TrainerCallback

from spavl.align import losses
from spavl.align.data import validate
from spavl.align.data.batches import MicroBatch, StepDataset
from spavl.align.data.pairs import Pair
from spavl.align.policy.checkpoint import export, save_trained
from spavl.align.policy.model_card import model_card as read_me
from spavl.align.ppo.rollout import with_blank_picture
from spavl.align.preflight.prepare import DeviceContext, PreparedTraining, prepare
from spavl.align.reward.model import ScalarHead, base_spec, new_head, save_head
from spavl.align.training.resume import begin, recipe
from spavl.align.training.trainer import (
    LossOutput,
    PairTrainer,
    Reporter,
    checkpoint_activations,
    last_checkpoint,
    training_arguments,
)
from spavl.config.align import AlignSettings
from spavl.config.ppo import RewardSettings
from spavl.models.identity import identity_of
from spavl.models.trees.batch import collate
from spavl.models.trees.pack import Row, batch_by_tokens, build_trees, pack_tree
from spavl.models.trees.score import hidden_at
from spavl.pictures import Picture
from spavl.progress import NoProgress, Progress

HEAD_MODULE = "reward_head"
"""Name of the head while it is part of the model in training."""


@dataclass(frozen=True, slots=True)
class RewardAccuracy:
    """How often the chosen answer has the higher reward, on pairs that were not trained on."""

    pairs: int
    own_picture: float
    other_picture: float
    """Each pair with the picture of a random other pair: near chance where the picture decides."""
    by_class: Mapping[str, tuple[int, float]]
    """Pairs and accuracy (own picture) by class, where classes are known."""


@dataclass(frozen=True, slots=True)
class RewardResult:
    """What a training made."""

    folder: Path
    """Opened by `RewardModel.load`."""
    steps: int
    held_out: RewardAccuracy | None
    """None where no picture was held out."""


def train_reward(
    pairs: Sequence[Pair],
    settings: AlignSettings,
    out: Path,
    *,
    classes: Mapping[str, str] | None = None,
    progress: Progress | None = None,
) -> RewardResult:
    """Train a reward model on pairs. A training that was stopped goes on from its last checkpoint.

    `classes` names the class of a pair by its id, for accuracy by class. Raises DataError, ModelError, SettingsError or
    RunError, each before the first step where it can be.
    """
    seed = settings.seed or 0
    learn, held = split_by_picture(pairs, settings.reward.held_out, seed)
    ready = prepare(learn, settings, progress or NoProgress(), reference=False)
    main, policy = ready.context.rank == 0, ready.policy
    progress = progress if progress and main else NoProgress()
    if main:
        begin(out, recipe(ready.pairs, settings, ready.identity), progress)
        (out / "preflight.txt").write_text(ready.report.render() + "\n", encoding="utf-8")
    PartialState().wait_for_everyone()
    broken = validate.find_issues(held, policy.family.control_words)
    held = [
        with_blank_picture(pair) if settings.blind else pair for number, pair in enumerate(held) if number not in broken
    ]
    head = new_head(policy.model.config.get_text_config().hidden_size, seed).to(ready.context.device)
    reader = ScalarHead(
        policy.model, None, head, policy.family, _arithmetic(ready.context), packing=ready.dataset.packing
    )
    policy.model.add_module(HEAD_MODULE, head)
    try:
        _fit(ready, reader, held, settings=settings, out=out, progress=progress)
    finally:
        delattr(policy.model, HEAD_MODULE)
    accuracy = measure_accuracy(reader, held, seed=seed, classes=classes or {}) if held else None
    if main:
        _write(ready, head, accuracy, settings, out)
    PartialState().wait_for_everyone()
    return RewardResult(out, len(ready.schedule), accuracy)


def split_by_picture(pairs: Sequence[Pair], held_out: float, seed: int) -> tuple[list[Pair], list[Pair]]:
    """Pairs to learn from and pairs held out, by picture: no picture is on both sides. A share above 0 is a picture."""
    keys = sorted({pair.image_key for pair in pairs})
    random.Random(f"{seed}/held out").shuffle(keys)
    apart = set(keys[: max(round(held_out * len(keys)), int(held_out > 0 and len(keys) > 1))])
    return [pair for pair in pairs if pair.image_key not in apart], [p for p in pairs if p.image_key in apart]


def measure_accuracy(
    reader: ScalarHead, pairs: Sequence[Pair], *, seed: int, classes: Mapping[str, str]
) -> RewardAccuracy:
    """Accuracy on pairs, with their own pictures and with those of others."""
    right = reward_margins(reader, pairs) > 0
    wrong_picture = reward_margins(reader, swap_pictures(pairs, seed)) > 0
    kinds: dict[str, list[bool]] = {}
    for pair, good in zip(pairs, right.tolist(), strict=True):
        if pair.pair_id in classes:
            kinds.setdefault(classes[pair.pair_id], []).append(good)
    by_class = {kind: (len(each), sum(each) / len(each)) for kind, each in sorted(kinds.items())}
    return RewardAccuracy(len(pairs), right.float().mean().item(), wrong_picture.float().mean().item(), by_class)


def reward_margins(reader: ScalarHead, pairs: Sequence[Pair], *, token_budget: int = 16384) -> Tensor:
    """[P] reward of the chosen less that of the rejected answer, on the CPU."""
    family, found = reader.family, torch.zeros(len(pairs))
    lines = [
        Row(str(number), pair.question, (pair.chosen, pair.rejected), (Picture(pair.image_key, pair.image),))
        for number, pair in enumerate(pairs)
        if pair.image is not None
    ]
    trees = [pack_tree(tree, family) for tree in build_trees(lines, "picture")]
    for indices in batch_by_tokens([len(tree) for tree in trees], token_budget):
        batch = collate([trees[i] for i in indices], family, reader.packing).to(reader.head.weight.device)
        read = reader.read(batch, batch.last).cpu()
        for name, (chosen, rejected) in batch.rows:
            found[int(name)] = read[chosen] - read[rejected]
    return found


def swap_pictures(pairs: Sequence[Pair], seed: int) -> list[Pair]:
    """Every pair with the picture of a random other pair, where there is another picture."""
    draw = random.Random(f"{seed}/swapped")
    several = len({pair.image_key for pair in pairs}) > 1
    of_rows = [(pair.image_key, pair.image) for pair in pairs]
    made = []
    for pair in pairs:
        key, image = draw.choice(of_rows)
        while several and key == pair.image_key:
            key, image = draw.choice(of_rows)
        made.append(replace(pair, image_key=key, image=image))
    return made


@final
class BradleyTerry:
    """The loss of a reward model on planned passes."""

    metrics = ("margin", "accuracy", "reward_chosen", "reward_rejected")

    def __init__(
        self,
        reader: ScalarHead,
        settings: RewardSettings,
        precision: Callable[[], AbstractContextManager[Any]] = nullcontext,
    ) -> None:
        self.reader = reader
        self.settings = settings
        self.precision = precision

    def __call__(self, model: Any, one: MicroBatch) -> LossOutput:
        """`model` is the reader's, wrapped for the devices or not."""
        with self.precision():
            hidden = hidden_at(model, one.batch, self.reader.family, one.batch.last)
        rewards = nn.functional.linear(hidden.float(), self.reader.head.weight).squeeze(-1)
        chosen, rejected = rewards[one.chosen], rewards[one.rejected]
        with torch.no_grad():
            margin = chosen - rejected
            metrics = torch.stack([margin, (margin > 0).float(), chosen, rejected], dim=1)
        return LossOutput(losses.bradley_terry(chosen, rejected, centre=self.settings.centre), metrics)


def _fit(
    ready: PreparedTraining,
    reader: ScalarHead,
    held: Sequence[Pair],
    *,
    settings: AlignSettings,
    out: Path,
    progress: Progress,
) -> None:
    if settings.machine.gradient_checkpointing:
        checkpoint_activations(ready.policy.model)
    metrics, every = out / "metrics.jsonl", settings.reward.measure_every
    measuring = [_Measuring(reader, held, every, metrics)] if held and every else []
    with progress.bar("reward") as on_progress:
        trainer = PairTrainer(
            ready.policy,
            BradleyTerry(reader, settings.reward, ready.context.precision),
            StepDataset(ready.dataset, ready.schedule, ready.context.rank, None),
            training_arguments=training_arguments(
                settings, out / "state", steps=len(ready.schedule), cpu=ready.context.device.type == "cpu"
            ),
            callbacks=[Reporter(metrics, on_progress), *measuring],
        )
        found = last_checkpoint(out / "state")
        trainer.train(resume_from_checkpoint=str(found) if found else None)


@final
class _Measuring(TrainerCallback):  # type: ignore[misc]
    """Measures the held-out pairs every so many steps; the numbers go where Trainer's own go."""

    def __init__(self, reader: ScalarHead, held: Sequence[Pair], every: int, path: Path) -> None:
        self._reader = reader
        self._held = held
        self._every = every
        self._path = path

    def on_step_end(self, args: Any, state: Any, control: Any, **more: Any) -> None:
        """A step is done."""
        if state.global_step % self._every == 0 and state.is_world_process_zero:
            right = (reward_margins(self._reader, self._held) > 0).float().mean().item()
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"step": state.global_step, "held_out_accuracy": right}) + "\n")


def _write(
    ready: PreparedTraining, head: nn.Linear, accuracy: RewardAccuracy | None, settings: AlignSettings, out: Path
) -> None:
    """Adapter or checkpoint, head, and what they are."""
    trained = ready.policy.trained()
    save_trained(trained, out / "state" / "final")
    plain = settings.model_copy(update={"saving": settings.saving.model_copy(update={"merged": False})})
    text = read_me(settings, ready.report, step=len(ready.schedule), why="the last step", identity=ready.identity)
    export(out / "state" / "final", plain, ready.source, out, dtype=ready.context.dtype, card=text)
    model_card = {
        "base": settings.model,
        "revision": settings.revision,
        "base_identity": identity_of(base_spec(settings.model, settings.revision)),
        "trained": sorted(trained),
        "pairs": len(ready.pairs),
        "steps": len(ready.schedule),
        "packing": ready.dataset.packing,
        "held_out": asdict(accuracy) if accuracy else None,
        "left_out": {one.what: list(one.rows) for one in ready.report.findings if one.level == "skip"},
    }
    save_head(out, head.weight, model_card)


def _arithmetic(context: DeviceContext) -> torch.dtype:
    return torch.bfloat16 if context.dtype == "bfloat16" else torch.float32
