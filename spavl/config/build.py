"""Settings of the dataset's stages, in the order in which they run."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, PositiveInt, model_validator

from spavl.config.base import Section, refuse_twice
from spavl.config.models import Label, SamplingSettings
from spavl.records import QUESTION_TYPES, QuestionType


def _each_once(names: tuple[str, ...]) -> tuple[str, ...]:
    refuse_twice(names)
    return names


def _listed(names: Any) -> Any:
    return (names,) if isinstance(names, str) else names


Labels = Annotated[tuple[Label, ...], BeforeValidator(_listed), AfterValidator(_each_once), Field(min_length=1)]
"""Several labels, or one alone."""


class CollectSettings(Section):
    """Where the pictures come from."""

    source: Literal["folder", "miniworld"] = "folder"
    """`folder`: your own pictures. `miniworld`: pictures rendered by the built-in miniature world."""
    folder: str | None = None
    """The folder of pictures. Sub-folders named after subcategories (or `domain/category/subcategory`) give the topic;
    a last sub-folder `benign` marks harmless counterparts."""
    topic: str | None = None
    """Subcategory of pictures whose folder names none."""
    taxonomy: str | None = None
    """A YAML file of your own; the default is the paper's 6 domains, 15 categories and 53 subcategories."""
    heldout: tuple[str, ...] = ()
    """Subcategories that are built but never trained on."""
    license: str = "unknown"
    """Licence of the pictures, recorded with every one."""
    per_subcategory: PositiveInt = 10
    """Miniature world: pictures for each of the 53 subcategories."""
    benign_share: Annotated[float, Field(ge=0, le=1)] = 0.4
    """Miniature world: share of the pictures that are harmless counterparts (benign twins)."""
    max_pixels: PositiveInt = 40_000_000
    """Pictures with more pixels are refused (decompression bombs)."""


class AskSettings(Section):
    """The model that writes the questions about a picture."""

    model: Label = "asker"
    """Label of an entry of `models`."""
    types: Annotated[tuple[QuestionType, ...], Field(min_length=1), AfterValidator(_each_once)] = QUESTION_TYPES
    """Kinds of question for every picture. The hard ones are rewritten from the easy one."""
    prompt: str | None = None
    """A template file of your own instead of the built-in wording; placeholders: class1, class2, class3, question_type,
    easy_question."""
    sampling: SamplingSettings = SamplingSettings(temperature=0.7, max_tokens=128)
    """How questions are generated."""


class RespondSettings(Section):
    """The models that answer the questions."""

    models: Annotated[tuple[Label, ...], AfterValidator(_each_once)] = ()
    """Responders, by their labels in `models`. The paper used twelve."""
    sampling: SamplingSettings = SamplingSettings(temperature=1.0, max_tokens=256)
    """How answers are generated."""
    own_sampling: dict[Label, SamplingSettings] = {}
    """How single responders generate theirs, by their labels, in place of `sampling`."""

    @model_validator(mode="after")
    def _knows_every_responder(self) -> RespondSettings:
        if strange := [name for name in self.own_sampling if name not in self.models]:
            raise ValueError(f"`own_sampling` names `{strange[0]}`, which is none of the responders in `models`")
        return self

    def sampling_for(self, responder: str) -> SamplingSettings:
        """How a responder generates its answers.

        Args:
            responder: its label.
        """
        return self.own_sampling.get(responder, self.sampling)


class GradeSettings(Section):
    """The guards that grade every answer (the paper's one was MD-Judge)."""

    guards: Labels = ("guard",)
    """Labels of entries of `guards`; or of models, which then grade by the built-in rubric."""


MatchPolicy = Literal["groups", "strong-weak", "round-robin", "best-worst"]
"""Which answers to a question are compared."""


