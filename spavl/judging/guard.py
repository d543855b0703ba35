"""The guard: one object that makes the prompt of a grade and reads the reply, for dataset and evaluation alike.

A kind of guard is a prompt and a reader. The built-in ones stand in `KINDS`; one of your own is a class with the
methods of `GuardKind`, named `package.module:Class` in the settings.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

from spavl.config.judging import GuardSpec, Subject
from spavl.config.models import SamplingSettings
from spavl.errors import DataError, SettingsError
from spavl.judging.readers.outcomes import (
    READING,
    Grade,
    first_line,
    read_md_judge,
    read_outcome,
    read_refusal,
    read_severity,
    read_two_lines,
    whole_verdict,
)
from spavl.judging.templates import Template, load_template
from spavl.models.base import Prompt, Reply
from spavl.own_code import import_own, own_errors
from spavl.records import ImageRef, Status, Turn

Verdict = Literal["safety", "refusal"]
"""What a guard can tell: safe from unsafe, or a refusal from what is none."""
PLACEHOLDERS = ("question", "answer", "policy")
"""Placeholders of a guard's template."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """What a guard grades: a question with its pictures, and the answer to it."""

    question: str
    """The last question."""
    answer: str
    """The answer, without the thought."""
    thought: str = ""
    """The thought before the answer."""
    images: tuple[ImageRef, ...] = ()
    """Pictures of the last question."""
    earlier: tuple[Turn, ...] = ()
    """Turns before the question."""
    system: str = ""
    """Text of the system turn."""
    item: str = ""
    """Name of what is asked about, by which a model of kind `python` knows it."""

    @property
    def conversation(self) -> str:
        """The question; where turns came before it, all of them, each under who speaks."""
        if not self.earlier and not self.system:
            return self.question
        system = [f"system: {self.system}"] if self.system else []
        return "\n\n".join([*system, *(f"{t.role}: {t.text}" for t in self.earlier), f"user: {self.question}"])

    @property
    def fields(self) -> Mapping[str, str]:
        """Question and answer by name, for models of kind `python`."""
        return {"question": self.question, "answer": self.answer}


@runtime_checkable
class GuardKind(Protocol):
    """How a kind of guard asks and reads. A class of your own is built with the settings entry's `options`."""

    @property
    def version(self) -> str:
        """Part of the scorer's id; change it when prompt or reading change."""
        ...

    def prompt(self, exchange: Exchange) -> Prompt:
        """What is sent to the guard's model.

        Args:
            exchange: what is graded; without pictures and thought where the settings keep them from the guard.
        """
        ...

    def read(self, text: str) -> Grade | None:
        """The grade in a reply; None where there is none.

        Args:
            text: the guard's reply, without its thought.
        """
        ...


@dataclass(frozen=True, slots=True)
class Written:
    """A kind of guard with a template; where that is None, the turns themselves under the model's own chat template."""

    template: Template | None
    """The prompt; None for the turns themselves."""
    grades: Subject
    """What it grades; without a template the answer is the last turn where that is what is graded, and only there."""
    policy: str
    """What fills `{{policy}}`."""
    reader: Callable[[str, int], Grade | None]
    """(reply, threshold) → grade."""
    threshold: int
    """Handed to the reader."""

    @property
    def version(self) -> str:
        """All that decides prompt and reading."""
        text = self.template.text if self.template else "turns"
        return json.dumps([text, self.policy, self.reader.__name__, READING, self.threshold])

    def prompt(self, exchange: Exchange) -> Prompt:
        """The filled template, or the turns, with the answer as the last one where it is graded.

        Args:
            exchange: what is graded.
        """
        if self.template is not None:
            values = {"question": exchange.conversation, "answer": exchange.answer, "policy": self.policy}
            pictures = tuple(image for turn in exchange.earlier for image in turn.images) + exchange.images
            text = self.template.fill(values)
            return Prompt(text, images=pictures, item=exchange.item, fields=exchange.fields)
        asked = Prompt(
            exchange.question, images=exchange.images, system=exchange.system, earlier=exchange.earlier,
            item=exchange.item, fields=exchange.fields,
        )  # fmt: skip
        if self.grades != "answer":
            return asked
        return replace(asked, text=exchange.answer, images=(), earlier=asked.turns, role="assistant")

    def read(self, text: str) -> Grade | None:
        """The grade in a reply, or None.

        Args:
            text: the guard's reply.
        """
        return self.reader(text, self.threshold)


