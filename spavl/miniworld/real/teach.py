"""Supervised fine-tuning of the projector and a LoRA adapter: the pretrained language model learns to look.

The arithmetic is bfloat16 with compiled layers, every sequence padded to the same length; what is trained is kept in
float32 beside it. The projector starts from a regression (`warm_projector`), as an untrained one needs ten times as
long before the model can compare a word with the picture.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, Final

import torch
from jaxtyping import Float, Int
from safetensors.torch import save_file
from torch import Tensor, nn

from spavl.atomic import atomic_write
from spavl.miniworld.real.assemble import IMAGE, LanguageModel
from spavl.miniworld.real.lessons import Conversation, Manner, Mix, conversation, text_requests
from spavl.miniworld.train_language import TrainingScenes
from spavl.miniworld.world import CUES

LENGTH: Final = 160
"""Tokens of a sequence: a conversation has as many turns as fit."""
SEQUENCES: Final = 16
"""Sequences of a step: conversations about pictures, and the language model's own texts."""
LORA: Final = {
    "r": 16,
    "lora_alpha": 32,
    "target_modules": r".*language_model.*\.(q|k|v|o|gate|up|down)_proj",
    "task_type": "CAUSAL_LM",
}
"""The adapter: every linear layer of the language model (https://arxiv.org/abs/2106.09685)."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Sequences:
    """Tokens of a step; the first `len(rows)` sequences have a picture."""

    ids: Int[Tensor, "B T"]
    """Tokens, padded on the right; attention is causal and padding has no label, so there is no mask."""
    labels: Int[Tensor, "B T"]
    """Tokens to learn, elsewhere -100."""
    rows: list[int]
    """Scene of every picture."""


class Encoder:
    """Conversations as tokens, exactly as the chat template renders them.

    Args:
        tokenizer: of the checkpoint.
        patches: image tokens of a picture.
    """

    DEFAULT_SYSTEM = "You are a helpful AI assistant named SmolLM, trained by Hugging Face"

    def __init__(self, tokenizer: Any, patches: int) -> None:
        self._tokenizer = tokenizer
        self._picture = [tokenizer.convert_tokens_to_ids(IMAGE)] * patches

    def conversation(self, sample: Conversation) -> tuple[list[int], list[int]]:
        """Ids and labels of the turns that fit; only the answers and the ends of their turns are labelled.

        Args:
            sample: at least its first turn fits.
        """
        ids = self._ids(f"<|im_start|>system\n{sample.system or self.DEFAULT_SYSTEM}<|im_end|>\n<|im_start|>user\n")
        labels = [-100] * len(ids)
        ids, labels = ids + self._picture, labels + [-100] * len(self._picture)
        for number, (question, answer) in enumerate(sample.turns):
            opening = "\n" if number == 0 else "\n<|im_start|>user\n"
            asked = self._ids(f"{opening}{question}<|im_end|>\n<|im_start|>assistant\n")
            answered = self._ids(f"{answer}<|im_end|>")
            if len(ids) + len(asked) + len(answered) > LENGTH:
                break
            ids += asked + answered
            labels += [-100] * len(asked) + answered
        return ids, labels

    def _ids(self, text: str) -> list[int]:
        return list(self._tokenizer.encode(text, add_special_tokens=False))


@torch.no_grad()  # type: ignore[untyped-decorator]
def own_texts(language: LanguageModel, count: int, *, short: bool = False) -> list[tuple[list[int], list[int]]]:
    """What the language model writes at temperature 1: answers to requests, and texts that begin from nothing.

    Args:
        language: the language model without projector.
        count: of texts.
        short: requests for short texts, and every other text from nothing rather than every third.
    """
    seed = int(short)
    torch.manual_seed(seed)
    tokenizer, model = language.tokenizer, language.model
    requests, every = text_requests(short=short), 2 if short else 3
    texts: list[tuple[list[int], list[int]]] = []
    system = f"<|im_start|>system\n{Encoder.DEFAULT_SYSTEM}<|im_end|>\n"
    while len(texts) < count:
        picked = [Random(f"{seed} {len(texts)} {n}").choice(requests) for n in range(32)]
        prompts = [f"{system}<|im_start|>user\n{one}<|im_end|>\n<|im_start|>assistant\n" for one in picked]
        prompts[::every] = ["<|endoftext|>"] * len(prompts[::every])
        inputs = tokenizer(prompts, return_tensors="pt", padding=True, add_special_tokens=False)
        made = model.generate(**inputs, do_sample=True, temperature=1.0, top_k=0, max_new_tokens=LENGTH - 50,
                              eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id)  # fmt: skip
        asked = inputs["attention_mask"].sum(1)
        for row, length in zip(made.tolist(), asked.tolist(), strict=True):
            start = inputs["input_ids"].shape[1]
            answer = row[start:]
            if tokenizer.eos_token_id in answer:
                answer = answer[: answer.index(tokenizer.eos_token_id) + 1]
            texts.append((row[start - length : start] + answer, [-100] * length + answer))
    return texts


def warm_projector(model: Any, tokenizer: Any, taught: TrainingScenes, *, steps: int = 1500) -> float:
    """Start the projector from a regression: patches become embeddings of the words that say what is shown.

    Patch by patch in turn: the thing, the cues or `nothing`, and `dangerous` or `safe`. Returns the share of patches
    of the last batch whose nearest word is the one wanted.

    Args:
        model: whose projector is trained, in place.
        tokenizer: of the model.
        taught: scenes with their image features.
        steps: optimiser steps of 128 pictures.
    """
    embeddings = model.get_input_embeddings().weight.detach()
    words, targets = _captions(tokenizer, taught)
    table = embeddings[words]
    scale = table.square().mean().sqrt()
    projector = model.model.multi_modal_projector
    optimiser = torch.optim.AdamW(projector.parameters(), lr=2e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, max_lr=3e-3, total_steps=steps)
    generator = torch.Generator().manual_seed(0)
    for _ in range(steps):
        rows = torch.randint(len(targets), (128,), generator=generator)
        wanted = targets[rows][:, torch.arange(taught.features.shape[1]) % targets.shape[1]]
        made = projector(taught.features[rows])
        # a softmax over the caption words sharpens what the squared error alone would average away
        logits = (made / scale) @ (table / scale).T / 24
        loss = nn.functional.cross_entropy(logits.flatten(0, 1), wanted.flatten())
        loss = loss + ((made - table[wanted]) / scale).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    return float((logits.argmax(-1) == wanted).float().mean())


def _captions(tokenizer: Any, taught: TrainingScenes) -> tuple[Int[Tensor, " W"], Int[Tensor, "N C"]]:
    """Ids of the words that captions consist of, and every scene's words as places among them."""
    captions = []
    for scene in taught.scenes:
        cues = [*(cue for cue in CUES if cue in scene.cues), "nothing", "nothing"][:2]
        captions.append([scene.kind.thing, cues[0], cues[1], "dangerous" if scene.dangerous else "safe"])
    known = sorted({word for caption in captions for word in caption})
    ids = [tokenizer.encode(f" {word}", add_special_tokens=False)[0] for word in known]
    return torch.tensor(ids), torch.tensor([[known.index(word) for word in caption] for caption in captions])


