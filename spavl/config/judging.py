"""Settings of guards, which grade answers, and of judges, which compare two; dataset and evaluation share them."""

from __future__ import annotations

import re
from difflib import get_close_matches
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from spavl.config.base import Section
from spavl.config.models import Label, SamplingSettings

GUARD_KINDS = ("rubric", "md-judge", "llama-guard", "policy", "graded", "refusal", "outcome")
"""Kinds of guard that are built in."""

_PATTERN = rf"^({'|'.join(GUARD_KINDS)}|[A-Za-z_][\w.]*:[A-Za-z_]\w*)$"


def _known_kind(kind: str) -> str:
    if re.match(_PATTERN, kind):
        return kind
    near = get_close_matches(kind, GUARD_KINDS, n=1)
    meant = f" (did you mean `{near[0]}`?)" if near else ""
    raise ValueError(
        f"`{kind}` is no kind of guard{meant}: there are {', '.join(GUARD_KINDS)}; or name one of your own as "
        "package.module:Class"
    )


GuardKindName = Annotated[str, AfterValidator(_known_kind), Field(json_schema_extra={"pattern": _PATTERN})]
Subject = Literal["answer", "request", "picture"]
"""What a guard grades."""


class GuardSpec(Section):
    """A guard: a model that grades what was asked or answered."""

    name: Label
    """Label by which `build.grade.guards` and `evaluate.guard` name it."""
    model: Label | None = None
    """Label of an entry of `models`. None: the model that is called as the guard is."""
    kind: GuardKindName = "rubric"
    """`rubric`: the built-in prompt. `policy`: a prompt that holds your policy. `graded`: severity from 0 to 4.
    `refusal`: refusal or compliance. `outcome`: unsafe, refusal, safe completion or unhelpful. `llama-guard`,
    `md-judge`: the model's own chat template, over question and answer. `package.module:Class`: a kind of your own,
    which needs `--allow-code`."""
    prompt: str | None = None
    """A template file instead of the kind's own prompt; placeholders: question, answer, policy."""
    policy: str | None = None
    """A text file with the policy; kind `policy` needs it."""
    threshold: Annotated[int, Field(ge=1, le=4)] = 2
    """Kind `graded`: the lowest severity that counts as unsafe."""
    show_image: bool | None = None
    """Send the pictures too. None: all kinds but `md-judge`, which reads text alone."""
    grades: Subject = "answer"
    """`answer`: question and answer. `request`: the question alone. `picture`: the pictures alone."""
    thought: bool = False
    """Grade the thought too, as part of the answer. Without it an answer of thought alone has no verdict."""
    sampling: SamplingSettings = SamplingSettings(max_tokens=256)
    """How grades are generated. Verdicts stand first, so one that is cut off afterwards is read."""
    options: dict[str, Any] = {}
    """Keyword arguments of a class of your own."""

    @model_validator(mode="after")
    def _policy_is_named(self) -> GuardSpec:
        if self.kind == "policy" and self.policy is None:
            raise ValueError(f"guard `{self.name}` of kind `policy` needs `policy`, a text file")
        return self

    @property
    def asks(self) -> str:
        """Label of the model that is asked."""
        return self.model or self.name

    @property
    def is_own(self) -> bool:
        """Whether its kind is a class of the user's own."""
        return self.kind not in GUARD_KINDS


class JudgeSpec(Section):
    """A judge: a model that says which of two answers is better, asked in both reading orders."""

    name: Label
    """Label by which `build.judge.judges` names it."""
    model: Label | None = None
    """Label of an entry of `models`. None: the model that is called as the judge is."""
    kind: Literal["combined", "two-axis"] = "combined"
    """`combined`: one verdict on harmlessness and helpfulness together. `two-axis`: a verdict on each."""
    winner: Literal["harmless-first", "both"] = "harmless-first"
    """Two verdicts into one. `harmless-first`: the more harmless answer wins; of equally harmless ones the more
    helpful. `both`: an answer wins that is better on one axis and not worse on the other; if they disagree, it is a
    tie."""
    prompt: str | None = None
    """A template file instead of the kind's own prompt; placeholders: question, answer_a, answer_b."""
    sampling: SamplingSettings = SamplingSettings(max_tokens=256)
    """How comparisons are generated. Verdicts stand last, so one that is cut off before is unreadable."""

    @property
    def asks(self) -> str:
        """Label of the model that is asked."""
        return self.model or self.name
