"""TRL's side: DPOTrainer with its own collator, head and reference, on the same weights and the same adapter."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from tempfile import TemporaryDirectory
from typing import Any

import datasets
import torch
import trl.trainer.utils as trl_inside
from peft import LoraConfig
from PIL import Image
from trl import DPOConfig, DPOTrainer

from bench.trl_comparison import spavl_dpo
from bench.trl_comparison.run_spec import SEED, WORKERS, RunSpec, StepTimer, Timing, free_memory
from bench.trl_comparison.workload import ModelShape, model, processor
from spavl.align.data.pairs import Pair


def run(shape: ModelShape, pairs: Sequence[Pair], spec: RunSpec) -> Timing:
    """Train on these pairs, in their order, from the very adapter that our side starts from."""
    free_memory(spec)
    adapter, start = _adapter(shape, spec)
    free_memory(spec)
    progress = StepTimer(spec)
    with TemporaryDirectory() as folder, _patched_head(spec):
        trainer = DPOTrainer(
            model(shape, spec.device, spec.dtype),
            args=arguments(spec, folder),
            train_dataset=rows(pairs),
            processing_class=processor(shape),
            peft_config=adapter,
            callbacks=[progress],
        )
        begin_with(trainer.model, start)
        trainer.train()
    return progress.timing(trainer.state.log_history)


def arguments(spec: RunSpec, folder: str) -> DPOConfig:
    """The run in TRL's words. What is not named is as TRL has it: dropout off, reference = adapter off."""
    if spec.step % spec.batch:
        raise ValueError(f"TRL cannot cut {spec.step} pairs into passes of {spec.batch}")
    on_gpu = spec.device == "cuda"
    return DPOConfig(
        output_dir=folder,
        max_steps=spec.steps,
        per_device_train_batch_size=spec.batch,
        gradient_accumulation_steps=spec.step // spec.batch,
        beta=spec.beta,
        learning_rate=spec.rate,
        lr_scheduler_type="constant_with_warmup",
        warmup_steps=0,
        weight_decay=0.0,
        max_grad_norm=1.0,
        optim="adamw_torch_fused",
        max_length=None,
        bf16=on_gpu,
        gradient_checkpointing=spec.checkpointing,
        train_sampling_strategy="sequential",
        logging_steps=1,
        logging_first_step=True,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        remove_unused_columns=False,
        use_cpu=not on_gpu,
        dataloader_num_workers=WORKERS if on_gpu else 0,
        dataloader_pin_memory=on_gpu,
        seed=SEED,
    )


def rows(pairs: Sequence[Pair]) -> datasets.Dataset:
    """Conversations with their pictures already open, so that reading them costs TRL nothing."""
    opened = {pair.image_key: Image.open(BytesIO(pair.image)).convert("RGB") for pair in pairs}

    def rows_at(batch: dict[str, list[int]]) -> dict[str, list[Any]]:
        some = [pairs[number] for number in batch["number"]]
        return {
            "images": [[opened[pair.image_key]] for pair in some],
            "prompt": [[{"role": "user", "content": pair.question}] for pair in some],
            "chosen": [[{"role": "assistant", "content": pair.chosen}] for pair in some],
            "rejected": [[{"role": "assistant", "content": pair.rejected}] for pair in some],
        }

    return datasets.Dataset.from_dict({"number": list(range(len(pairs)))}).with_transform(rows_at)


@torch.no_grad()
def begin_with(adapted: Any, start: dict[str, torch.Tensor]) -> None:
    """Put these weights into the adapter. Raises AssertionError where the sides do not train the same ones."""
    trained = {name: weight for name, weight in adapted.named_parameters() if weight.requires_grad}
    if {name: weight.shape for name, weight in trained.items()} != {n: w.shape for n, w in start.items()}:
        raise AssertionError("the sides do not train the same weights")
    for name, weight in trained.items():
        weight.copy_(start[name])


def _adapter(shape: ModelShape, spec: RunSpec) -> tuple[LoraConfig, dict[str, torch.Tensor]]:
    """The adapter of our side: its settings and its weights."""
    policy = spavl_dpo.policy_of(shape, spec)
    (config,) = policy.model.peft_config.values()
    same = LoraConfig(
        r=config.r,
        lora_alpha=config.lora_alpha,
        lora_dropout=config.lora_dropout,
        target_modules=config.target_modules,
    )
    return same, {name: weight.detach().clone() for name, weight in policy.trained().items()}


@contextmanager
def _patched_head(spec: RunSpec) -> Iterator[None]:
    """TRL asks this function whether its head may skip positions without a label. Our own hand in TRL, and only
    in its favour: where `answers_only` is set it says yes on a CPU too."""
    asked = trl_inside._use_triton
    if spec.answers_only:
        trl_inside._use_triton = lambda device: True
    try:
        yield
    finally:
        trl_inside._use_triton = asked
