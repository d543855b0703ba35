"""Settings of what a training measures of itself, and of the alarms that ring by it."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, PositiveFloat, PositiveInt

from spavl.config.base import Section

Share = Annotated[float, Field(ge=0, le=1)]


class TrainingAlarmLimits(Section):
    """From where on an alarm of a training rings: where the interval of what was measured lies beyond the limit."""

    picture_share: Share = 0.2
    """Least share of the size of the margin that is lost when a pair shows another pair's picture. Below it the model
    has learnt its preferences from words (mDPO, arXiv 2406.11839): one trained with blanked pictures loses none, and
    one whose pictures decide every answer half and more, for another's picture is often of the same kind."""
    first_tokens_share: Share = 0.95
    """Largest share of the margin that the first tokens of the answers earn. Above it the model has learnt how answers
    begin, and not what they say ("a few tokens deep", arXiv 2406.05946)."""
    length_correlation: Share = 0.35
    """Largest correlation of the margin with the difference of the answers' lengths, above and below 0. Beyond it the
    length explains an eighth of the margins and more; in trainings on balanced lengths it was 0.2 to 0.3."""
    accuracy_gap: Share = 0.1
    """Largest gap between the share of pairs ranked rightly among those that are trained on and among those that are
    held out. Beyond it a tenth of what was learnt holds for the trained pairs alone."""
    length_growth: PositiveFloat = 1.5
    """PPO: largest ratio of the answers' mean length in the last rounds to that in the first. Rewards that grow with
    length are the commonest that are exploited."""
    kl_divergence: PositiveFloat = 50.0
    """PPO: largest KL divergence from the reference, in nats an answer, in the last rounds. The reward model judged
    answers like the reference's; far from them it guesses (arXiv 2210.10760)."""
    safety_gain: Share = 0.2
    """PPO: least part of the unsafe rate by which it falls in validation (`validation.every`) where the reward rises.
    Below it the reward is optimised, and what it stands for is not."""
    repeated_answers: Share = 0.5
    """PPO: largest share of the answers of a round that are word for word one and the same, whatever was asked."""


class DiagnosticsSettings(Section):
    """What a training measures of itself on a few fixed pairs, held-out ones where there are some."""

    pairs: PositiveInt | None = 128
    """Most pairs that are measured, and no more than one in 16 that are trained on: at the end, and every
    `validation.measure_every` steps, but not before twenty times as many were trained on. That keeps it to a tenth of
    the work of a short training and a twentieth of a long one. None: nothing is measured and no alarm rings."""
    first_tokens: PositiveInt = 5
    """Tokens of an answer that count as its first; pairs with an answer of no more than four times
    as many are left out there."""
    limits: TrainingAlarmLimits = TrainingAlarmLimits()
    """From where on alarms ring."""