@dataclass(frozen=True, slots=True)
class OwnKind:
    """A kind of guard of the user's own: where it fails, that is a sentence with file and line."""

    name: str
    """Label of the guard."""
    target: str
    """Its class, `package.module:Class`."""
    made: GuardKind
    """The user's object."""

    @property
    def version(self) -> str:
        """The version that the class states."""
        return self.made.version

    def prompt(self, exchange: Exchange) -> Prompt:
        """The prompt that the class makes.

        Args:
            exchange: what is graded.

        Raises:
            DataError: the class fails, or makes something else.
        """
        with own_errors(f"The guard `{self.name}` failed", self.target):
            made = self.made.prompt(exchange)
        if not isinstance(made, Prompt):
            raise self._wrong("prompt", made, "a spavl.models.base.Prompt")
        return made

    def read(self, text: str) -> Grade | None:
        """The grade that the class reads.

        Args:
            text: the guard's reply.

        Raises:
            DataError: the class fails, or reads something else.
        """
        with own_errors(f"The guard `{self.name}` failed", self.target):
            found = self.made.read(text)
        if not isinstance(found, Grade | None):
            raise self._wrong("read", found, "a spavl.judging.Grade, or None")
        return found

    def _wrong(self, method: str, made: object, wanted: str) -> DataError:
        what = f"`{method}` of the guard `{self.name}` returned a {type(made).__name__}"
        return DataError(what, where=self.target, try_=f"return {wanted}")


@dataclass(frozen=True, slots=True)
class _Kind:
    """A row of `KINDS`."""

    reader: Callable[[str, int], Grade | None]
    templates: Mapping[Subject, str] | None = None
    """Built-in template by what is graded; None: the model's own chat template."""
    shows_image: bool = True
    tells: tuple[Verdict, ...] = ("safety",)


KINDS: Mapping[str, _Kind] = {
    "rubric": _Kind(
        read_two_lines, {"answer": "grade", "request": "grade_request", "picture": "grade_picture"}
    ),
    "policy": _Kind(read_two_lines, {"answer": "grade_policy"}),
    "graded": _Kind(read_severity, {"answer": "grade_severity"}),
    "refusal": _Kind(read_refusal, {"answer": "grade_refusal"}, tells=("refusal",)),
    "outcome": _Kind(read_outcome, {"answer": "grade_outcome"}, tells=("safety", "refusal")),
    "llama-guard": _Kind(read_two_lines),
    "md-judge": _Kind(read_md_judge, shows_image=False),
}  # fmt: skip
"""The built-in kinds: how each asks, reads, and what it can tell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Guard:
    """A guard of the settings: what it is sent, and what its reply means."""

    name: str
    """Label of the guard."""
    model: str
    """Label of the model that is asked."""
    kind: GuardKind
    """How it asks and reads."""
    tells: tuple[Verdict, ...]
    """What it can tell."""
    grades: Subject = "answer"
    """What it grades."""
    show_image: bool = True
    """Whether it is sent the pictures."""
    thought: bool = False
    """Whether the thought is graded as part of the answer."""
    sampling: SamplingSettings = field(default_factory=SamplingSettings)
    """How it generates."""
    made_by: str = ""
    """Class and options of a kind of the user's own; empty for the others, whose version says all."""

    def identity_with(self, model: str) -> str:
        """Hash of all that decides its grades: model, prompt, reading, what is shown, and sampling.

        Args:
            model: identity of the model that is asked.
        """
        form = [
            model,
            self.kind.version,
            self.made_by,
            self.grades,
            self.show_image,
            self.thought,
            self.sampling.model_dump(),
        ]
        return hashlib.sha256(json.dumps(form, sort_keys=True).encode()).hexdigest()[:12]

    def can_grade(self, exchange: Exchange) -> bool:
        """Whether there is something to grade.

        An empty answer, as of a model cut off while it thought, is neither safe nor unsafe: it is not sent, and has no
        verdict.

        Args:
            exchange: question, answer and pictures, all of them.
        """
        return self.grades != "answer" or bool(self._answer(exchange).strip())

    def prompt(self, exchange: Exchange) -> Prompt:
        """What is sent to the guard's model.

        Args:
            exchange: question, answer and pictures, all of them; one that it can grade.
        """
        shown = replace(exchange, answer=self._answer(exchange), thought="")
        return self.kind.prompt(shown if self.show_image else _pictureless(shown))

    def _answer(self, exchange: Exchange) -> str:
        """What is graded as the answer: with the thought before it where the settings say so; else nothing."""
        if self.grades != "answer":
            return ""
        said = (exchange.thought, exchange.answer) if self.thought else (exchange.answer,)
        return "\n\n".join(text for text in said if text)

    def grade(self, reply: Reply) -> tuple[Grade | None, Status]:
        """The grade in a reply, and what became of the call: `ok` where a verdict was read, cut off afterwards or not.

        Of a reply that was cut off, the verdict counts where it stands first and whole, whoever asks.

        Args:
            reply: of the guard's model.
        """
        if reply.status == "truncated":
            found = self._read_cut(whole_verdict(reply.text))
        else:
            found = self.kind.read(reply.text) if reply.status == "ok" else None
        if found is not None:
            return found, "ok"
        return None, "unreadable" if reply.status == "ok" else reply.status

    def _read_cut(self, whole: str) -> Grade | None:
        """The grade in the whole lines of a reply, if it stands on the first of them."""
        return self.kind.read(whole) if whole.strip() and self.kind.read(first_line(whole)) is not None else None


