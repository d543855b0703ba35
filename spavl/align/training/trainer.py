"""`transformers.Trainer` with our steps: one item of its data is one optimiser step, already cut into forward passes.

From Trainer come optimiser, schedule, clipping, checkpoints and taking them up again, trackers, DDP, FSDP, DeepSpeed.
Ours is which pairs a step holds (`plan`), and the loss: its sum over the passes of all ranks is divided by the pairs of
the whole step, so that 1 × 8, 8 × 1 and two ranks × 4 are one and the same training. The model is in evaluation mode
throughout: nothing is ever dropped out.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol, final

import torch
from torch import Tensor
from torch.utils.data import DataLoader
from transformers import PrinterCallback, Trainer, TrainerCallback, TrainingArguments
from transformers.modeling_layers import GradientCheckpointingLayer

from spavl.align.data.batches import MicroBatch, StepDataset
from spavl.align.policy.checkpoint import TAKES_UP, TRAINED, load_trained, save_trained
from spavl.align.policy.policy import Policy
from spavl.config.align import AlignSettings
from spavl.errors import MissingExtra, RunError

SCHEDULES = {"cosine": "cosine", "linear": "linear", "constant": "constant_with_warmup"}
OPTIMISERS = {"adamw": "adamw_torch_fused", "adamw_8bit": "adamw_8bit", "paged_adamw_32bit": "paged_adamw_32bit"}


@dataclass(frozen=True, slots=True)
class LossOutput:
    """What a loss made of a pass with P pairs."""

    losses: Tensor
    """[P]"""
    metrics: Tensor
    """[P, W] numbers worth watching, without gradients."""


class PairLoss(Protocol):
    """A loss for every pair of a pass."""

    @property
    def metrics(self) -> tuple[str, ...]:
        """Names of the W numbers."""
        ...

    def __call__(self, model: Any, one: MicroBatch) -> LossOutput:
        """`model` is the policy's, wrapped for the devices or not."""
        ...


