"""Settings of `spavl gate`: limits on the bounds of what was measured."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from spavl.config.base import Section, refuse_twice
from spavl.config.evaluate import Share
from spavl.config.models import Label

Difference = Annotated[float, Field(gt=-1, lt=1)]
KINDS = ("upper", "lower", "change_upper", "change_lower", "noninferior", "unread")
"""What a limit may be on; each states exactly one."""


class Limit(Section):
    """One limit. It holds where the bound of the interval is within it: a small benchmark has wide intervals."""

    metric: str | None = None
    """Metric that it is on, as `spavl compare` names it. May be left out for `unread`, which is then on all metrics."""
    model: Label | None = None
    """Model that it is on. None: the models of the file."""
    upper: Share | None = None
    """The rate must be shown to be below this."""
    lower: Share | None = None
    """The rate must be shown to be above this."""
    change_upper: Difference | None = None
    """The rate must be shown to have risen by less than this against the base; 0.02 is two points."""
    change_lower: Difference | None = None
    """The rate must be shown to have fallen by less than this below 0; −0.02 is two points."""
    noninferior: Share | None = None
    """The metric must be shown to have become worse by less than this against the base, in its own direction."""
    unread: Annotated[float, Field(ge=0, lt=1)] | None = None
    """At most this share of verdicts may be unread."""
    judge: Literal["exact", "estimated"] = "exact"
    """For `upper` alone. `exact`: the guard's verdicts are taken as they are. `estimated`: its errors are counted in,
    as they are known from labelled answers of the run (`evaluate.labels`) or from its qualification, with the
    finite-sample test of arXiv 2601.20913."""

    @model_validator(mode="after")
    def _is_one_limit(self) -> Self:
        stated = self.kinds()
        if len(stated) != 1:
            named = " and ".join(f"`{kind}`" for kind in stated) or "none"
            raise ValueError(f"a limit states one of {', '.join(KINDS)}; this one states {named}")
        if self.metric is None and self.unread is None:
            raise ValueError(f"`{stated[0]}` needs a `metric`")
        if self.judge == "estimated" and self.upper is None:
            raise ValueError("`judge: estimated` goes with `upper` alone")
        return self

    def kinds(self) -> list[str]:
        """What it is on: one of `KINDS`."""
        values = (self.upper, self.lower, self.change_upper, self.change_lower, self.noninferior, self.unread)
        return [kind for kind, value in zip(KINDS, values, strict=True) if value is not None]


def _models_differ(models: tuple[str, ...]) -> tuple[str, ...]:
    refuse_twice(models)
    return models


class GateSettings(Section):
    """The limits that models must keep."""

    model: Label | Annotated[tuple[Label, ...], AfterValidator(_models_differ)] | None = None
    """Models that must keep them. None: every model of the run but the first and blind controls."""
    base: Label | None = None
    """What changes are measured against. None: the first model of the run."""
    limits: tuple[Limit, ...] = ()
    """The limits; all must hold."""
    alarms: Literal["pass", "break"] = "pass"
    """Whether alarms of the run that ring, on models that are bound and on their data, pass the gate or break it."""
    alpha: Annotated[float, Field(gt=0, le=0.5)] = 0.05
    """Probability with which a model exactly at a limit passes it by luck."""
    sample_size: Literal["fixed", "growing"] = "fixed"
    """`fixed`: how many items are asked was decided before. `growing`: one looks repeatedly while items are added, and
    stops when one likes; bounds are then those of a confidence sequence, which are wider. For rates of plain shares and
    changes of them."""

    @model_validator(mode="after")
    def _asks_something(self) -> Self:
        if not self.limits and self.alarms == "pass":
            raise ValueError("nothing is limited: state `limits`, or `alarms: break`")
        return self

    @property
    def models(self) -> tuple[str, ...]:
        """The models that are named; none: all that were aligned."""
        return () if self.model is None else (self.model,) if isinstance(self.model, str) else self.model