@dataclass(frozen=True, slots=True)
class Stage:
    """A stage of teaching."""

    steps: int
    """Optimiser steps."""
    rate: float
    """Highest learning rate of the adapter."""
    projector_rate: float
    """Highest learning rate of the projector."""
    mix: Mix
    """What the conversations consist of."""
    manner: Manner | None = None
    """Of answering requests; None: those of the system turns."""
    pictures: int = 13
    """Sequences of a step that are conversations about pictures; the others are texts."""
    distillation: float = 0.0
    """Weight of the divergence from the language model without its adapter on the texts
    (https://arxiv.org/abs/1503.02531); zero: the texts are learned like the answers."""
    first: int = 0
    """Number of its first step; of these numbers all choices of scenes and turns are functions."""


class MasterWeights:
    """The weights that are trained: in bfloat16 inside the model, in float32 here, where AdamW changes them.

    Args:
        model: whose weights that require a gradient are trained.
        stage: brings the learning rates and the steps of their one-cycle schedule.
    """

    def __init__(self, model: nn.Module, stage: Stage) -> None:
        self.weights = {name: weight for name, weight in model.named_parameters() if weight.requires_grad}
        self.masters = {name: weight.detach().float().clone() for name, weight in self.weights.items()}
        projector = [one for key, one in self.masters.items() if "multi_modal_projector." in key]
        words = [one for key, one in self.masters.items() if "multi_modal_projector." not in key]
        found = [
            (group, highest) for group, highest in ((words, stage.rate), (projector, stage.projector_rate)) if group
        ]
        self.optimiser = torch.optim.AdamW([{"params": group, "lr": rate} for group, rate in found], weight_decay=0.0)
        self.schedule = torch.optim.lr_scheduler.OneCycleLR(
            self.optimiser, [highest for _, highest in found], total_steps=stage.steps, pct_start=0.08
        )

    @torch.no_grad()  # type: ignore[untyped-decorator]
    def step(self) -> None:
        """One optimiser step with the gradients of the model's weights, which are cleared."""
        for name, weight in self.weights.items():
            self.masters[name].grad = None if weight.grad is None else weight.grad.float()
            weight.grad = None
        nn.utils.clip_grad_norm_(self.masters.values(), 1.0)
        self.optimiser.step()
        self.schedule.step()
        self.copy()

    @torch.no_grad()  # type: ignore[untyped-decorator]
    def copy(self) -> None:
        """Copy the weights into the model."""
        for name, weight in self.weights.items():
            weight.copy_(self.masters[name])

    def state(self) -> dict[str, Any]:
        """All that going on needs."""
        return {
            "masters": self.masters, "optimiser": self.optimiser.state_dict(), "schedule": self.schedule.state_dict(),
        }  # fmt: skip

    def load(self, state: dict[str, Any]) -> None:
        """Go on from a state.

        Args:
            state: as `state` gives it.
        """
        for name, weight in state["masters"].items():
            self.masters[name].data.copy_(weight)
        self.optimiser.load_state_dict(state["optimiser"])
        self.schedule.load_state_dict(state["schedule"])
        self.copy()


