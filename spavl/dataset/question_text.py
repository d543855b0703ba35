"""What an asker wrote → a question: labels, numbers and marks around it are taken off, its own words are left alone."""

from __future__ import annotations

import re
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from spavl.judging.readers.refusal import refuses


class WrittenQuestion(BaseModel):
    """The JSON that an asker is held to; further keys are passed over."""

    model_config = ConfigDict(extra="ignore")

    question: str
    """The question or statement, on one line."""


SCHEMA: dict[str, Any] = {
    "type": "object", "properties": {name: {"type": "string"} for name in WrittenQuestion.model_fields},
    "required": list(WrittenQuestion.model_fields), "additionalProperties": False,
}  # fmt: skip
"""JSON schema of it, for servers that can decode to one; bare, for it is part of the key of every call."""

_LABELS = (
    r"(?:(?:the|my|your|new|rewritten|final|easy|hard|harder|simple|benign|harmless|short|direct|follow[- ]?up)\s+)*"
    r"(?:question|statement|request|follow[- ]?up|rewritten version|q)(?:\s+\d{1,2})?"
)
_MARK = r"(?:\*{1,3}|_{1,3}|`)?"
_LABEL = re.compile(rf"^({_MARK}){_LABELS}\s*(?:\1\s*[:：]|[:：]\s*\1)\s*(?=\S)", re.IGNORECASE)
_INTRODUCTION = re.compile(
    r"^(?:(?:sure|certainly|of course|absolutely|okay|ok)[,.!]*\s+)?here(?:['’]s| is)\s+(?:a|an|the|your|one)\b"
    r"[^:：\n]{0,60}\b(?:question|statement|request|version|follow-up)\b[^:：\n]{0,60}[:：]\s*(?=\S)",
    re.IGNORECASE,
)
_NUMBER = re.compile(r"^(?:\(?\d{1,2}[.)]|[-•*])\s+(?=[^a-z0-9\s])")
_HEADING = re.compile(r"^#{1,6}\s+(?=[^a-z0-9\s])")
_POINT = re.compile(r"(?:^\s*[-•*]|(?:^|(?<=\s))\(?\d{1,2}[.)])\s", re.MULTILINE)
_FENCE = re.compile(r"^```[\w-]*\n(.*?)\n?```$", re.DOTALL)
_EMPHASIS = re.compile(r"^(\*{1,3}|_{1,3}|`)(?=\S)(.+?)(?<=\S)\1$", re.DOTALL)
_QUOTES = {'"': '"', "“": "”", "„": "“", "«": "»", "「": "」", "‘": "’", "'": "'"}
_APOSTROPHE = re.compile(r"(?<=\w)['’](?=\w)")
_JSON = re.compile(r'^\s*\{|"question"\s*:')
_UNABLE = r"(?:can't|cannot|can not|won't|will not|(?:am |'m )?(?:unable|not able) to)"
_SORRY = re.compile(
    rf"^\W*(?:(?:i'm|i am)\s+(?:very |so )?sorry|sorry|i apologi[sz]e|my apologies|unfortunately)\b[^.!?]{{0,40}}"
    rf"\bi\s*{_UNABLE}\b",
    re.IGNORECASE,
)
"""An apology for not being able to: so begins no question and no description."""
_REQUEST = re.compile(
    r"^\W*(?:how|what|why|which|who|whose|where|when|is|are|do|does|did|can|could|would|will|should|may|if|please|explain"
    r"|describe|tell|show|list|write|give|name|compare|help|suggest|find|looking)\b",
    re.IGNORECASE,
)
"""Words with which questions and requests begin, and refusals do not."""


def read_question(text: str) -> str:
    """The question that an asker wrote, on one line.

    Taken off are: an introduction (`Here is a question:`), a label (`Question:`), a number or bullet where there is one
    alone, a code fence, and marks or quotes that stand around the whole. Nothing else is changed but white space.

    Args:
        text: the reply.
    """
    inner = _FENCE.sub(r"\1", text.strip())
    numbered = len(_POINT.findall(inner)) == 1
    words = " ".join(inner.split())
    while (bare := _barer(words, numbered)) != words:
        words = bare
    return words


def read_structured(text: str) -> tuple[str, str]:
    """The question of a reply that was to be JSON, and why it cannot be read: one of the two is empty.

    One line of plain text is read as the question; everything else must fit the schema.

    Args:
        text: the reply.
    """
    inner = _FENCE.sub(r"\1", text.strip())
    if not _JSON.search(inner):
        if "\n" in inner:
            return "", "the reply is neither JSON nor a single line"
        return read_question(inner), ""
    begin, end = inner.find("{"), inner.rfind("}")
    try:
        written = WrittenQuestion.model_validate_json(inner[max(0, begin) : end + 1])
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = "".join(f"`{step}`: " for step in first["loc"])
        return "", f"the JSON of the reply cannot be used: {place}{first['msg']}"
    return read_question(written.question), ""


def declines(text: str) -> bool:
    """Whether an asker's text is a refusal, and no question that speaks of refusing.

    Args:
        text: from `read_question`.
    """
    return apologises(text) or (not _REQUEST.match(text) and refuses(text))


def apologises(text: str) -> bool:
    """Whether a text begins with an apology for what its author cannot do, whatever that is.

    Args:
        text: what a model wrote.
    """
    return _SORRY.match(text.replace("’", "'")) is not None


def _barer(words: str, numbered: bool) -> str:
    """The text without its outermost decoration; the same text where it has none."""
    for pattern in (_INTRODUCTION, _LABEL, _HEADING, *([_NUMBER] if numbered else [])):
        if found := pattern.match(words):
            return words[found.end() :]
    if (found := _EMPHASIS.match(words)) and found[1][0] not in found[2]:
        return found[2]
    return _unquoted(words)


def _unquoted(words: str) -> str:
    """The text without quotes around it, where they belong together."""
    inner = words[1:-1].strip()
    if not inner or _QUOTES.get(words[0]) != words[-1]:
        return words
    marks = _APOSTROPHE.sub("", inner) if words[0] in "'‘" else inner
    return words if words[0] in marks or words[-1] in marks else inner
