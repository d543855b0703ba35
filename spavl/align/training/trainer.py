"""`transformers.Trainer` on scheduled steps: one item of its data is one optimiser step, cut into micro-batches.

From Trainer come optimiser, learning-rate schedule, gradient clipping, checkpoints, resuming, trackers, DDP, FSDP and
DeepSpeed. Ours is which pairs a step holds (`align.data.schedule`), and the loss: its sum over the micro-batches of all
ranks is divided by the pairs of the whole step, so that 1 × 8, 8 × 1 and two ranks × 4 are one and the same training.
The model is in evaluation mode throughout; only the dropout of LoRA layers is active, in training steps.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol, final, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor
from torch.utils.data import DataLoader
from transformers import PrinterCallback, Trainer, TrainerCallback, TrainingArguments
from transformers.modeling_layers import GradientCheckpointingLayer
from typing_extensions import override

from spavl.align.data.batches import StepDataset
from spavl.align.data.micro_batch import MicroBatch
from spavl.align.policy.checkpoint import MAKE_ROOM_AND_RESUME, load_trained, save_trained
from spavl.align.policy.lora import active, adapter_dropouts
from spavl.align.policy.policy import Policy
from spavl.align.training.rates import highest_rate, rate_schedule, split_by_rate
from spavl.config.align import AlignSettings, OptimiserSettings
from spavl.errors import MissingExtra, RunError

OPTIMISERS = {"adamw": "adamw_torch_fused", "adamw_8bit": "adamw_8bit", "paged_adamw_32bit": "paged_adamw_32bit"}
"""Trainer's name of an optimiser, by the settings'."""


@dataclass(frozen=True, slots=True)
class LossOutput:
    """Losses and metrics of a micro-batch with P pairs."""

    losses: Float[Tensor, " P"]
    """Loss of every pair, differentiable."""
    metrics: Float[Tensor, "P M"]
    """The metrics of `PairLoss.metrics` for every pair, without gradients; NaN where a pair has none."""


@runtime_checkable
class PairLoss(Protocol):
    """A loss for every pair of a micro-batch, as `PairTrainer` calls it: `PreferenceObjective`, `BradleyTerry`."""

    @property
    def metrics(self) -> tuple[str, ...]:
        """Names of the M metrics, as they stand in `metrics.jsonl`."""
        ...

    def begin_step(self, model: Any, micro_batches: Iterable[MicroBatch], add_up: Callable[[Tensor], Tensor]) -> None:
        """Compute what all losses of a step have in common, before the first of them.

        Args:
            model: the policy's model, wrapped for the devices or not.
            micro_batches: this device's passes of the step; every device has as many.
            add_up: adds a tensor [N] up over all devices.
        """
        ...

    def __call__(self, model: Any, micro_batch: MicroBatch) -> LossOutput:
        """Loss of every pair.

        Args:
            model: the policy's model, wrapped for the devices (DDP, FSDP) or not.
            micro_batch: the pairs, on the model's device.
        """
        ...


@final
class PairTrainer(Trainer):  # type: ignore[misc]
    """Trains a policy on a schedule of steps.

    Args:
        policy: the model in training.
        pair_loss: the loss of every pair, and what is logged of it.
        steps: this rank's micro-batches, step by step.
        arguments: Trainer's own (`training_arguments`).
        optimiser: learning rates of the model's parts, and their schedule.
        callbacks: called besides Trainer's own.
    """

    def __init__(
        self,
        policy: Policy,
        pair_loss: PairLoss,
        steps: StepDataset,
        *,
        arguments: TrainingArguments,
        optimiser: OptimiserSettings,
        callbacks: Sequence[TrainerCallback] = (),
    ) -> None:
        super().__init__(
            model=policy.model,
            args=arguments,
            train_dataset=steps,
            data_collator=_only_item,
            callbacks=list(callbacks),
        )
        self.remove_callback(PrinterCallback)
        self.policy = policy
        self.pair_loss = pair_loss
        self.steps = steps
        self._optimiser = optimiser
        self._dropouts = adapter_dropouts(policy.model)
        self._metric_sums = torch.zeros(2, len(pair_loss.metrics))
        self._micro_batches: Sequence[MicroBatch] = ()

    @override
    def get_train_dataloader(self) -> DataLoader[list[MicroBatch]]:
        """Every rank walks the whole schedule and takes its own micro-batches."""
        workers: int = self.args.dataloader_num_workers
        if workers:  # threads of the tokenizer do not outlive the fork, and a worker would wait for them for ever
            os.environ["TOKENIZERS_PARALLELISM"] = "false"
        ahead = {"prefetch_factor": 4, "persistent_workers": True} if workers else {}
        return DataLoader(self.steps, batch_size=1, collate_fn=_only_item, num_workers=workers, **ahead)

    @override
    def create_optimizer(self, model: Any = None) -> torch.optim.Optimizer:
        """Trainer's own, with the learning rate of each part of the model where parts have their own."""
        fresh = self.optimizer is None
        made: torch.optim.Optimizer = super().create_optimizer(model)
        settings = self._optimiser
        if fresh and (settings.projector_learning_rate or settings.vision_learning_rate):
            trained = (self.model if model is None else model).named_parameters()
            rates = {id(weight): highest_rate(self.policy.part_of(name), settings) for name, weight in trained}
            made.param_groups[:] = split_by_rate(made.param_groups, rates)
        return made

    @override
    def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> Any:
        """The learning-rate schedule of the settings."""
        if self.lr_scheduler is None:  # type: ignore[has-type]
            self.lr_scheduler = rate_schedule(optimizer or self.optimizer, self._optimiser, num_training_steps)
            self._created_lr_scheduler = True
        return self.lr_scheduler

    @override
    def training_step(self, model: Any, inputs: list[MicroBatch], num_items_in_batch: Any = None) -> Tensor:
        """Forward and backward over this rank's micro-batches; the scalar loss times ranks, which Trainer averages."""
        self._micro_batches = inputs
        self.pair_loss.begin_step(model, inputs, self.add_up)
        losses = []
        deepspeed = self.is_deepspeed_enabled
        for index, micro_batch in enumerate(inputs):
            last = index == len(inputs) - 1
            self.accelerator.gradient_state._set_sync_gradients(last)
            sync = nullcontext() if last or deepspeed else self.accelerator.no_sync(model)
            with sync, active(self._dropouts):
                loss = self.compute_loss(model, micro_batch.to(self.args.device))
                self.accelerator.backward(loss, **({"scale_wrt_gas": False} if deepspeed else {}))
            losses.append(loss.detach())
        each = torch.stack(losses)
        if not math.isfinite(float(each.sum())):
            broken = [one for one, loss in zip(inputs, each.tolist(), strict=True) if not math.isfinite(loss)]
            raise self._not_finite("loss", broken)
        return each.sum()

    @override
    def compute_loss(
        self, model: Any, inputs: MicroBatch, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Tensor:
        """Share of one micro-batch in the loss of the step, a scalar."""
        output = self.pair_loss(model, inputs)
        if inputs.weight:
            sums = metric_sums(output.metrics)
            self._metric_sums = self._metric_sums.to(sums.device) + sums
        return (output.losses * inputs.pair_weights).sum() * (inputs.weight * self.args.world_size / inputs.of)

    @override
    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Trainer's numbers and ours, averaged over the pairs since the last line that have them."""
        if "loss" in logs:
            logs |= self.means_of(self._metric_sums)
            logs["epochs"] = self.steps.schedule[self.state.global_step - 1].epoch
            self._metric_sums = torch.zeros_like(self._metric_sums)
        super().log(logs, start_time)

    def means_of(self, sums: Float[Tensor, "2 M"]) -> dict[str, float]:
        """The means of metrics over the pairs of all devices that have them, by name; without those that none has.

        Args:
            sums: of this device, from `metric_sums`.
        """
        total, count = self.add_up(sums.to(self.args.device)).tolist()
        named = zip(self.pair_loss.metrics, total, count, strict=True)
        return {name: value / pairs for name, value, pairs in named if pairs}

    def add_up(self, numbers: Tensor) -> Tensor:
        """A tensor added up over all devices.

        Args:
            numbers: a tensor [...] of this device.
        """
        added: Tensor = self.accelerator.reduce(numbers, reduction="sum")
        return added

    @override
    def _clip_grad_norm(self, model: Any) -> Any:
        norm = super()._clip_grad_norm(model)
        if isinstance(norm, Tensor) and not math.isfinite(float(norm)):
            raise self._not_finite("gradient", self._micro_batches)
        return norm

    def _not_finite(self, what: str, micro_batches: Sequence[MicroBatch]) -> RunError:
        names = [self.steps.dataset.pairs[number].pair_id for one in micro_batches for number in one.pairs]
        more = f" and {len(names) - 12} more" if len(names) > 12 else ""
        return RunError(
            f"The {what} is not a finite number at step {self.state.global_step + 1}.",
            where=f"pairs {', '.join(names[:12])}{more}",
            try_="a lower align.optimiser.learning_rate, or align.machine.dtype=float32; and inspect these pairs",
        )

    @override
    def floating_point_ops(self, inputs: Any) -> int:
        """Not counted: Trainer's estimate knows nothing of trees."""
        return 0

    @override
    def _save(self, output_dir: str | None = None, state_dict: dict[str, Any] | None = None) -> None:
        """A checkpoint to resume from holds what is trained; the rest is in the model it was made from."""
        if self.args.should_save:
            weights = self.policy.trained() if state_dict is None else state_dict
            save_trained(
                {name: weights[name] for name in self.policy.trained()}, Path(output_dir or self.args.output_dir)
            )

    @override
    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        try:
            super()._save_checkpoint(model, trial)
        except (OSError, RuntimeError) as error:  # torch's writer raises RuntimeError where a disk is full
            raise RunError(
                f"A checkpoint cannot be written: {str(error).splitlines()[0]}",
                where=str(self.args.output_dir),
                try_=MAKE_ROOM_AND_RESUME,
            ) from error

    @override
    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        load_trained(self.policy, Path(resume_from_checkpoint))


def metric_sums(metrics: Float[Tensor, "P M"]) -> Float[Tensor, "2 M"]:
    """The sum of every metric over the pairs that have it, and how many these are.

    Args:
        metrics: of a micro-batch; NaN where a pair has none.
    """
    there = ~metrics.isnan()
    return torch.stack([metrics.nansum(0).float(), there.sum(0).float()])


def checkpoint_activations(model: Any) -> None:
    """Gradient checkpointing, with the model left in evaluation mode.

    transformers checkpoints a layer only where the layer itself is in training mode; dropout is in the layer's
    children, which stay in evaluation mode.

    Args:
        model: a transformers model, or a peft model around one.
    """
    model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    for layer in _layers(model):
        layer.training = True


def stop_checkpointing(model: Any) -> None:
    """Undo `checkpoint_activations`.

    Args:
        model: a transformers model, or a peft model around one.
    """
    model.gradient_checkpointing_disable()
    for layer in _layers(model):
        layer.training = False


def keep_precision_inside(model: Any, precision: Callable[[], AbstractContextManager[Any]]) -> None:
    """Let a model enter the context of its arithmetic inside its own call.

    DeepSpeed's engine switches autocast off around the model, whatever surrounds the engine.

    Args:
        model: the model in training, before it is wrapped.
        precision: makes the context.
    """
    plain = model.forward

    def forward(*args: Any, **more: Any) -> Any:
        with precision():
            return plain(*args, **more)

    model.forward = forward


@contextmanager
def inference_mode(model: Any) -> Iterator[None]:
    """A context without gradients and without gradient checkpointing: the model answers as outside of training.

    Args:
        model: a transformers model, or a peft model around one; left as it was.
    """
    checkpointing = [layer for layer in _layers(model) if layer.training]
    for layer in checkpointing:
        layer.training = False
    try:
        with torch.no_grad():
            yield
    finally:
        for layer in checkpointing:
            layer.training = True


def _layers(model: Any) -> list[Any]:
    return [module for module in model.modules() if isinstance(module, GradientCheckpointingLayer)]


def training_arguments(
    settings: AlignSettings, folder: Path, *, steps: int, cpu: bool, text_only: bool = False
) -> TrainingArguments:
    """Trainer's arguments; one item is one step, so its batch size and its gradient accumulation are 1.

    Args:
        settings: the training's settings.
        folder: where Trainer keeps its checkpoints.
        steps: optimiser steps of the whole training.
        cpu: train on the CPU whatever else there is.
        text_only: some pairs have no picture, so that a batch may leave projector and tower out.

    Raises:
        MissingExtra: a tracker that is asked for is not installed.
    """
    optimiser, saving = settings.optimiser, settings.saving
    require_trackers(saving.report_to)
    return TrainingArguments(
        output_dir=str(folder),
        max_steps=steps,
        per_device_train_batch_size=1,
        gradient_accumulation_steps=1,
        learning_rate=optimiser.learning_rate,
        weight_decay=optimiser.weight_decay,
        max_grad_norm=optimiser.max_grad_norm,
        optim=OPTIMISERS[optimiser.name],
        logging_steps=saving.log_every,
        logging_first_step=True,
        logging_nan_inf_filter=False,
        save_strategy="steps" if saving.every else "no",
        save_steps=saving.every or 1,
        save_total_limit=saving.keep,
        report_to=list(saving.report_to) or "none",
        seed=settings.seed or 0,
        use_cpu=cpu,
        dataloader_num_workers=(0 if cpu else 4) if settings.machine.workers is None else settings.machine.workers,
        remove_unused_columns=False,
        disable_tqdm=True,
        ddp_find_unused_parameters=text_only or settings.freeze.vision != "frozen",
    )


def require_trackers(names: Sequence[str]) -> None:
    """Refuse trackers that are not installed.

    Args:
        names: package names of the trackers asked for.

    Raises:
        MissingExtra: one of them is not installed.
    """
    missing = [name for name in names if find_spec(name) is None]
    if missing:
        raise MissingExtra(
            f"The tracker {missing[0]} is not installed.",
            where="align.saving.report_to",
            try_=f"pip install {' '.join(missing)}",
        )


def _only_item(items: list[list[MicroBatch]]) -> list[MicroBatch]:
    return items[0]
