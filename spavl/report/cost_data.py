"""Time and cost of a run, as plain data."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class StageCost:
    """Time, calls and cost of a stage; what an earlier run paid for is in it, and told apart where that is known."""

    name: str
    """Name of the stage."""
    seconds: float
    """Wall-clock time in seconds, of this run."""
    calls: int = 0
    """Model calls made."""
    stored: int = 0
    """Answers found in the call store."""
    tokens: int = 0
    """Tokens of all of them, whoever paid."""
    cost: float = 0.0
    """Cost of all of them, whoever paid, in the currency of the models' prices."""
    earlier_tokens: int | None = None
    """Tokens of the answers that were found in the store; None: that was not noted."""
    earlier_cost: float | None = None
    """Cost of the answers that were found in the store; None: nothing, or not noted where their tokens are not."""
    call_seconds: float = 0.0
    """Seconds of all its calls, one after the other, whoever made them; 0: not noted."""

    @property
    def earlier(self) -> tuple[int, float] | None:
        """Tokens and cost that an earlier run paid for; None where answers were found and theirs was not noted."""
        if self.earlier_tokens is not None:
            return self.earlier_tokens, self.earlier_cost or 0.0
        if not self.stored:
            return 0, 0.0
        return (self.tokens, self.cost) if not self.calls else None

    @property
    def now(self) -> tuple[int, float] | None:
        """Tokens and cost that this run paid for; None where that is not known."""
        if self.earlier is None:
            return None
        tokens, cost = self.earlier
        return max(0, self.tokens - tokens), max(0.0, self.cost - cost)


def total_of(stages: tuple[StageCost, ...]) -> StageCost:
    """The sum of all stages; what an earlier run paid for is known where it is known of every stage.

    Args:
        stages: all stages.
    """
    earlier = [stage.earlier for stage in stages]
    known = [one for one in earlier if one is not None]
    whole = len(known) == len(earlier)
    return StageCost(
        name="Total", seconds=sum(stage.seconds for stage in stages), calls=sum(stage.calls for stage in stages),
        stored=sum(stage.stored for stage in stages), tokens=sum(stage.tokens for stage in stages),
        cost=sum(stage.cost for stage in stages),
        earlier_tokens=sum(tokens for tokens, _ in known) if whole else None,
        earlier_cost=sum(cost for _, cost in known) if whole else None,
        call_seconds=sum(stage.call_seconds for stage in stages),
    )  # fmt: skip