@dataclass(frozen=True, slots=True)
class Classroom:
    """What a model learns from."""

    encoder: Encoder
    """Makes tokens of conversations."""
    scenes: TrainingScenes
    """Scenes with their image features."""
    texts: Sequence[tuple[list[int], list[int]]]
    """Ids and labels of the language model's own texts."""
    short: Sequence[tuple[list[int], list[int]]]
    """More of them, for distillation."""
    pad: int
    """Token of the padding."""

    def sequences(self, stage: Stage, step: int) -> Sequences:
        """The sequences of a step.

        Args:
            stage: what is taught.
            step: decides every choice.
        """
        random = Random(f"lessons {stage.first + step}")
        rows = [random.randrange(len(self.scenes.scenes)) for _ in range(stage.pictures)]
        sample = [conversation(self.scenes.scenes[row], random, stage.mix, stage.manner) for row in rows]
        texts = [*self.texts, *self.short] if stage.distillation else list(self.texts)
        made = [self.encoder.conversation(one) for one in sample]
        made += random.sample(texts, SEQUENCES - len(made))
        ids = torch.full((len(made), LENGTH), self.pad)
        labels = torch.full((len(made), LENGTH), -100)
        for place, (tokens, wanted) in enumerate(made):
            ids[place, : len(tokens)], labels[place, : len(tokens)] = torch.tensor(tokens), torch.tensor(wanted)
        return Sequences(ids, labels, rows)


