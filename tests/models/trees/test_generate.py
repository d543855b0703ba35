"""Answers generated from a packed tree are those that transformers' own `generate` gives with the same noise."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import AutoModelForImageTextToText, GenerationConfig, LogitsProcessor

from spavl.models.families import family_of, load_processor
from spavl.models.sampling import gumbel
from spavl.models.trees.batch import collate
from spavl.models.trees.generate import GeneratedAnswer, generate, pack_prompts, prompt_ids, sampled_answers
from spavl.models.trees.pack import Tree, pack_tokens
from spavl.models.trees.score import answer_logprobs
from spavl.pictures import Picture

QUESTIONS = ("what is this ?", "tell me about the red cup", "is it round ?")


class Noise(LogitsProcessor):
    """The same noise and the same forbidden tokens, for transformers' `generate`."""

    def __init__(self, seeds: torch.Tensor, prompt: int, forbidden: list[int]) -> None:
        self.seeds, self.prompt, self.forbidden = seeds, prompt, forbidden

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        scores = scores.float() + gumbel(self.seeds, input_ids.shape[1] - self.prompt, scores.shape[1])
        scores[:, self.forbidden] = float("-inf")
        return scores


@pytest.fixture(scope="module")
def world(tiny_checkpoint: Path):
    torch.set_num_threads(1)
    model = AutoModelForImageTextToText.from_pretrained(tiny_checkpoint).eval()
    processor = load_processor(tiny_checkpoint)
    noise = np.random.default_rng(0).integers(0, 256, (3, 48, 48, 3), dtype=np.uint8)
    pictures = [Picture(str(i), Image.fromarray(pixels)) for i, pixels in enumerate(noise)]
    return model, family_of(model, processor), pictures


def generated(world, seeds: torch.Tensor, max_new_tokens: int = 16) -> list[list[GeneratedAnswer]]:
    model, family, pictures = world
    trees = [
        pack_prompts((one,), [prompt_ids((one,), "", question, family) for question in QUESTIONS[: 1 + number]], family)
        for number, one in enumerate(pictures)
    ]
    answers = generate(model, collate(trees, family), family, sampled_answers(seeds, max_new_tokens, family))
    each = seeds.shape[1]
    return [answers[start : start + each] for start in range(0, len(answers), each)]


def seeds_for(questions: int, each: int) -> torch.Tensor:
    return torch.randint(-(2**62), 2**62, (questions, each), generator=torch.Generator().manual_seed(0))


def test_answers_are_those_of_generate_token_for_token(world) -> None:
    model, family, pictures = world
    seeds = seeds_for(6, 3)
    answered = generated(world, seeds)
    forbidden = sorted(set(family.processor.tokenizer.all_special_ids) - family.end_ids)
    prompts = [(one, question) for number, one in enumerate(pictures) for question in QUESTIONS[: 1 + number]]
    for (one, question), own, answers in zip(prompts, seeds, answered, strict=True):
        inputs = family.processor(
            images=[one.load()] * 3,
            text=[family.chat("", 1, question)] * 3,
            return_tensors="pt",
            add_special_tokens=False,
        )
        prompt = inputs["input_ids"].shape[1]
        expected = model.generate(
            **inputs,
            generation_config=GenerationConfig(max_new_tokens=16, do_sample=False, eos_token_id=2, pad_token_id=0),
            logits_processor=[Noise(own, prompt, forbidden)],
        )[:, prompt:]
        for answer, row in zip(answers, expected.tolist(), strict=True):
            assert list(answer.ids) == row[: len(answer.ids)]
            assert answer.ended == (answer.ids[-1] == 2)
            assert answer.ended or len(answer.ids) == 16


def test_an_answer_depends_on_its_own_seed_only(world) -> None:
    seeds = seeds_for(6, 3)
    others = seeds_for(6, 4)[:, :3].clone()
    others[2, 1] = seeds[2, 1]
    assert generated(world, seeds)[2][1].ids == generated(world, others)[2][1].ids


def test_log_probabilities_while_sampling_are_those_of_scoring(world) -> None:
    model, family, pictures = world
    answered = generated(world, seeds_for(6, 3))
    prompts = [prompt_ids((pictures[2],), "", question, family) for question in QUESTIONS]
    tree = pack_tokens(
        Tree((pictures[2],), "", (), ()), prompts, [[a.ids for a in answers] for answers in answered[3:]]
    )
    scores = answer_logprobs(model, collate([tree], family), family)
    while_sampling = np.concatenate([answer.logprobs for answers in answered[3:] for answer in answers])
    np.testing.assert_allclose(scores.logprobs.detach().numpy(), while_sampling, atol=1e-4)


def test_no_answer_holds_a_control_token_but_its_end(world) -> None:
    _, family, _ = world
    answers = [answer for group in generated(world, seeds_for(6, 40), max_new_tokens=40) for answer in group]
    tokens = {token for answer in answers for token in answer.ids}
    assert tokens & set(family.processor.tokenizer.all_special_ids) == {2}
