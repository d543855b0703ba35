"""The built-in kinds of guard: how each asks, what form of reply it reads, and where that form is published.

A prompt is the model's own chat template, a file of the user's, or neutral wording of ours: a published instruction is
never imitated here. Every reader was tested on written forms of replies; no kind was run with its real weights yet.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal

from spavl.config.judging import GuardSpec, Subject
from spavl.errors import DataError, SettingsError
from spavl.judging.exchange import Exchange
from spavl.judging.readers import picture_policies, scales, thinking
from spavl.judging.readers.grades import Grades
from spavl.judging.readers.outcomes import (
    READING,
    Grade,
    read_md_judge,
    read_outcome,
    read_refusal,
    read_severity,
    read_two_lines,
)
from spavl.judging.templates import Template, load_template
from spavl.models.base import Prompt

Verdict = Literal["safety", "refusal", "outcomes", "severity"]
"""What a guard can tell: safe from unsafe, a refusal from what is none, the four kinds of outcome, or how severe."""
ReplyReader = Callable[[str, int], Grade | Grades | None]
"""(reply, threshold) → grade, or grades of several subjects."""
PLACEHOLDERS = ("question", "answer", "policy", "levels")
"""Placeholders of a guard's template."""
TESTED = "parser tested"
"""That a kind's reader reads the written forms of replies in `tests/judging/forms`, and no more is known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A built-in kind of guard: a row of `KINDS`."""

    reader: ReplyReader
    """Reads the reply."""
    form: str
    """The form of reply that it reads, in a few words."""
    source: str = ""
    """Where that form is published; empty: it is our own."""
    templates: Mapping[Subject, str] | None = None
    """Prompt of our wording by what is graded; None: the model's own chat template."""
    shows_image: bool = True
    """Whether the guard is sent the pictures, where the settings do not say."""
    tells: tuple[Verdict, ...] = ("safety",)
    """What it can tell."""
    follows: bool = False
    """Whether its model follows instructions of any kind, so that a rubric can be put to it; those with a form of their
    own do not."""
    version: int = READING
    """Version of the reading."""
    proven: str = TESTED
    """What was tried: the reader alone, or real weights."""


KINDS: Mapping[str, Kind] = {
    "rubric": Kind(
        reader=read_two_lines, form="first line safe or unsafe, second the kind of harm",
        templates={"answer": "grade", "request": "grade_request", "picture": "grade_picture"}, follows=True,
    ),
    "policy": Kind(
        reader=read_two_lines, form="first line safe or unsafe, second the rule that is broken",
        templates={"answer": "grade_policy"}, follows=True,
    ),
    "graded": Kind(
        reader=read_severity, form="a severity 0–4, a score 0–100 or one of five levels; of several subjects apart too",
        source="https://github.com/zrwang1211/SafeAtlas-VL", templates={"answer": "grade_severity"},
        tells=("safety", "severity"), follows=True,
    ),
    "thinking": Kind(
        reader=thinking.read_thinking, version=thinking.VERSION, templates={"answer": "grade_thinking"},
        form="reasoning, then `<result>` or `<answer>` with `Request: harmful`, `Response: unharmful`",
        source="https://github.com/yueliu1999/GuardReasoner-VL, https://github.com/yushaohan/ProGuard",
    ),
    "nemotron": Kind(
        reader=thinking.read_thinking, version=thinking.VERSION,
        form="lines or JSON: `User Safety: safe`, `Response Safety: unsafe`, `Safety Categories: …`",
        source="https://huggingface.co/nvidia/Nemotron-3-Content-Safety",
    ),
    "refusal": Kind(
        reader=read_refusal, form="one word, refusal or compliance", templates={"answer": "grade_refusal"},
        tells=("refusal",), follows=True,
    ),
    "outcome": Kind(
        reader=read_outcome, form="one of unsafe, refusal, safe_completion, unhelpful",
        templates={"answer": "grade_outcome"}, tells=("safety", "refusal", "outcomes"), follows=True,
    ),
    "llama-guard": Kind(
        reader=read_two_lines, form="first line safe or unsafe, second codes such as S1,S10",
        source="https://huggingface.co/meta-llama/Llama-Guard-4-12B",
    ),
    "md-judge": Kind(
        reader=read_md_judge, shows_image=False,
        form="v0.2: `[RESULT]: unsafe, score 4`; v0.1: first line safe or unsafe, second a code such as O2",
        source="https://huggingface.co/OpenSafetyLab/MD-Judge-v0_2-internlm2_7b",
    ),
    "shieldgemma": Kind(
        reader=picture_policies.read_breaks_policy, version=picture_policies.VERSION,
        form="Yes (the picture breaks the policy) or No", source="https://huggingface.co/google/shieldgemma-2-4b-it",
        templates={"picture": "grade_picture_policy"},
    ),
    "llavaguard": Kind(
        reader=picture_policies.read_rating, version=picture_policies.VERSION,
        form="JSON with rating, category and rationale",
        source="https://huggingface.co/AIML-TUDA/LlavaGuard-v1.2-7B-OV-hf", templates={"picture": "grade_picture_json"},
    ),
}  # fmt: skip
"""The built-in kinds."""


