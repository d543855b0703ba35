"""The guard: one object that makes the prompt of a grade and reads the reply, for dataset and evaluation alike.

A kind of guard is a prompt and a reader. The built-in ones stand in `kinds.KINDS`; one of your own is a class with the
methods of `GuardKind`, named `package.module:Class` in the settings.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field, replace

from spavl.config.judging import GuardSpec, Subject
from spavl.config.models import SamplingSettings
from spavl.errors import DataError, SettingsError
from spavl.judging.exchange import Exchange, GuardKind
from spavl.judging.kinds import KINDS, Verdict, written
from spavl.judging.readers.outcomes import Grade, first_line, whole_verdict
from spavl.models.base import Prompt, Reply
from spavl.own_code import import_own, own_errors
from spavl.records import Status


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
    kind = written(spec, built_in) if built_in else _own(spec, allow_code)
    shows = built_in.shows_image if built_in else True
    return Guard(
        name=spec.name, model=spec.asks, kind=kind, tells=built_in.tells if built_in else ("safety", "refusal"),
        grades=spec.grades, show_image=shows if spec.show_image is None else spec.show_image, thought=spec.thought,
        sampling=spec.sampling, made_by="" if built_in else f"{spec.kind} {json.dumps(spec.options, sort_keys=True)}",
    )  # fmt: skip


def require_verdict(guard: Guard, verdict: Verdict, setting: str, grades: Subject = "answer") -> Guard:
    """The guard, if it grades and tells what a setting needs.

    Args:
        guard: the guard.
        verdict: what it must tell.
        setting: path of the setting that names it, for the message.
        grades: what it must grade.

    Raises:
        SettingsError: it does not.
    """
    if guard.grades == grades and verdict in guard.tells:
        return guard
    needed = {
        "safety": f"safe {grades}s from unsafe ones", "refusal": "refusals from other answers",
        "outcomes": "the four kinds of outcome apart", "severity": "how severe harm is",
    }[verdict]  # fmt: skip
    raise SettingsError(
        f"`{setting}` names the guard `{guard.name}`, which does not tell {needed}", where=setting,
        try_="name a guard of another kind; `spavl settings guards` explains them"
        if grades == "answer" else f"list one under `guards` with `grades: {grades}`",
    )  # fmt: skip


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


def _pictureless(exchange: Exchange) -> Exchange:
    return replace(exchange, images=(), earlier=tuple(replace(turn, images=()) for turn in exchange.earlier))
