"""How many bytes a training by PPO takes on one device, if its answers are as long as needs most."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from spavl.align.data.lengths import prompt_tokens
from spavl.align.ppo.models import PPOModels
from spavl.align.ppo.rollout import RolloutPrompt, group_by_context, split_to
from spavl.align.preflight.memory import HowTrained, Memory, training_memory
from spavl.align.preflight.prepare import PreparedTraining
from spavl.config.align import AlignSettings
from spavl.models.trees.answer_cache import LEAST_ROOM
from spavl.models.trees.pack import batch_by_tokens


@dataclass(frozen=True, slots=True)
class LargestRound:
    """What a device holds at once in the rounds where that is most."""

    pass_tokens: int
    """Tokens of a forward pass of scoring and updating, padding counted."""
    prompts: int
    """Prompt tokens that are held while answers are generated to them."""
    answers: int
    """Answers that are generated at once."""


def ppo_memory(
    prepared: PreparedTraining, models: PPOModels, rounds: Sequence[Sequence[RolloutPrompt]], settings: AlignSettings
) -> Memory:
    """Bytes of the training on one device.

    Args:
        prepared: of the policy.
        models: all that are loaded.
        rounds: the prompts of every round.
        settings: of the training.
    """
    largest = largest_round(prepared, rounds, settings)
    heads = [head for head in (models.reward, models.critic, models.cost) if head is not None]
    how = HowTrained(
        settings.optimiser.name,
        settings.machine.gradient_checkpointing,
        accumulates=True,  # the policy's gradients are held during the critic's passes
        autocast=prepared.context.dtype == "bfloat16",
        kept=sum(old.nbytes for old in (models.policy.before or {}).values()),
        generation=_generation_bytes(models, largest, settings.ppo.max_tokens),
        device=prepared.context.device.type,
    )
    return training_memory(
        [models.policy.model, *(head.model for head in heads), *(head.head for head in heads)],
        prepared.forward.scaled(largest.pass_tokens),
        how,
    )


def largest_round(
    prepared: PreparedTraining, rounds: Sequence[Sequence[RolloutPrompt]], settings: AlignSettings
) -> LargestRound:
    """The most that a device holds at once in any round.

    Args:
        prepared: of the policy.
        rounds: the prompts of every round.
        settings: of the training.
    """
    lengths, ppo, context = prepared.dataset.lengths, settings.ppo, prepared.context
    prefix, longest = int(lengths["shared_prefix"].max()), int(prompt_tokens(lengths).max())
    own, shortest = longest - prefix, int(prompt_tokens(lengths).min())
    most = [0, 0, 0]
    for groups in _shares(rounds, context.rank, context.ranks, ppo.minibatches):
        sizes = [prefix + len(group) * (own + ppo.answers * ppo.max_tokens) for group in groups]
        generated = batch_by_tokens(sizes, ppo.generation_token_budget)
        prompts = [prefix + len(group) * own for group in groups]
        most[0] = max(most[0], _pass_tokens(shortest, sizes, settings.batching.token_budget))
        most[1] = max(most[1], *(len(one) * max(prompts[number] for number in one) for one in generated))
        most[2] = max(most[2], *(ppo.answers * sum(len(groups[number]) for number in one) for one in generated))
    return LargestRound(*most)


def _pass_tokens(shortest: int, longest: Sequence[int], token_budget: int) -> int:
    """Tokens of the largest forward pass that trees can make, padding counted.

    Answers shorter than they may be can need more: of trees that are not at their longest, more fit into one pass.

    Args:
        shortest: least tokens of a tree.
        longest: most tokens of each tree.
        token_budget: most tokens of a pass, but for a tree that stands alone.
    """
    together = min(len(longest), max(1, token_budget // shortest))
    return max(max(longest), min(token_budget, together * max(longest)))


def _shares(
    rounds: Sequence[Sequence[RolloutPrompt]], rank: int, ranks: int, minibatches: int
) -> Iterator[list[list[RolloutPrompt]]]:
    """The prompts of a device in every round, by context."""
    for prompts in rounds:
        yield split_to(group_by_context(prompts), ranks * minibatches)[rank::ranks]


def _generation_bytes(models: PPOModels, largest: LargestRound, max_tokens: int) -> int:
    """Keys and values of prompts and answers, room for answers being doubled, and the logits of a token of each."""
    text = models.policy.model.config.get_text_config()
    width = text.to_dict().get("head_dim") or text.hidden_size // text.num_attention_heads
    token: int = 2 * text.num_key_value_heads * width * text.num_hidden_layers * models.compute.itemsize
    room = LEAST_ROOM
    while room < max_tokens:
        room *= 2
    logits: int = 4 * 4 * largest.answers * text.vocab_size
    return token * (largest.prompts + largest.answers * room) + logits