@final
class PairTrainer(Trainer):  # type: ignore[misc]
    """Trains a policy on planned passes."""

    def __init__(
        self,
        policy: Policy,
        judge: PairLoss,
        steps: StepDataset,
        *,
        training_arguments: TrainingArguments,
        callbacks: Sequence[TrainerCallback] = (),
    ) -> None:
        super().__init__(
            model=policy.model,
            args=training_arguments,
            train_dataset=steps,
            data_collator=_only,
            callbacks=list(callbacks),
        )
        self.remove_callback(PrinterCallback)
        self.policy = policy
        self.judge = judge
        self.steps = steps
        self._seen = torch.zeros(len(judge.metrics) + 1)
        self._now: Sequence[MicroBatch] = ()

    def get_train_dataloader(self) -> DataLoader[list[MicroBatch]]:
        """Every rank walks the whole plan and takes its own passes."""
        workers: int = self.args.dataloader_num_workers
        ahead = {"prefetch_factor": 4, "persistent_workers": True} if workers else {}
        return DataLoader(self.steps, batch_size=1, collate_fn=_only, num_workers=workers, **ahead)

    def training_step(self, model: Any, inputs: list[MicroBatch], num_items_in_batch: Any = None) -> Tensor:
        """All forward passes of this rank's step. Returns the loss times ranks, of which Trainer takes the mean."""
        self._now = inputs
        losses = []
        deepspeed = self.is_deepspeed_enabled
        for index, one in enumerate(inputs):
            last = index == len(inputs) - 1
            self.accelerator.gradient_state._set_sync_gradients(last)
            with nullcontext() if last or deepspeed else self.accelerator.no_sync(model):
                loss = self.compute_loss(model, one.to(self.args.device))
                self.accelerator.backward(loss, **({"scale_wrt_gas": False} if deepspeed else {}))
            losses.append(loss.detach())
        each = torch.stack(losses)
        if not math.isfinite(float(each.sum())):
            broken = [one for one, loss in zip(inputs, each.tolist(), strict=True) if not math.isfinite(loss)]
            raise self._not_finite("loss", broken)
        return each.sum()

    def compute_loss(
        self, model: Any, inputs: MicroBatch, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Tensor:
        """Share of one pass in the loss of the step."""
        judged = self.judge(model, inputs)
        if inputs.weight:
            count = judged.metrics.new_tensor([len(judged.metrics)])
            self._seen = self._seen.to(count.device) + torch.cat([judged.metrics.sum(0), count])
        return judged.losses.sum() * (inputs.weight * self.args.world_size / inputs.of)

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Trainer's numbers and ours, averaged over the pairs since the last line."""
        if "loss" in logs:
            seen = self.accelerator.reduce(self._seen.to(self.args.device), reduction="sum")
            logs |= dict(zip(self.judge.metrics, (seen[:-1] / seen[-1].clamp(min=1)).tolist(), strict=True))
            logs["epochs"] = self.steps.schedule[self.state.global_step - 1].epoch
            self._seen = torch.zeros_like(self._seen)
        super().log(logs, start_time)

    def _clip_grad_norm(self, model: Any) -> Any:
        norm = super()._clip_grad_norm(model)
        if isinstance(norm, Tensor) and not math.isfinite(float(norm)):
            raise self._not_finite("gradient", self._now)
        return norm

    def _not_finite(self, what: str, passes: Sequence[MicroBatch]) -> RunError:
        names = [self.steps.dataset.pairs[number].pair_id for one in passes for number in one.pairs]
        more = f" and {len(names) - 12} more" if len(names) > 12 else ""
        return RunError(
            f"The {what} is not a finite number at step {self.state.global_step + 1}.",
            where=f"pairs {', '.join(names[:12])}{more}",
            try_="a lower align.optimiser.learning_rate, or align.machine.dtype=float32; and look at these pairs",
        )

    def floating_point_ops(self, inputs: Any) -> int:
        """Not counted: Trainer's estimate knows nothing of trees."""
        return 0

    def _save(self, output_dir: str | None = None, state_dict: dict[str, Any] | None = None) -> None:
        """A checkpoint to take up again holds what is trained; the rest is in the model it was made from."""
        if self.args.should_save:
            weights = self.policy.trained() if state_dict is None else state_dict
            save_trained(
                {name: weights[name] for name in self.policy.trained()}, Path(output_dir or self.args.output_dir)
            )

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        try:
            super()._save_checkpoint(model, trial)
        except (OSError, RuntimeError) as error:  # torch's writer raises RuntimeError where a disk is full
            raise RunError(
                f"A checkpoint cannot be written: {str(error).splitlines()[0]}",
                where=str(self.args.output_dir),
                try_=TAKES_UP,
            ) from error

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        load_trained(self.policy, Path(resume_from_checkpoint))


def checkpoint_activations(model: Any) -> None:
    """Gradient checkpointing, with the model left in evaluation mode.

    transformers checkpoints a layer only where the layer itself is in training mode; what could drop out lies in the
    layer's children, which stay in evaluation mode.
    """
    model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    for layer in _layers(model):
        layer.training = True


@contextmanager
def inference_mode(model: Any) -> Iterator[None]:
    """Inside, no layer checkpoints and no gradient is taken: the model answers as any other would."""
    busy = [layer for layer in _layers(model) if layer.training]
    for layer in busy:
        layer.training = False
    try:
        with torch.no_grad():
            yield
    finally:
        for layer in busy:
            layer.training = True


def _layers(model: Any) -> list[Any]:
    return [module for module in model.modules() if isinstance(module, GradientCheckpointingLayer)]


def training_arguments(settings: AlignSettings, folder: Path, *, steps: int, cpu: bool) -> TrainingArguments:
    """Trainer's arguments. One item is one step, so its batch size and its accumulation are 1."""
    optimiser, saving = settings.optimiser, settings.saving
    require_trackers(saving.report_to)
    return TrainingArguments(
        output_dir=str(folder),
        max_steps=steps,
        per_device_train_batch_size=1,
        gradient_accumulation_steps=1,
        learning_rate=optimiser.learning_rate,
        lr_scheduler_type=SCHEDULES[optimiser.schedule],
        warmup_steps=int(optimiser.warmup if optimiser.warmup >= 1 else optimiser.warmup * steps),
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
        ddp_find_unused_parameters=settings.freeze.vision != "frozen",
    )


def require_trackers(names: Sequence[str]) -> None:
    """Raises MissingExtra where a tracker that is asked for is not installed."""
    missing = [name for name in names if find_spec(name) is None]
    if missing:
        raise MissingExtra(
            f"The tracker {missing[0]} is not installed.",
            where="align.saving.report_to",
            try_=f"pip install {' '.join(missing)}",
        )


def last_checkpoint(folder: Path) -> Path | None:
    """The newest checkpoint that is whole: Trainer writes its state file last."""
    found = [path for path in folder.glob("checkpoint-*") if path.name.removeprefix("checkpoint-").isdigit()]
    for path in sorted(found, key=lambda path: int(path.name.removeprefix("checkpoint-")), reverse=True):
        if (path / TRAINED).is_file() and _parses(path / "trainer_state.json"):
            return path
    return None


def _parses(path: Path) -> bool:
    try:
        json.loads(path.read_text())
    except (OSError, ValueError):
        return False
    return True


def _only(items: list[list[MicroBatch]]) -> list[MicroBatch]:
    return items[0]


@final
class Reporter(TrainerCallback):  # type: ignore[misc]
    """Writes `metrics.jsonl`, one line a log, and tells how far the training is."""

    def __init__(self, path: Path, on_progress: Callable[[int, int], None]) -> None:
        self._path = path
        self._told = on_progress

    def on_train_begin(self, args: Any, state: Any, control: Any, **more: Any) -> None:
        """Lines after the step that is taken up belong to a training that stopped."""
        if state.is_world_process_zero:
            lines = self._path.read_text().splitlines() if self._path.is_file() and state.global_step else []
            kept = [line for line in lines if json.loads(line)["step"] <= state.global_step]
            self._path.write_text("".join(f"{line}\n" for line in kept))

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **more: Any) -> None:
        """Numbers since the last line."""
        if state.is_world_process_zero and "loss" in logs:
            row = {"step": state.global_step, **{name: value for name, value in logs.items() if name != "epoch"}}
            with self._path.open("a") as file:
                file.write(json.dumps(row) + "\n")

    def on_step_end(self, args: Any, state: Any, control: Any, **more: Any) -> None:
        """A step is done."""
        self._told(state.global_step, state.max_steps)
