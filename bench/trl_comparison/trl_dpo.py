"""A DPO run of TRL: DPOTrainer with its own collator, head and reference, on the same weights and the same adapter.

Source: https://huggingface.co/docs/trl/dpo_trainer
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from tempfile import TemporaryDirectory
from typing import Any

import datasets
import torch
import trl.trainer.utils as trl_utils
from peft import LoraConfig
from trl import DPOConfig, DPOTrainer

from bench.trl_comparison import spavl_dpo
from bench.trl_comparison.run_spec import SEED, WORKERS, RunSpec, StepTimer, Timing, free_memory
from bench.trl_comparison.workload import ModelShape, make_processor, random_model
from spavl.preferences.pairs import Pair


def run(shape: ModelShape, pairs: Sequence[Pair], spec: RunSpec) -> Timing:
    """Train, from the very adapter that spavl starts from, and time.

    Args:
        shape: of the model.
        pairs: in training order.
        spec: of the run.

    Raises:
        ValueError: the forward passes do not divide an optimiser step.
    """
    free_memory(spec)
    lora, initial = spavl_adapter(shape, spec)
    free_memory(spec)
    timer = StepTimer(spec)
    with TemporaryDirectory() as folder, _answers_only_head(spec):
        trainer = DPOTrainer(
            random_model(shape, spec.device, spec.frozen_dtype),
            args=arguments(spec, folder),
            train_dataset=conversations(pairs),
            processing_class=make_processor(shape),
            peft_config=lora,
            callbacks=[timer],
        )
        load_adapter(trainer.model, initial)
        trainer.train()
    return timer.timing(trainer.state.log_history)


def arguments(spec: RunSpec, folder: str) -> DPOConfig:
    """The configuration as TRL's arguments. The rest is TRL's default: no dropout, reference = adapter off.

    Args:
        spec: of the run.
        folder: for TRL's output.

    Raises:
        ValueError: the forward passes do not divide an optimiser step.
    """
    if spec.pairs_per_step % spec.forward_pairs:
        raise ValueError(f"TRL cannot cut {spec.pairs_per_step} pairs into passes of {spec.forward_pairs}")
    return DPOConfig(
        **shared_arguments(spec, folder),
        per_device_train_batch_size=spec.forward_pairs,
        gradient_accumulation_steps=spec.pairs_per_step // spec.forward_pairs,
        loss_type=[spec.kind],
        label_smoothing=spec.label_smoothing,
    )


def shared_arguments(spec: RunSpec, folder: str) -> dict[str, Any]:
    """The configuration as far as all of TRL's trainers take it alike, by name of the argument.

    Args:
        spec: of the run.
        folder: for TRL's output.
    """
    on_gpu = spec.device == "cuda"
    return {
        "output_dir": folder,
        "max_steps": spec.steps,
        "beta": spec.beta,
        "learning_rate": spec.learning_rate,
        "lr_scheduler_type": "constant_with_warmup",
        "warmup_steps": 0,
        "weight_decay": 0.0,
        "max_grad_norm": 1.0,
        "optim": "adamw_torch_fused",
        "max_length": None,
        "bf16": spec.precision == "bfloat16",
        "gradient_checkpointing": spec.checkpointing,
        "train_sampling_strategy": "sequential",
        "logging_steps": 1,
        "logging_first_step": True,
        "save_strategy": "no",
        "report_to": "none",
        "disable_tqdm": True,
        "remove_unused_columns": False,
        "use_cpu": not on_gpu,
        "dataloader_num_workers": WORKERS if on_gpu else 0,
        "dataloader_pin_memory": on_gpu,
        "seed": SEED,
    }


def conversations(pairs: Sequence[Pair]) -> datasets.Dataset:
    """Pairs as TRL's conversations, their pictures already open, so that reading them costs TRL nothing.

    Args:
        pairs: in training order.
    """
    opened = {pair.context: pair.pictures[0].load() for pair in pairs}

    def columns(batch: dict[str, list[int]]) -> dict[str, list[Any]]:
        chosen_pairs = [pairs[number] for number in batch["number"]]
        return {
            "images": [[opened[pair.context]] for pair in chosen_pairs],
            "prompt": [[{"role": "user", "content": pair.question}] for pair in chosen_pairs],
            "chosen": [[{"role": "assistant", "content": pair.chosen}] for pair in chosen_pairs],
            "rejected": [[{"role": "assistant", "content": pair.rejected}] for pair in chosen_pairs],
        }

    return datasets.Dataset.from_dict({"number": list(range(len(pairs)))}).with_transform(columns)


@torch.no_grad()
def load_adapter(model: Any, initial: dict[str, torch.Tensor]) -> None:
    """Copy weights into the model's adapter.

    Args:
        model: with an adapter.
        initial: weights by parameter name.

    Raises:
        AssertionError: the two sides do not train the same weights.
    """
    trained = {name: weight for name, weight in model.named_parameters() if weight.requires_grad}
    if {name: weight.shape for name, weight in trained.items()} != {n: w.shape for n, w in initial.items()}:
        raise AssertionError("the sides do not train the same weights")
    for name, weight in trained.items():
        weight.copy_(initial[name])


def spavl_adapter(shape: ModelShape, spec: RunSpec) -> tuple[LoraConfig, dict[str, torch.Tensor]]:
    """Configuration and weights of the adapter that spavl makes.

    Args:
        shape: of the model.
        spec: of the run.
    """
    policy = spavl_dpo.policy_of(shape, spec)
    (adapter,) = policy.model.peft_config.values()
    lora = LoraConfig(
        r=adapter.r,
        lora_alpha=adapter.lora_alpha,
        lora_dropout=adapter.lora_dropout,
        target_modules=adapter.target_modules,
    )
    return lora, {name: weight.detach().clone() for name, weight in policy.trained().items()}


@contextmanager
def _answers_only_head(spec: RunSpec) -> Iterator[None]:
    """Let TRL's head skip positions without a label on a CPU too, where `answers_only` is set.

    TRL asks `_use_triton` whether it may. This is the only change made to TRL, and it is in TRL's favour.
    """
    original = trl_utils._use_triton
    if spec.answers_only:
        trl_utils._use_triton = lambda device: True
    try:
        yield
    finally:
        trl_utils._use_triton = original
