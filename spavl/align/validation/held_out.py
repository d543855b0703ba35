"""Loss and accuracy on pairs that are not trained on: measured by all devices, for early stopping and the best step."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, final

import numpy as np
import torch
from jaxtyping import Float
from transformers import TrainerCallback
from typing_extensions import override

from spavl.align.data.batches import PairDataset
from spavl.align.data.held_out_file import held_out_file
from spavl.align.data.micro_batch import MicroBatch, StepTotals
from spavl.align.data.schedule import PairGroup, cut_large_trees, cut_micro_batches
from spavl.align.preflight.features import share_features
from spavl.align.preflight.prepare import PreparedTraining, cached_reference
from spavl.align.preflight.usable_pairs import usable_pairs
from spavl.align.training.trainer import PairTrainer, inference_mode, metric_sums
from spavl.config.align import AlignSettings, ValidationSettings
from spavl.errors import DataError
from spavl.plural import plural
from spavl.preferences.pairs import Pair
from spavl.preferences.table import select, table_of
from spavl.progress import Progress


@dataclass(frozen=True, slots=True)
class HeldOutResult:
    """What was measured on the held-out pairs after a step."""

    step: int
    """The step."""
    loss: float
    """Mean loss of a pair."""
    accuracy: float | None
    """Share of pairs whose chosen answer is preferred; None where the loss compares no answers."""

    @property
    def accuracy_words(self) -> str:
        """The accuracy as words that follow the loss; empty without one."""
        return "" if self.accuracy is None else f"accuracy {self.accuracy:.1%}"


@final
@dataclass(frozen=True, eq=False)
class HeldOutPairs:
    """Held-out pairs, cut into forward passes."""

    dataset: PairDataset
    """The pairs, ready to be collated."""
    passes: Sequence[tuple[PairGroup, ...]]
    """Trees of every forward pass, over all devices."""
    reference: Float[np.ndarray, "P K"] | None
    """Log-probabilities of every pair's K answers under the reference; None where they are computed live."""
    rank: int
    """Number of this process."""
    ranks: int
    """Processes that measure together."""

    def __len__(self) -> int:
        return len(self.dataset.pairs)

    def micro_batches(self) -> Iterator[MicroBatch]:
        """This device's forward passes, one by one; all devices have as many, the last ones perhaps of weight 0."""
        own = self.passes[self.rank :: self.ranks]
        most = -(-len(self.passes) // self.ranks)
        for index in range(most):
            trees, weight = (own[index], 1.0) if index < len(own) else (self.passes[-1], 0.0)
            yield self.dataset.collate(trees, weight=weight, of=len(self), reference=self.reference, totals=self.totals)

    @cached_property
    def totals(self) -> StepTotals:
        """Answers and tokens of all held-out pairs, which are measured as one step."""
        return self.dataset.totals(range(len(self)))


def split_pairs(pairs: Sequence[Pair], settings: AlignSettings) -> tuple[Sequence[Pair], Sequence[Pair]]:
    """Pairs to train on, and pairs that are held out: a share of the pictures, or a file's.

    Args:
        pairs: all pairs as read.
        settings: the training's settings.

    Raises:
        DataError: the file of held-out pairs cannot be read.
    """
    if settings.validation.held_out_pairs:
        return pairs, held_out_file(settings.validation.held_out_pairs, settings)
    if not settings.held_out:
        return pairs, ()
    return split_by_picture(pairs, settings.held_out, settings.seed or 0)


def split_by_picture(pairs: Sequence[Pair], held_out: float, seed: int) -> tuple[Sequence[Pair], Sequence[Pair]]:
    """Pairs to train on and pairs held out; no picture is on both sides, and no question of text only.

    Args:
        pairs: all pairs.
        held_out: share of the pictures that is held out; above 0 at least one, and never all. Pictures that a
            pair shows together count as one.
        seed: seeds which pictures.
    """
    names = _names_of_sides(pairs)
    keys = sorted(set(names))
    random.Random(f"{seed}/held out").shuffle(keys)
    most = max(len(keys) - 1, 0)
    apart = set(keys[: min(max(round(held_out * len(keys)), int(held_out > 0)), most)])
    learn = [number for number, name in enumerate(names) if name not in apart]
    return select(pairs, learn), select(pairs, (number for number, name in enumerate(names) if name in apart))


def _names_of_sides(pairs: Sequence[Pair]) -> list[str]:
    """For each pair a name that it shares with all pairs that must be on its side: the least key of a picture that is
    linked to its own by pairs which show several; without pictures its context and question."""
    least: dict[str, str] = {}

    def root(key: str) -> str:
        while least.setdefault(key, key) != key:
            least[key] = key = least[least[key]]
        return key

    own = []
    for pair in pairs:
        keys = [picture.key for picture in pair.all_pictures] or [f"{pair.context}/{pair.question}"]
        roots = sorted({root(key) for key in keys})
        least.update(dict.fromkeys(roots, roots[0]))
        own.append(roots[0])
    return [root(key) for key in own]


def _refuse_one_prompt(dataset: PairDataset) -> None:
    """Refuse held-out pairs that KTO cannot measure, before the first step and not in the middle of a training."""
    try:
        _ = dataset.mismatched
    except DataError as error:
        raise DataError(
            f"All {plural(len(dataset.pairs), 'held-out pair')} have the same prompt, and KTO compares answers with "
            "those to other prompts.",
            where="align.validation.held_out", try_="hold out more, or name other pairs with held_out_pairs",
        ) from error  # fmt: skip


def prepare_held_out(
    pairs: Sequence[Pair], prepared: PreparedTraining, settings: AlignSettings, progress: Progress
) -> HeldOutPairs:
    """Held-out pairs, examined and measured as those that are trained on, before the first step.

    Args:
        pairs: the held-out pairs as read.
        prepared: the training, its model untrained.
        settings: the training's settings.
        progress: gets bars, and a line where pictures are on both sides.

    Raises:
        DataError: pairs cannot be used as they are, or none is left.
    """
    context = prepared.context
    with progress.bar("held-out pairs") as on_progress:
        dataset, trees, findings = usable_pairs(pairs, settings, prepared.policy, prepared.identity, on_progress)
    for finding in findings:
        if finding.level != "note":
            progress.log(f"held-out pairs: {finding.render()}")
    dataset.packing = prepared.dataset.packing
    if dataset.answers == "unpaired":
        _refuse_one_prompt(dataset)
    if shown := _shown_in_training(dataset.pairs, prepared.pairs):
        progress.log(f"{shown} pictures of the held-out pairs are trained on too: the held-out loss will be too low")
    if prepared.features:
        share_features(prepared.features, prepared.policy, dataset, context, progress)
    sums = None
    if prepared.reference is not None:
        sums = cached_reference(
            settings, prepared.identity, prepared.policy, dataset, trees, context=context, progress=progress
        )
    return HeldOutPairs(dataset, cut_passes(dataset, trees, settings), sums, context.rank, context.ranks)


def cut_passes(
    dataset: PairDataset, trees: Sequence[PairGroup], settings: AlignSettings
) -> list[tuple[PairGroup, ...]]:  # fmt: skip
    """Trees cut into forward passes, the longest first.

    Args:
        dataset: the pairs, measured.
        trees: those that share a tree.
        settings: of the forward passes.
    """
    budget, most = settings.batching.token_budget, settings.batching.forward_pairs or len(dataset.pairs)
    few = [tree[at : at + most] for tree in trees for at in range(0, len(tree), most)]
    pieces = sorted(cut_large_trees(few, dataset.pass_size, budget), key=lambda tree: (-dataset.pass_size(tree), tree))
    return cut_micro_batches(pieces, dataset.pass_size, budget, most)


def _shown_in_training(held_out: Sequence[Pair], trained: Sequence[Pair]) -> int:
    """Pictures that are on both sides; a share that was held out has none, for its table is the other's too."""
    table = table_of(trained)
    if table is not None and table is table_of(held_out):
        return 0
    keys = {picture.key for pair in held_out for picture in pair.all_pictures}
    pictures = table.pictures() if table else (one for pair in trained for one in pair.all_pictures)
    return len({picture.key for picture in pictures if picture.key in keys})


@final
class HeldOut(TrainerCallback):  # type: ignore[misc]
    """Measures a `PairTrainer` on held-out pairs, keeps the weights of the best step, and stops it where it is told to.

    Args:
        pairs: the held-out pairs.
        settings: how often, after how many vain measurements it stops, and whose weights are wanted.
        state: folder of what the training resumes from; the best weights so far are kept in `best/` there.
        log: called with a line for every measurement.
    """

    def __init__(
        self, pairs: HeldOutPairs, settings: ValidationSettings, state: Path, *, log: Callable[[str], None]
    ) -> None:
        self._pairs = pairs
        self._settings = settings
        self._state = state
        self._log = log
        self._trainer: PairTrainer | None = None
        self.results: list[HeldOutResult] = []

    def attach(self, trainer: PairTrainer) -> None:
        """Measure this trainer.

        Args:
            trainer: one that has not begun.
        """
        self._trainer = trainer
        trainer.add_callback(self)

    def best(self, up_to: int | None = None) -> HeldOutResult | None:
        """The measurement with the lowest loss, of equals the first; None where nothing was measured.

        Args:
            up_to: only steps up to this one; None: all.
        """
        counted = [result for result in self.results if up_to is None or result.step <= up_to]
        return min(counted, key=lambda result: result.loss, default=None)

    def weights(self, step: int) -> Path:
        """The folder of the trained weights of a step; there only if it was the best.

        Args:
            step: a step that was measured.
        """
        return self._state / "best" / f"step-{step}"

    def explain(self, last: int) -> tuple[int, str]:
        """The step whose weights are to be written, and why that one.

        Args:
            last: the last step.
        """
        best = self.best()
        if best is None or self._settings.keep == "last":
            return last, "the last step"
        accuracy = f" ({best.accuracy_words})" if best.accuracy_words else ""
        measured = f"held-out loss, {best.loss:.4f}{accuracy}"
        if best.step == last:
            return last, f"the last step, which has the lowest {measured}"
        if not self.weights(best.step).is_dir():
            return last, f"the last step, for the weights of step {best.step} with the lowest loss are gone"
        return best.step, f"the lowest {measured}"

    @override
    def on_train_begin(self, args: Any, state: Any, control: Any, **more: Any) -> None:
        """Take up the measurements of the training that is resumed."""
        rows = [row for row in state.log_history if "held_out_loss" in row and row["step"] <= state.global_step]
        self.results = [HeldOutResult(row["step"], row["held_out_loss"], row.get("held_out_accuracy")) for row in rows]

    @override
    def on_step_end(self, args: Any, state: Any, control: Any, **more: Any) -> None:
        """Measure where it is due and at the last step; stop where the loss has not fallen for long."""
        every, step = self._settings.measure_every, state.global_step
        if (every and step % every == 0) or step == state.max_steps:
            due = control.should_log
            self._measure(step)
            control.should_log = due  # logging the measurement has struck off the step's own line
        if self._has_waited_enough():
            control.should_training_stop = True
            control.should_save = False  # a training that is resumed stops here again, after this very step

    def _has_waited_enough(self) -> bool:
        best = self.best()
        if not self._settings.patience or best is None:
            return False
        return len(self.results) - 1 - self.results.index(best) >= self._settings.patience

    def _measure(self, step: int) -> None:
        trainer = self._trainer
        assert trainer is not None, "it was attached"
        loss, accuracy = measure(trainer, self._pairs)
        result = HeldOutResult(step, loss, accuracy)
        self.results.append(result)
        self._log(", ".join(filter(None, [f"step {step}: held-out loss {loss:.4f}", result.accuracy_words])))
        trainer.log({"held_out_loss": loss} | ({} if accuracy is None else {"held_out_accuracy": accuracy}))
        if self._settings.keep == "best" and self.best() is self.results[-1]:
            trainer.save_model(str(self.weights(step)))
            if trainer.args.should_save:
                self._remove_others()

    def _remove_others(self) -> None:
        """Remove weights of steps that are no longer the best, unless the training may be resumed from before now."""
        saved = [path.name.removeprefix("checkpoint-") for path in self._state.glob("checkpoint-*")]
        found = [self.best(), *(self.best(int(step)) for step in saved if step.isdigit())]
        kept = {self.weights(result.step) for result in found if result}
        for folder in (self._state / "best").glob("step-*"):
            if folder not in kept:
                shutil.rmtree(folder, ignore_errors=True)


def measure(trainer: PairTrainer, pairs: HeldOutPairs) -> tuple[float, float | None]:
    """Mean loss on held-out pairs, and accuracy where answers are compared.

    Each device computes its share, and all get the same numbers.

    Args:
        trainer: of the model.
        pairs: the held-out pairs.
    """
    device, loss_of = trainer.args.device, trainer.pair_loss
    sums, of_metrics = torch.zeros(2, device=device), torch.zeros(2, len(loss_of.metrics), device=device)
    with inference_mode(trainer.policy.model):
        loss_of.begin_step(trainer.model_wrapped, pairs.micro_batches(), trainer.add_up)
        for micro_batch in pairs.micro_batches():
            output = loss_of(trainer.model_wrapped, micro_batch.to(device))
            losses = output.losses * micro_batch.pair_weights.to(device)
            sums += micro_batch.weight * torch.stack([losses.sum(), losses.new_tensor(len(losses))]).float()
            of_metrics += micro_batch.weight * metric_sums(output.metrics)
    loss, count = trainer.add_up(sums).tolist()
    return loss / count, trainer.means_of(of_metrics).get("accuracy")
