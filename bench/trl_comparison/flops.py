"""What either side has to compute for a pair, on paper: the model of floating-point operations behind the floors.

A forward pass is 2 P tokens + 4 d L seen + 2 d V scored: P weights of the language model's matrices, d its width, L its
layers, V its vocabulary, `seen` the pairs of a token and one that it sees. The gradient of the activations costs one
more forward pass; that of frozen weights is not needed, and that of adapters is left out (under 1 % of it), as are
norms, softmax and optimiser. Gradient checkpointing costs one more forward pass.
"""

from __future__ import annotations

from dataclasses import dataclass

from bench.trl_comparison.workload import ModelShape

TRUNK_WORDS, QUESTION, ANSWER = 2, 38, 100
"""Tokens before the picture; of a question with what ends it; of an answer, on average, with its end token."""


@dataclass(frozen=True, slots=True)
class Work:
    """Operations for one pair."""

    forward: float
    """One pass through the language model, head included."""
    pictures: float
    """Tower and projector, all passes of a step together."""

    def step(self, *, live: bool, checkpointing: bool = False) -> float:
        """Forward and backward of the policy, and the reference's forward where it is computed live."""
        return self.forward * (2 + live + checkpointing) + self.pictures


def trl(shape: ModelShape, *, score_all: bool) -> Work:
    """Two sequences, each with the picture; four passes of the tower. `score_all`: its head scores every position."""
    length = TRUNK_WORDS + shape.image_tokens + QUESTION + ANSWER
    scored = length - 1 if score_all else ANSWER
    return Work(2 * _forward(shape, length, _causal(length), scored), 4 * _picture(shape))


def tree(shape: ModelShape, questions: int) -> Work:
    """One sequence for a picture with its questions, two answers each, and one pass of the tower."""
    shared_prefix = TRUNK_WORDS + shape.image_tokens
    before = shared_prefix + QUESTION
    tokens = shared_prefix + questions * (QUESTION + 2 * ANSWER)
    branch = QUESTION * shared_prefix + _causal(QUESTION) + 2 * (ANSWER * before + _causal(ANSWER))
    seen = _causal(shared_prefix) + questions * branch
    scored = 2 * ANSWER * questions
    return Work(_forward(shape, tokens, seen, scored) / questions, _picture(shape) / questions)


def ratio(
    shape: ModelShape,
    *,
    questions: int,
    live: bool,
    checkpointing: bool = False,
    their_checkpointing: bool = False,
    score_all: bool = False,
) -> float:
    """How many times our work TRL does, which always computes its reference live."""
    work = trl(shape, score_all=score_all).step(live=True, checkpointing=their_checkpointing)
    return work / tree(shape, questions).step(live=live, checkpointing=checkpointing)


def _forward(shape: ModelShape, tokens: int, seen: float, scored: int) -> float:
    weights = shape.layers * (4 * shape.hidden**2 + 3 * shape.hidden * shape.inner)
    attention = 4 * shape.hidden * shape.layers * seen
    return 2 * weights * tokens + attention + 2 * shape.hidden * shape.vocabulary * scored


def _picture(shape: ModelShape) -> float:
    tokens = shape.image_tokens + 1
    weights = shape.vision_layers * (4 * shape.vision_hidden**2 + 2 * shape.vision_hidden * shape.vision_inner)
    patches = 3 * shape.patch**2 * shape.vision_hidden
    projector = shape.vision_hidden * shape.hidden + shape.hidden**2
    attention = 4 * shape.vision_hidden * shape.vision_layers * tokens**2
    return 2 * weights * tokens + attention + 2 * (patches + projector) * shape.image_tokens


def _causal(tokens: int) -> float:
    return tokens * (tokens + 1) / 2