def answer_loss(
    adapted: Any, taught: Sequences, features: Float[Tensor, "N P D"], distillation: float
) -> Float[Tensor, ""]:
    """Mean negative log-likelihood of the labelled tokens, in nats; with distillation, of the pictures' answers alone.

    Args:
        adapted: a LLaVA with an adapter inside.
        taught: tokens and labels.
        features: of the pictures of the first sequences, from the tower.
        distillation: weight of the divergence of the texts' tokens from the model without its adapter; zero: none.
    """
    model = adapted.get_base_model()
    embeds = model.get_input_embeddings()(taught.ids)
    places = (taught.ids == model.config.image_token_id).unsqueeze(-1).expand_as(embeds)
    embeds = embeds.masked_scatter(places, model.model.multi_modal_projector(features))
    learned = taught.labels[:, 1:] != -100
    hidden = model.model.language_model(inputs_embeds=embeds, use_cache=False).last_hidden_state[:, :-1]
    if not distillation:
        return _nats(model, hidden[learned], taught.labels[:, 1:][learned])
    first = len(taught.rows)
    loss = _nats(model, hidden[:first][learned[:first]], taught.labels[:first, 1:][learned[:first]])
    with torch.no_grad(), adapted.disable_adapter():
        teacher = model.model.language_model(inputs_embeds=embeds, use_cache=False).last_hidden_state[first:, :-1]
    ours, its = (_log_probs(model, states[learned[first:]]) for states in (hidden[first:], teacher))
    return loss + distillation * nn.functional.kl_div(ours, its, log_target=True, reduction="batchmean")


def _nats(model: Any, hidden: Float[Tensor, "N D"], wanted: Int[Tensor, " N"]) -> Float[Tensor, ""]:
    return nn.functional.cross_entropy(model.lm_head(hidden).float(), wanted)


def _log_probs(model: Any, hidden: Float[Tensor, "N D"]) -> Float[Tensor, "N V"]:
    return model.lm_head(hidden).float().log_softmax(-1)


def train(
    model: Any, room: Classroom, trained: MasterWeights, stage: Stage, unfinished: Path
) -> list[dict[str, float]]:
    """Supervised fine-tuning, in place; goes on where an earlier run was stopped. Returns the log, seconds of all runs.

    Args:
        model: in bfloat16, with an adapter.
        room: what it learns from.
        trained: its weights.
        stage: what is taught, and for how long.
        unfinished: file that holds the state every 25 steps.
    """
    log_rows: list[dict[str, float]] = []
    first = 0
    if unfinished.exists():
        state = torch.load(unfinished, weights_only=True)
        trained.load(state["trained"])
        first, log_rows = state["step"], state["log"]
    for layer in model.get_base_model().model.language_model.layers:
        layer.compile(dynamic=False)
    model.train()
    began, losses = time.perf_counter() - (log_rows[-1]["seconds"] if log_rows else 0), []
    for step in range(first, stage.steps):
        taught = room.sequences(stage, step)
        features = room.scenes.features[taught.rows].to(torch.bfloat16)
        loss = answer_loss(model, taught, features, stage.distillation)
        loss.backward()
        trained.step()
        losses.append(loss.item())
        if (step + 1) % 25 == 0 or step + 1 == stage.steps:
            seconds = round(time.perf_counter() - began)
            log_rows.append({"step": step + 1, "nats": round(sum(losses) / len(losses), 4), "seconds": seconds})
            log.info("step %d of %d, %.3f nats, %d s", step + 1, stage.steps, log_rows[-1]["nats"], seconds)
            losses = []
            with atomic_write(unfinished) as file:
                torch.save({"trained": trained.state(), "step": step + 1, "log": log_rows}, file)
    model.eval()
    return log_rows


def save_projector(trained: MasterWeights, file: Path) -> None:
    """Write the projector's weights.

    Args:
        trained: weights among which the projector's are.
        file: receives them, in bfloat16.
    """
    found = {
        key.partition("multi_modal_projector.")[2]: weight.to(torch.bfloat16).contiguous()
        for key, weight in trained.masters.items()
        if "multi_modal_projector." in key
    }
    save_file(found, file)
