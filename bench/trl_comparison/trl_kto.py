"""A KTO run of TRL on single answers: KTOTrainer with its own collator, on the same weights and the same adapter.

TRL takes the answers to other prompts from the batch, spavl from the whole data. They are the same where every step has
all rows in their order.

Source: https://huggingface.co/docs/trl/kto_trainer
"""

from __future__ import annotations

from collections.abc import Sequence
from tempfile import TemporaryDirectory
from typing import Any

import datasets
from trl import KTOConfig, KTOTrainer

from bench.trl_comparison.run_spec import RunSpec
from bench.trl_comparison.trl_dpo import load_adapter, shared_arguments, spavl_adapter
from bench.trl_comparison.workload import ModelShape, make_processor, random_model
from spavl.preferences.pairs import Pair


def losses(shape: ModelShape, answers: Sequence[Pair], spec: RunSpec) -> tuple[float, ...]:
    """Train on a CPU, from the very adapter that spavl starts from; the loss of every step.

    Args:
        shape: of the model.
        answers: single answers, in training order.
        spec: of the run.
    """
    lora, initial = spavl_adapter(shape, spec)
    with TemporaryDirectory() as folder:
        trainer = KTOTrainer(
            random_model(shape, spec.device, spec.frozen_dtype),
            args=KTOConfig(**shared_arguments(spec, folder), per_device_train_batch_size=spec.pairs_per_step),
            train_dataset=_conversations(answers),
            processing_class=make_processor(shape),
            peft_config=lora,
        )
        load_adapter(trainer.model, initial)
        trainer.train()
        return tuple(line["loss"] for line in trainer.state.log_history if "loss" in line)


def _conversations(answers: Sequence[Pair]) -> datasets.Dataset:
    """Single answers as TRL's conversations, their pictures already open."""
    opened = {pair.context: pair.pictures[0].load() for pair in answers}

    def columns(batch: dict[str, list[int]]) -> dict[str, list[Any]]:
        rows = [answers[number] for number in batch["number"]]
        return {
            "images": [[opened[row.context]] for row in rows],
            "prompt": [[{"role": "user", "content": row.question}] for row in rows],
            "completion": [[{"role": "assistant", "content": row.chosen or row.rejected}] for row in rows],
            "label": [bool(row.chosen) for row in rows],
        }

    return datasets.Dataset.from_dict({"number": list(range(len(answers)))}).with_transform(columns)
