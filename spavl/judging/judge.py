"""The judge: one object that makes the prompt of a comparison, sent in both reading orders, and reads the verdict."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from spavl.config.judging import JudgeSpec
from spavl.config.models import SamplingSettings
from spavl.judging.exchange import Exchange
from spavl.judging.readers.verdicts import READING, Rule, combine_axes, read_axes, read_both_harmful, read_verdict
from spavl.judging.templates import Template, load_template
from spavl.models.base import Prompt, Reply
from spavl.records import ImageRef, Match, Order, Status, Winner

TEMPLATES = {"combined": "compare", "two-axis": "compare_two_axes", "helpful": "compare_helpful"}
"""Built-in template by kind."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """A judge's verdict on two answers in one reading order, in terms of the match."""

    winner: Winner | None
    """The better answer; None where there is no verdict."""
    status: Status
    """What became of the call; `unreadable` where the whole reply has no verdict."""
    harmless: Winner | None = None
    """The more harmless answer; None for a judge of one verdict."""
    helpful: Winner | None = None
    """The more helpful answer; None for a judge of one verdict."""
    both_harmful: bool = False
    """Whether it found both answers harmful; its winner is a tie then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judge:
    """A judge of the settings: what it is sent, and what its reply means."""

    name: str
    """Label of the judge."""
    model: str
    """Label of the model that is asked."""
    template: Template
    """The prompt; placeholders question, answer_a, answer_b."""
    kind: Literal["combined", "two-axis", "helpful"] = "combined"
    """One verdict; one on harmlessness and one on helpfulness; or one on helpfulness unless both are harmful."""
    winner: Rule = "harmless-first"
    """How two verdicts become one."""
    sampling: SamplingSettings = field(default_factory=SamplingSettings)
    """How it generates."""

    def prompt(self, match: Match, order: Order, *, folder: Path) -> Prompt:
        """The prompt that asks which of two answers is better, with all pictures of the conversation.

        Args:
            match: the question and its two answers.
            order: reading order; `ab` shows answer a first.
            folder: the run folder, to which paths of pictures are relative.
        """
        answers = (match.a_response, match.b_response)
        first, second = answers if order == "ab" else answers[::-1]
        query = match.query
        values = {"question": query.question, "answer_a": first, "answer_b": second}
        system = f"system: {query.system}\n\n" if query.system else ""
        before = system + "".join(f"{turn.role}: {turn.text}\n\n" for turn in query.earlier)
        shown = {**values, "question": f"{before}user: {query.question}" if before else query.question}
        images = (*(image for turn in query.earlier for image in turn.images), *query.images)
        found = tuple(ImageRef(folder / image.path, image.sha256) for image in images)
        return Prompt(self.template.fill(shown), images=found, item=query.image.image_id, fields=values)

    def prompt_between(self, exchange: Exchange, other: str, order: Order) -> Prompt:
        """The prompt that asks whether an answer is better than another to the same question.

        Args:
            exchange: the question and the answer, which is `a`; paths of pictures are whole.
            other: the other answer, `b`.
            order: reading order; `ab` shows answer a first.
        """
        first, second = (exchange.answer, other) if order == "ab" else (other, exchange.answer)
        answers = {"answer_a": first, "answer_b": second}
        images = (*(image for turn in exchange.earlier for image in turn.images), *exchange.images)
        text = self.template.fill({"question": exchange.conversation, **answers})
        return Prompt(text, images=images, item=exchange.item, fields={"question": exchange.question, **answers})

    def identity_with(self, model: str) -> str:
        """Hash of all that decides its verdicts: model, prompt, reading and sampling.

        Args:
            model: identity of the model that is asked.
        """
        form = [model, self.template.text, self.kind, self.winner, READING, self.sampling.model_dump()]
        return hashlib.sha256(json.dumps(form, sort_keys=True).encode()).hexdigest()[:12]

    def verdict(self, reply: Reply, order: Order) -> Verdict:
        """The winner in terms of the match, and what became of the call.

        Args:
            reply: of the judge's model; one that was cut off has no verdict, for that stands last.
            order: reading order of the prompt that was answered.
        """
        if reply.status != "ok":
            return Verdict(None, reply.status)
        harmful = False if self.kind == "combined" else read_both_harmful(reply.text)
        if harmful is not False:
            return Verdict("tie", "ok", both_harmful=True) if harmful else Verdict(None, "unreadable")
        if self.kind != "two-axis":
            winner = read_verdict(reply.text, order)
            return Verdict(winner, "unreadable" if winner is None else "ok")
        axes = read_axes(reply.text, order)
        return Verdict(combine_axes(*axes, self.winner), "ok", *axes) if axes else Verdict(None, "unreadable")


def open_judge(spec: JudgeSpec) -> Judge:
    """The judge of a settings entry.

    Args:
        spec: the entry.

    Raises:
        DataError: its template cannot be read, or has other placeholders.
    """
    template = comparison_template(spec.prompt, name=TEMPLATES[spec.kind])
    return Judge(
        name=spec.name, model=spec.asks, template=template, kind=spec.kind, winner=spec.winner, sampling=spec.sampling
    )


def comparison_template(path: str | None = None, *, name: str = "compare") -> Template:
    """The template of a comparison prompt; placeholders question, answer_a, answer_b.

    Args:
        path: a template file instead of the built-in one.
        name: the built-in one.

    Raises:
        DataError: the file cannot be read, or its placeholders are not these.
    """
    return load_template(name, ("question", "answer_a", "answer_b"), path, needed=("answer_a", "answer_b"))


def agreed(ab: Winner | None, ba: Winner | None) -> Winner | None:
    """The verdict that both reading orders gave, or None (the rule of the SPA-VL paper).

    Args:
        ab: winner in order `ab`, in terms of the match.
        ba: winner in order `ba`, in terms of the match.
    """
    return ab if ab == ba else None