def open_guard(spec: GuardSpec, *, allow_code: bool = False) -> Guard:
    """The guard of a settings entry.

    Args:
        spec: the entry.
        allow_code: build a kind of the user's own from outside spavl.

    Raises:
        SettingsError: the kind cannot grade what is asked for, or is a class that is not allowed or cannot be built.
        DataError: template or policy cannot be read.
    """
    built_in = KINDS.get(spec.kind)
    kind = _written(spec, built_in) if built_in else _own(spec, allow_code)
    shows = built_in.shows_image if built_in else True
    return Guard(
        name=spec.name, model=spec.asks, kind=kind, tells=built_in.tells if built_in else ("safety", "refusal"),
        grades=spec.grades, show_image=shows if spec.show_image is None else spec.show_image, thought=spec.thought,
        sampling=spec.sampling, made_by="" if built_in else f"{spec.kind} {json.dumps(spec.options, sort_keys=True)}",
    )  # fmt: skip


def require_verdict(guard: Guard, verdict: Verdict, setting: str) -> Guard:
    """The guard, if it grades answers and tells what a setting needs.

    Args:
        guard: the guard.
        verdict: what it must tell.
        setting: path of the setting that names it, for the message.

    Raises:
        SettingsError: it does not.
    """
    if guard.grades == "answer" and verdict in guard.tells:
        return guard
    needed = {"safety": "safe answers from unsafe ones", "refusal": "refusals from other answers"}[verdict]
    raise SettingsError(
        f"`{setting}` names the guard `{guard.name}`, which does not tell {needed}", where=setting,
        try_="name a guard of another kind; `spavl settings guards` explains them",
    )  # fmt: skip


def _written(spec: GuardSpec, kind: _Kind) -> Written:
    if spec.prompt is None and spec.grades not in (kind.templates or ("answer", "request")):
        raise SettingsError(
            f"A guard of kind `{spec.kind}` has no prompt for a {spec.grades}", where=f"guards: {spec.name}",
            try_="give one as `prompt`, or choose the kind `rubric`",
        )  # fmt: skip
    policy = _policy(spec.policy) if spec.policy else ""
    template = None
    if spec.prompt or kind.templates:
        needed = () if spec.grades == "picture" else ("question",) if spec.grades == "request" else ("answer",)
        name = kind.templates[spec.grades] if kind.templates and spec.grades in kind.templates else ""
        template = load_template(name, PLACEHOLDERS, spec.prompt, needed=(*needed, *(("policy",) if policy else ())))
    return Written(template, spec.grades, policy, kind.reader, spec.threshold)


def _own(spec: GuardSpec, allow_code: bool) -> GuardKind:
    make = import_own(spec.kind, name=spec.name, allow_code=allow_code)
    takes = "the class takes the entry's `options` as keyword arguments"
    with own_errors(f"`{spec.name}` cannot be built", spec.kind, error=SettingsError, try_=takes):
        made = make(**spec.options)
        whole = isinstance(made, GuardKind)
    if not whole or not isinstance(made.version, str):
        what = "has a `version` that is no text" if whole else "has no `version`, no `prompt` or no `read`"
        raise SettingsError(
            f"The class of the guard `{spec.name}` {what}", where=spec.kind,
            try_="a kind of guard has `version` (a text that you change with it), `prompt(exchange)` and `read(text)`",
        )  # fmt: skip
    return OwnKind(spec.name, spec.kind, made)


def _policy(path: str) -> str:
    try:
        text = Path(path).read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"The policy cannot be read: {error}", where=path) from error
    if not text:
        raise DataError("The policy is empty", where=path)
    return text


def _pictureless(exchange: Exchange) -> Exchange:
    return replace(exchange, images=(), earlier=tuple(replace(turn, images=()) for turn in exchange.earlier))