class MatchSettings(Section):
    """Which two answers to a question are compared."""

    policy: MatchPolicy = "groups"
    """`groups`: of responders in different safety groups (the paper's). `strong-weak`: one of the safest group, one of
    the least safe. `round-robin`: all pairs of responders in turn, so that each meets every other about equally often.
    `best-worst`: the answers that are furthest apart by the guard's outcome and severity. The last two need no groups.
    """
    groups: Annotated[int, Field(ge=2, le=12)] = 5
    """Safety groups that responders are put into by their unsafe rate (the paper's five)."""
    per_question: PositiveInt = 1
    """Pairs of answers compared for each question (the paper's one)."""
    same_responder: bool = False
    """Two samples of one responder may be compared too: they differ in what is said, and not in who says it."""

    @model_validator(mode="after")
    def _weak_is_not_strong(self) -> MatchSettings:
        if self.same_responder and self.policy == "strong-weak":
            raise ValueError("`same_responder` does not go with `policy: strong-weak`, which needs two responders")
        return self


class JudgeSettings(Section):
    """The judges that compare two answers, in both orders."""

    judges: Labels = ("judge",)
    """Labels of entries of `judges`; or of models, which then give one verdict by the built-in prompt."""


class PairSettings(Section):
    """Which judged comparisons become preference pairs."""

    quorum: PositiveInt | None = None
    """Judges that must prefer the same answer, each in both orders, while fewer prefer the other. None: more than half
    of them."""
    chosen_must_be_safe: bool = False
    """Drop pairs whose chosen answer the guard graded unsafe (in the paper 11.7 % are)."""
    min_severity_gap: Annotated[int, Field(ge=1, le=4)] | None = None
    """Drop pairs whose rejected answer is not so much more severe than the chosen one; needs a guard that says how
    severe an answer is, and an answer whose severity it does not say is in no pair."""
    prefer_safe_completion: bool = False
    """A safe completion is chosen over a bare refusal unless the judges found it less harmless; and pairs whose chosen
    answer is a bare refusal are dropped where any answer to the question is a safe completion. Needs a guard that tells
    the two apart, such as one of kind `outcome`."""


class BalanceSettings(Section):
    """Which pairs are left out, so that neither length nor source nor a few subjects tell chosen from rejected.

    Where any of these is set, the stage `balance` follows `pair`: `7-balanced.parquet` is what is exported and trained
    on, and `6-pairs.parquet` keeps all pairs.
    """

    per_subcategory: PositiveInt | None = None
    """Most pairs of a subcategory; where there are fewer, the log and `run.json` say so."""
    length_balance: Annotated[float, Field(gt=0, lt=0.5)] | None = None
    """Most by which the share of pairs whose chosen answer is the longer one may differ from a half, such as 0.05.
    Pairs whose lengths differ most are dropped first, and no more than needed."""
    max_source_share: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Most that one responder may have of the chosen answers, and of the rejected ones."""

    @property
    def is_wanted(self) -> bool:
        """Whether anything is to be balanced."""
        return any(one is not None for one in (self.per_subcategory, self.length_balance, self.max_source_share))


class BuildSettings(Section):
    """The stages of the preference dataset, from pictures to pairs."""

    batch_size: PositiveInt = 256
    """Pictures whose questions, answers and verdicts are worked on together. Larger needs more memory, and never
    changes a record."""
    stages: tuple[str, ...] = ()
    """Stages of your own, each as `package.module:NAME` of a `spavl.Stage`. Needs `--allow-code`."""
    collect: CollectSettings = CollectSettings()
    """Where the pictures come from."""
    ask: AskSettings = AskSettings()
    """The model that writes the questions."""
    respond: RespondSettings = RespondSettings()
    """The models that answer them."""
    grade: GradeSettings = GradeSettings()
    """The guards that grade the answers."""
    match: MatchSettings = MatchSettings()
    """Which answers are compared."""
    judge: JudgeSettings = JudgeSettings()
    """The judges that compare them."""
    pair: PairSettings = PairSettings()
    """Which comparisons become pairs."""
    balance: BalanceSettings = BalanceSettings()
    """Which pairs are left out for balance."""

    @model_validator(mode="after")
    def _quorum_can_be_met(self) -> BuildSettings:
        if self.pair.quorum is not None and self.pair.quorum > len(self.judge.judges):
            raise ValueError(f"`pair.quorum` is {self.pair.quorum}, and `judge.judges` names {len(self.judge.judges)}")
        return self
