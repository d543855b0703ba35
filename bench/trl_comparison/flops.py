"""Floating-point operations that either side needs for a pair, by arithmetic: the model behind the floors.

A forward pass is 2 P tokens + 4 d L attended + 2 d V scored: P weights of the language model's matrices, d its width,
L its layers, V its vocabulary, `attended` the pairs of a token and one that it attends to. Fewer key and value heads
make smaller matrices, not less attention; the embedding is looked up, so a head tied to it costs what another does.
The gradient of the activations costs one more forward pass; that of frozen weights is not needed, and that of adapters
is left out (under 1 % of it), as are norms, softmax and optimiser. Gradient checkpointing costs one more forward pass.
"""

from __future__ import annotations

from dataclasses import dataclass

from bench.trl_comparison.workload import ModelShape

PREFIX_TOKENS, QUESTION_TOKENS, ANSWER_TOKENS = 2, 38, 100
"""Tokens before the picture; of a question with the end of its turn; of an answer, on average, with its end token."""


@dataclass(frozen=True, slots=True)
class PairFlops:
    """Floating-point operations for one pair."""

    forward: float
    """One pass through the language model, head included."""
    pictures: float
    """Vision tower and projector, all passes of a step together."""

    def step(self, *, live: bool, checkpointing: bool = False) -> float:
        """Operations of a training step: forward and backward of the policy, and the reference's forward.

        Args:
            live: whether the reference is computed in the step.
            checkpointing: gradient checkpointing.
        """
        return self.forward * (2 + live + checkpointing) + self.pictures


def trl(shape: ModelShape, *, score_all: bool) -> PairFlops:
    """TRL: two sequences, each with the picture, and four passes of the tower.

    Args:
        shape: of the model.
        score_all: whether the head scores every position, not answers alone.
    """
    length = PREFIX_TOKENS + shape.image_tokens + QUESTION_TOKENS + ANSWER_TOKENS
    scored = length - 1 if score_all else ANSWER_TOKENS
    return PairFlops(2 * _forward(shape, length, _causal(length), scored), 4 * _picture(shape))


def tree(shape: ModelShape, questions: int) -> PairFlops:
    """spavl: one sequence for a picture with its questions, two answers each, and one pass of the tower.

    Args:
        shape: of the model.
        questions: pairs of a picture.
    """
    shared_prefix = PREFIX_TOKENS + shape.image_tokens
    before = shared_prefix + QUESTION_TOKENS
    tokens = shared_prefix + questions * (QUESTION_TOKENS + 2 * ANSWER_TOKENS)
    branch = (
        QUESTION_TOKENS * shared_prefix
        + _causal(QUESTION_TOKENS)
        + 2 * (ANSWER_TOKENS * before + _causal(ANSWER_TOKENS))
    )
    attended = _causal(shared_prefix) + questions * branch
    scored = 2 * ANSWER_TOKENS * questions
    return PairFlops(_forward(shape, tokens, attended, scored) / questions, _picture(shape) / questions)


def ratio(
    shape: ModelShape,
    *,
    questions: int,
    live: bool,
    checkpointing: bool = False,
    trl_checkpointing: bool = False,
    score_all: bool = False,
) -> float:
    """Operations of TRL, which always computes its reference live, over those of spavl.

    Args:
        shape: of the model.
        questions: pairs of a picture.
        live: whether spavl computes its reference live.
        checkpointing: gradient checkpointing of spavl.
        trl_checkpointing: gradient checkpointing of TRL.
        score_all: whether TRL's head scores every position.
    """
    operations = trl(shape, score_all=score_all).step(live=True, checkpointing=trl_checkpointing)
    return operations / tree(shape, questions).step(live=live, checkpointing=checkpointing)


def _forward(shape: ModelShape, tokens: int, attended: float, scored: int) -> float:
    key_share = (shape.key_value_heads or shape.heads) / shape.heads
    projections = (2 + 2 * key_share) * shape.hidden_size**2
    weights = shape.layers * (projections + 3 * shape.hidden_size * shape.intermediate_size)
    attention = 4 * shape.hidden_size * shape.layers * attended
    return 2 * weights * tokens + attention + 2 * shape.hidden_size * shape.vocabulary * scored


def _picture(shape: ModelShape) -> float:
    tokens = shape.image_tokens + 1
    weights = shape.vision_layers * (
        4 * shape.vision_hidden_size**2 + 2 * shape.vision_hidden_size * shape.vision_intermediate_size
    )
    patches = 3 * shape.patch_size**2 * shape.vision_hidden_size
    projector = shape.vision_hidden_size * shape.hidden_size + shape.hidden_size**2
    attention = 4 * shape.vision_hidden_size * shape.vision_layers * tokens**2
    return 2 * weights * tokens + attention + 2 * (patches + projector) * shape.image_tokens


def _causal(tokens: int) -> float:
    """Pairs of a token and one that it attends to, itself included."""
    return tokens * (tokens + 1) / 2
