"""Settings of the stages that describe pictures, write questions and have them answered."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Annotated, Any, get_args

from pydantic import AfterValidator, BeforeValidator, Field, PositiveInt, model_validator

from spavl.config.base import Section, each_once
from spavl.config.models import Label, SamplingSettings
from spavl.records import QUESTION_TYPES, QuestionType


def _known_type(name: Any) -> Any:
    if not isinstance(name, str) or name in get_args(QuestionType):
        return name
    near = get_close_matches(name, get_args(QuestionType), n=1)
    meant = f" (did you mean `{near[0]}`?)" if near else ""
    raise ValueError(f"`{name}` is no type of question{meant}: there are {', '.join(get_args(QuestionType))}")


QuestionTypeName = Annotated[QuestionType, BeforeValidator(_known_type)]


class DescribeSettings(Section):
    """The model that describes every picture in detail before questions are written (the paper's was Gemini)."""

    model: Label | None = None
    """Label of an entry of `models`. None: no picture is described."""
    prompt: str | None = None
    """A template file of your own instead of the built-in wording; placeholders: topic, class1, class2, class3,
    subcategory_description, caption."""
    sampling: SamplingSettings = SamplingSettings(max_tokens=512)
    """How descriptions are generated."""


class FollowUpSettings(Section):
    """The question that comes after an answer, of type `follow_up`."""

    responder: Label
    """Who gives that answer: label of an entry of `models`. One of the responders is asked once for both."""
    after: QuestionTypeName = "easy_question"
    """The type of question that it answers."""


class AskSettings(Section):
    """The models that write the questions about a picture."""

    model: Label = "asker"
    """Label of an entry of `models`."""
    models: dict[QuestionTypeName, Label] = {}
    """Models that write single types of question, in place of `model`, such as `{hard_question: other}`."""
    types: Annotated[tuple[QuestionTypeName, ...], Field(min_length=1), AfterValidator(each_once)] = QUESTION_TYPES
    """Types of question for every picture. `hard_question` and `hard_statement` are rewritten from the easy one, which
    is written too where only they are wanted. Beyond the paper's three there are `benign_question`, a harmless request
    that only seems to touch the topic, and `follow_up`, which needs `follow_up`."""
    prompt: str | None = None
    """A template file of your own instead of the built-in wording; placeholders: topic, class1, class2, class3,
    subcategory_description, caption, description, known, question_type, easy_question, earlier_question,
    earlier_answer."""
    prompts: dict[QuestionTypeName, str] = {}
    """Template files for single types of question, in place of `prompt`."""
    sampling: SamplingSettings = SamplingSettings(temperature=0.7, max_tokens=128)
    """How questions are generated."""
    own_sampling: dict[QuestionTypeName, SamplingSettings] = {}
    """How questions of single types are generated, in place of `sampling`."""
    structured: bool = False
    """Ask for questions as JSON: the server is held to `{"question": …}` where it can decode to a schema, and what
    comes back is checked. One line of plain text is taken too; broken JSON is `unreadable`, and never used."""
    follow_up: FollowUpSettings | None = None
    """Whose answer to what the type `follow_up` comes after."""
    near_duplicates: Annotated[float, Field(gt=0, le=1)] | None = None
    """Similarity from which the later of two questions of one subcategory and type is left out, wherever in the run
    they stand: the share of their words and pairs of words that both have, such as 0.8. None: none is left out, for the
    same words about another picture are another question, and the paper names no such filter."""

    @model_validator(mode="after")
    def _types_fit_together(self) -> AskSettings:
        if "follow_up" in self.types and self.follow_up is None:
            raise ValueError("the type `follow_up` needs `follow_up: {responder: LABEL, after: TYPE}`")
        if self.follow_up is not None and self.follow_up.after == "follow_up":
            raise ValueError("`follow_up.after` must be another type of question")
        named: Mapping[QuestionType, Any]
        for setting, named in (
            ("models", self.models), ("prompts", self.prompts), ("own_sampling", self.own_sampling),
        ):  # fmt: skip
            if strange := [kind for kind in named if kind not in self.written]:
                raise ValueError(f"`{setting}` names `{strange[0]}`, which is none of the types that are written")
        return self

    @property
    def written(self) -> tuple[QuestionType, ...]:
        """The types that are wanted and those that they are made from, each after what it is made from."""
        found: dict[QuestionType, None] = {}
        for kind in self.types:
            made_of: list[QuestionType] = [kind]
            while (before := self.made_from(made_of[0])) is not None:
                made_of.insert(0, before)
            found |= dict.fromkeys(made_of)
        return tuple(found)

    def made_from(self, kind: QuestionType) -> QuestionType | None:
        """The type of question that one of this type is made from; None where it needs none.

        Args:
            kind: type of question.
        """
        if kind == "follow_up":
            return self.follow_up.after if self.follow_up else None
        return "easy_question" if kind in ("hard_question", "hard_statement") else None

    def model_for(self, kind: QuestionType) -> str:
        """Label of the model that writes questions of a type.

        Args:
            kind: type of question.
        """
        return self.models.get(kind, self.model)

    def sampling_for(self, kind: QuestionType) -> SamplingSettings:
        """How questions of a type are generated.

        Args:
            kind: type of question.
        """
        return self.own_sampling.get(kind, self.sampling)

    def prompt_for(self, kind: QuestionType) -> str | None:
        """The user's own template file for questions of a type; None for the built-in one.

        Args:
            kind: type of question.
        """
        return self.prompts.get(kind, self.prompt)


class RespondSettings(Section):
    """The models that answer the questions."""

    models: Annotated[tuple[Label, ...], AfterValidator(each_once)] = ()
    """Responders, by their labels in `models`. The paper used twelve."""
    sampling: SamplingSettings = SamplingSettings(temperature=1.0, max_tokens=256)
    """How answers are generated."""
    own_sampling: dict[Label, SamplingSettings] = {}
    """How single responders generate theirs, by their labels, in place of `sampling`."""
    samples: PositiveInt = 1
    """Answers of each responder to each question."""
    own_samples: dict[Label, PositiveInt] = {}
    """Answers of single responders to each question, by their labels, in place of `samples`."""
    own_system: dict[Label, str | None] = {}
    """Text files with a system prompt of your own for single responders, by their labels. `null` is an empty slot, as
    the rosters have it for the paper's jailbroken responder: it does not run until you name a file."""

    @model_validator(mode="after")
    def _knows_every_responder(self) -> RespondSettings:
        named: Mapping[str, Any]
        for setting, named in (
            ("own_sampling", self.own_sampling), ("own_samples", self.own_samples), ("own_system", self.own_system),
        ):  # fmt: skip
            if strange := [name for name in named if name not in self.models]:
                raise ValueError(f"`{setting}` names `{strange[0]}`, which is none of the responders in `models`")
        for name in self.models:
            if self.samples_for(name) > 1 and self.sampling_for(name).temperature == 0:
                raise ValueError(f"`{name}` is to answer {self.samples_for(name)} times at temperature 0, which is one "
                                 "answer again and again")  # fmt: skip
        return self

    @property
    def responders(self) -> tuple[str, ...]:
        """Labels of the models that answer: all but empty slots."""
        return tuple(name for name in self.models if name not in self.empty_slots)

    @property
    def empty_slots(self) -> tuple[str, ...]:
        """Labels of the models that wait for a system prompt of the user's own, and do not answer until then."""
        return tuple(name for name in self.models if name in self.own_system and self.own_system[name] is None)

    def sampling_for(self, responder: str) -> SamplingSettings:
        """How a responder generates its answers.

        Args:
            responder: its label.
        """
        return self.own_sampling.get(responder, self.sampling)

    def samples_for(self, responder: str) -> int:
        """How many answers a responder gives to each question.

        Args:
            responder: its label.
        """
        return self.own_samples.get(responder, self.samples)
