"""The language model of a checkpoint, without pictures: with eyes or text only, whole or with an adapter merged in."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from transformers import AutoModelForCausalLM, AutoTokenizer

from spavl.config.models import LocalSpec
from spavl.miniworld.real.assemble import GGUF, check_packages
from spavl.models.backends.local import load_vlm
from spavl.models.identity import find_checkpoint


@dataclass(frozen=True, slots=True)
class LanguageModel:
    """A model that continues text, in float32 on the CPU, in evaluation mode."""

    model: Any
    """A transformers model that takes token ids alone."""
    tokenizer: Any
    """Its tokenizer, padding on the left."""
    template: Any
    """What renders a conversation: the processor of a model with eyes, or the tokenizer."""
    typed: bool
    """Whether the template takes a turn's content as typed parts, as processors do, and not as a string."""

    def encode(self, text: str) -> list[int]:
        """Token ids of a text.

        Args:
            text: any text, without a chat's control tokens.
        """
        return list(self.tokenizer(text, add_special_tokens=False, verbose=False).input_ids)

    def prompt(self, request: str) -> str:
        """The conversation that asks for one thing, by the chat template, up to where the answer begins.

        Args:
            request: what the user says.
        """
        content = [{"type": "text", "text": request}] if self.typed else request
        turns = [{"role": "user", "content": content}]
        return str(self.template.apply_chat_template(turns, add_generation_prompt=True, tokenize=False))

    def losses(self, ids: Tensor) -> Tensor:
        """Negative log-likelihood in nats of every token but the first, [T - 1].

        Args:
            ids: token ids, [T].
        """
        with torch.inference_mode():
            logits = self.model(input_ids=ids[None]).logits[0, :-1].float()
        return cross_entropy(logits, ids[1:], reduction="none")

    def answers(self, requests: Sequence[str], *, most: int, together: int) -> Iterator[str]:
        """Greedy answers to requests, in order.

        Args:
            requests: what the user says, each in a conversation of its own.
            most: tokens of an answer.
            together: requests in a batch.
        """
        for start in range(0, len(requests), together):
            prompts = [self.prompt(request) for request in requests[start : start + together]]
            batch = self.tokenizer(prompts, add_special_tokens=False, padding=True, return_tensors="pt")
            with torch.inference_mode():
                rows = self.model.generate(
                    input_ids=batch.input_ids, attention_mask=batch.attention_mask, max_new_tokens=most,
                    do_sample=False, pad_token_id=self.tokenizer.pad_token_id, eos_token_id=self.tokenizer.eos_token_id,
                )  # fmt: skip
            decoded = self.tokenizer.batch_decode(rows[:, batch.input_ids.shape[1] :], skip_special_tokens=True)
            yield from (text.strip() for text in decoded)


def open_with_eyes(folder: Path) -> LanguageModel:
    """The language model of a vision-language checkpoint, or of an adapter of one, merged in.

    Args:
        folder: the checkpoint or the adapter, as `spavl align` writes either.
    """
    found = find_checkpoint(LocalSpec(name="measured", path=str(folder)))
    model, processor = load_vlm(found.folder, "float32", "cpu", adapter=found.adapter)
    return LanguageModel(model, processor.tokenizer, processor, typed=True)


def open_text_only() -> LanguageModel:
    """SmolLM2-135M-Instruct as its package ships it, with its own tokenizer and chat template."""
    return open_text_folder(check_packages(), gguf_file=GGUF)


def open_text_folder(folder: Path, **options: Any) -> LanguageModel:
    """A text-only model of a folder.

    Args:
        folder: that transformers opens.
        options: for `from_pretrained`, such as the name of a file of weights.
    """
    tokenizer = AutoTokenizer.from_pretrained(folder, padding_side="left", **options)
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, **options)
    return LanguageModel(model.eval(), tokenizer, tokenizer, typed=False)