@dataclass(frozen=True, slots=True)
class Written:
    """A kind of guard with a template; where that is None, the turns themselves under the model's own chat template."""

    template: Template | None
    """The prompt; None for the turns themselves."""
    grades: Subject
    """What it grades; without a template the answer is the last turn where that is what is graded, and only there."""
    policy: str
    """What fills `{{policy}}`."""
    reader: ReplyReader
    """Reads the reply."""
    threshold: int
    """Handed to the reader."""
    reading: tuple[str, int] = ("", READING)
    """Name and version of the reading."""
    levels: str = ""
    """What fills `{{levels}}`."""

    @property
    def version(self) -> str:
        """All that decides prompt and reading."""
        text = self.template.text if self.template else "turns"
        levels = [self.levels] if self.levels else []
        return json.dumps([text, self.policy, *self.reading, self.threshold, *levels])

    def prompt(self, exchange: Exchange) -> Prompt:
        """The filled template, or the turns, with the answer as the last one where it is graded.

        Args:
            exchange: what is graded.
        """
        if self.template is not None:
            values = {"question": exchange.conversation, "answer": exchange.answer, "policy": self.policy,
                      "levels": self.levels}  # fmt: skip
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
        """The grade in a reply, or None; of a reply that grades several subjects, that of the one which is asked for.

        Args:
            text: the guard's reply.
        """
        found = self.reader(text, self.threshold)
        return found.of(self.grades) if isinstance(found, Grades) else found


def written(spec: GuardSpec, kind: Kind) -> Written:
    """A built-in kind of guard with the prompt and policy of a settings entry.

    Args:
        spec: the entry.
        kind: the row of `KINDS`.

    Raises:
        SettingsError: it has no prompt for what is graded, or its prompt and `policy` do not fit together.
        DataError: template or policy cannot be read.
    """
    templates = _templates(spec, kind)
    if spec.prompt is None and spec.grades not in (templates or ("answer", "request")):
        raise SettingsError(
            f"A guard of kind `{spec.kind}` has no prompt for a {spec.grades}", where=f"guards: {spec.name}",
            try_="give one as `prompt`, or choose the kind `rubric`",
        )  # fmt: skip
    policy = _policy(spec.policy) if spec.policy else ""
    template = None
    if spec.prompt or templates:
        needed = () if spec.grades == "picture" else ("question",) if spec.grades == "request" else ("answer",)
        name = templates[spec.grades] if templates and spec.grades in templates else ""
        template = load_template(name, PLACEHOLDERS, spec.prompt, needed=(*needed, *(("policy",) if policy else ())))
    _refuse_lost_policy(spec, template, policy)
    reader, reading = _reader(spec, kind)
    levels = ", ".join(spec.levels) if spec.scale == "levels" else ""
    return Written(template, spec.grades, policy, reader, spec.unsafe_from, reading, levels)


def _templates(spec: GuardSpec, kind: Kind) -> Mapping[Subject, str] | None:
    """The kind's templates; those of another scale than severity have their own."""
    scaled: Mapping[str, Mapping[Subject, str]] = {
        "percent": {"answer": "grade_percent"}, "levels": {"answer": "grade_levels"},
    }  # fmt: skip
    return scaled.get(spec.scale, kind.templates)


def _reader(spec: GuardSpec, kind: Kind) -> tuple[ReplyReader, tuple[str, int]]:
    """The reader, with name and version of its reading."""
    if spec.scale == "percent":
        return scales.read_percent, (scales.read_percent.__name__, scales.VERSION)
    if spec.scale == "levels":
        return partial(scales.read_levels, levels=spec.levels), (scales.read_levels.__name__, scales.VERSION)
    return kind.reader, (kind.reader.__name__, kind.version)


def _refuse_lost_policy(spec: GuardSpec, template: Template | None, policy: str) -> None:
    """Refuse a policy that would not reach the model, and a place for one that would stay empty."""
    has_place = template is not None and "policy" in template.placeholders
    if policy and not has_place:
        raise SettingsError(
            f"The policy of the guard `{spec.name}` would not reach its model, whose chat template is its prompt",
            where=f"guards: {spec.name}", try_="give a `prompt` with {{policy}}, or choose the kind `policy`",
        )  # fmt: skip
    if has_place and not policy:
        raise SettingsError(
            f"The prompt of the guard `{spec.name}` has a place for a policy, and none is named",
            where=f"guards: {spec.name}", try_="name a text file as `policy`",
        )  # fmt: skip


def kinds_table() -> str:
    """The built-in kinds as a Markdown table, for the page of documentation."""
    rows = ["| kind | form of reply that is read | prompt | published | proven |", "|---|---|---|---|---|"]
    for name, kind in KINDS.items():
        prompt = "our wording, or your file" if kind.templates else "the model's chat template, or your file"
        rows.append(f"| `{name}` | {kind.form} | {prompt} | {kind.source or '—'} | {kind.proven} |")
    return "\n".join(rows)


def _policy(path: str) -> str:
    try:
        text = Path(path).read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"The policy cannot be read: {error}", where=path) from error
    if not text:
        raise DataError("The policy is empty", where=path)
    return text
