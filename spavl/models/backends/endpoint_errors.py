"""What a refusal of an endpoint means: a filter's, this request's, the whole model's, or one that may pass.

Servers differ in where they put a code and in what they call things; known are OpenAI, Azure, OpenRouter, DashScope,
Anthropic, Mistral, vLLM, Ollama and the proxies before them. What is not known is a failure of its own call.
"""

from __future__ import annotations

import json
import math
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from functools import cached_property
from itertools import takewhile
from typing import Any, Final

from spavl.config.models import EndpointSpec
from spavl.models.base import Prompt, Reply, failed_reply
from spavl.models.calls.rate_limit import Retry, Trouble

EXCERPT: Final = 300
"""Most characters of a server's response in a message."""

FILTER_CODES: Final = frozenset(
    {
        "contentfilter", "contentfiltered", "contentpolicyviolation", "responsibleaipolicyviolation", "invalidprompt",
        "moderationblocked", "contentmoderation", "datainspectionfailed", "sensitivecontent", "promptblocked",
        "contentblocked", "prohibitedcontent", "safetyviolation",
    }
)  # fmt: skip
"""Codes of filters, letters only."""
FILTER_FIELDS: Final = frozenset({"flagged_input", "reasons", "moderation", "content_filter_result"})
"""Fields that only a filter's error has, beside its message."""
FILTER_WORDS: Final = re.compile(
    r"content[ _-]?(management|moderation) |content[ _-]?(filter|policy|policies)|usage polic|safety system"
    r"|inappropriate content|data inspection|requires moderation",
    re.IGNORECASE,
)
FLAGGED_WORDS: Final = re.compile(r"\bmoderat(ion|ed)\b|\bflagged\b", re.IGNORECASE)
"""Words of a filter in a status that is no complaint about the request's form (403, 451)."""

CREDIT_CODES: Final = frozenset(
    {"insufficientquota", "insufficientbalance", "insufficientcredits", "billinghardlimitreached", "billingnotactive"}
)
"""Codes with which waiting does not help."""
MODEL_CODES: Final = frozenset({"modelnotfound", "invalidmodel", "modelnotavailable", "notfounderror", "unknownmodel"})
MODEL_WORDS: Final = re.compile(
    r"\bmodels?\b.{0,200}?(not exist|not found|not available|is not served)|(invalid|unknown|no such) model"
    r"|server is pinned to",
    re.IGNORECASE | re.DOTALL,
)
KNOWN_NAME: Final = "Give the name that the server goes by, listed under /v1/models or given when it was started."
REQUEST_CODES: Final = frozenset(
    {
        "contextlengthexceeded", "stringabovemaxlength", "requesttoolarge", "invalidimage", "invalidimageformat",
        "invalidimageurl", "invalidbase64image", "imageparseerror", "imagetoolarge", "imagetoosmall",
        "unsupportedimagemediatype", "unsupportedimage", "invalidimagesize",
    }
)  # fmt: skip
"""Codes of requests that are too long, or whose picture is not to the server's liking."""
REQUEST_WORDS: Final = re.compile(
    r"context (length|window|size)|maximum (context|prompt|input|model) len|too long|too many (input )?tokens"
    r"|(image|picture)s?\b.{0,80}(too large|too small|too big|cannot|could not|invalid|exceed|unsupported|corrupt)"
    r"|(cannot|could not|failed to|invalid|unsupported)\b.{0,40}\bimage",
    re.IGNORECASE | re.DOTALL,
)
REFUSES_PARAMETER: Final = re.compile(
    r"unsupported|not supported|does not support|not allowed|not permitted|unknown|unrecogni|unexpected"
    r"|cannot both|only one|deprecated|not accept",
    re.IGNORECASE,
)
PARAMETERS: Final = ("max_completion_tokens", "max_tokens", "response_format", "top_p", "temperature", "seed")
"""Fields that a server may refuse, in the order in which a message that names several is read."""

ECHO: Final = re.compile(
    r'("(?:flagged_input|input|prompt|content|text|reasoning|reasoning_content|completion)"\s*:\s*")'
    r'(?:[^"\\]|\\.)+("|\\?$)',
    re.DOTALL,
)
"""Fields whose text is that of the prompt or of an answer, in JSON that may be cut off."""
SHORTEST_ECHO: Final = 12
"""Letters from which on a prompt is taken out of a response; a shorter one may be any word of it."""
CUT_ECHO: Final = 24
"""Letters of a longer prompt, or of a line of it, by which a response is known to repeat its beginning."""

PROVIDER_STATUSES: Final = range(400, 600)
GATEWAY: Final = frozenset({502, 503, 504, 521, 522, 523, 524, 529})
"""Statuses of a gateway that has no server behind it at the moment, or of one that is overloaded."""


@dataclass(frozen=True)
class Refusal:
    """A response that is no completion."""

    status: int
    """HTTP status, or the code that an error inside a response of status 200 gives."""
    text: str
    """Its body, without secrets and without the words of prompt and answer."""
    headers: Mapping[str, str]
    """Its headers."""

    @cached_property
    def tree(self) -> dict[str, Any]:
        """Its body as JSON; empty if it is none, or no mapping."""
        try:
            tree = json.loads(self.text)
        except (ValueError, RecursionError):
            return {}
        return tree if isinstance(tree, dict) else {}

    @cached_property
    def fields(self) -> list[dict[str, Any]]:
        """The mappings that may hold code and message: the body, its `error`, and what lies in that."""
        return list(_mappings(self.tree))

    @cached_property
    def codes(self) -> frozenset[str]:
        """Codes and types of the error, small letters and digits only."""
        named = (form.get(name) for form in self.fields for name in ("code", "type", "error_type"))
        return frozenset(re.sub(r"[^a-z0-9]", "", str(code).lower()) for code in named if code is not None)

    @cached_property
    def message(self) -> str:
        """What the server says, or its whole body if it is not said where it is usual."""
        said = [form[name] for form in self.fields for name in ("message", "detail", "error", "msg") if name in form]
        return "\n".join(text for text in said if isinstance(text, str)) or self.text

    @cached_property
    def parameters(self) -> frozenset[str]:
        """Names that the server gives as the parameter at fault: OpenAI's `param`, FastAPI's `loc`."""
        named = [form.get("param") for form in self.fields]
        named += [form["loc"][-1] for form in self.fields if isinstance(form.get("loc"), list) and form["loc"]]
        return frozenset(str(name) for name in named if name)

    @property
    def excerpt(self) -> str:
        """The beginning of its body, on one line."""
        return excerpt(self.text)


def read_refusal(refusal: Refusal, spec: EndpointSpec) -> Reply:
    """The reply of a call that the server refused for itself: filtered, invalid, or failed.

    Args:
        refusal: what the server answered.
        spec: the settings entry.

    Raises:
        Retry: another attempt may help, or the model as a whole cannot be used: see its `kind`.
    """
    if _is_filter(refusal):
        return Reply("", status="filtered", finish_reason="content_filter", detail=refusal.excerpt)
    _raise_trouble(refusal, spec)
    what = f"the server refused the request with {refusal.status}: {refusal.excerpt}"
    if _is_about_request(refusal):
        return Reply("", status="invalid", finish_reason="error", detail=what)
    return failed_reply(what)


def _is_filter(refusal: Refusal) -> bool:
    if refusal.status in (401, 402, 404, 429) or not 400 <= refusal.status < 600:
        return False
    named = refusal.codes & FILTER_CODES or any(FILTER_FIELDS & form.keys() for form in refusal.fields)
    words = FILTER_WORDS.search(refusal.message) and refusal.status < 500
    return bool(named or words or (refusal.status in (403, 451) and FLAGGED_WORDS.search(refusal.message)))


def _is_about_request(refusal: Refusal) -> bool:
    if refusal.status in (413, 414, 415, 422, 431):
        return True
    return refusal.status == 400 and bool(refusal.codes & REQUEST_CODES or REQUEST_WORDS.search(refusal.message))


def _raise_trouble(refusal: Refusal, spec: EndpointSpec) -> None:
    """Raise what is no fault of the request."""
    status, said = refusal.status, refusal.excerpt
    if status == 402 or refusal.codes & CREDIT_CODES:
        raise _refused_key(refusal, spec, "out of credit")
    if status in (401, 403):
        raise _refused_key(refusal, spec, "unauthorised")
    if status == 429:
        raise Retry(f"429, too many requests: {said}", after=retry_after(refusal.headers), throttled=True)
    if status in (408, 409, 425):
        raise Retry(f"{status}: {said}", after=retry_after(refusal.headers))
    if status >= 500:
        kind: Trouble | None = "no answer" if status in GATEWAY else None
        raise Retry(f"the server failed with {status}: {said}", after=retry_after(refusal.headers), kind=kind)
    if 300 <= status < 400:
        what = f"the server redirects elsewhere ({status}, {refusal.headers.get('Location', 'nowhere')})"
        raise Retry(what, kind="wrong address", try_="Give that address as `url`.")
    if status in (400, 404, 422):
        _raise_unknown_name(refusal, spec)
    if status in (404, 405):
        try_ = "Check that `url` is the API's address, ending in /v1."
        raise Retry(f"the server knows no such address ({status}): {said}", kind="wrong address", try_=try_)


def _raise_unknown_name(refusal: Refusal, spec: EndpointSpec) -> None:
    """Raise where the server does not know the model, or refuses a parameter by its name."""
    if refusal.codes & MODEL_CODES or MODEL_WORDS.search(refusal.message):
        what = f"the server does not know the model `{spec.model}` ({refusal.status}): {refusal.excerpt}"
        raise Retry(what, kind="unknown model", try_=KNOWN_NAME)
    name = _refused_parameter(refusal)
    if name is not None and not _is_too_long(refusal):
        what = f"the server refuses the parameter `{name}` ({refusal.status}): {refusal.excerpt}"
        raise Retry(f"{what}; {_remedy(name, spec)}", kind="refused parameter", try_=_remedy(name, spec))


def _is_too_long(refusal: Refusal) -> bool:
    return bool(refusal.codes & REQUEST_CODES or REQUEST_WORDS.search(refusal.message))


def _refused_parameter(refusal: Refusal) -> str | None:
    named = [name for name in PARAMETERS if name in refusal.parameters]
    if named:
        return named[0]
    if not REFUSES_PARAMETER.search(refusal.message):
        return None
    found = [name for name in PARAMETERS if re.search(rf"\b{name}\b", refusal.message)]
    # Of a refused one and the one to use instead, the refused one comes first.
    limits = sorted((name for name in found if name.startswith("max_")), key=refusal.message.index)
    return next(iter([*limits, *(name for name in found if name not in limits)]), None)


def _remedy(name: str, spec: EndpointSpec) -> str:
    other = "max_completion_tokens" if spec.token_limit == "max_tokens" else "max_tokens"
    setting = f"token_limit: {other}" if name == spec.token_limit else f"leave_out: [{name}]"
    return f"set `{setting}` for the model `{spec.name}`, or another value of it"


def _refused_key(refusal: Refusal, spec: EndpointSpec, kind: Trouble) -> Retry:
    key = f"the key in ${spec.key_env}" if spec.key_env else "requests without a key"
    try_ = (
        f"Set ${spec.key_env} to a key that is valid and has credit."
        if spec.key_env
        else "Name the environment variable that holds a key: `key_env`."
    )
    return Retry(f"the server refuses {key} ({refusal.status}): {refusal.excerpt}", kind=kind, try_=try_)


def _mappings(tree: Any, depth: int = 4) -> Iterator[dict[str, Any]]:
    """A mapping and those inside it and inside its lists, outermost first."""
    if depth and isinstance(tree, dict):
        yield tree
        for value in tree.values():
            yield from _mappings(value, depth - 1)
    elif depth and isinstance(tree, list):
        for value in tree[:10]:
            yield from _mappings(value, depth - 1)


def excerpt(text: str) -> str:
    """The beginning of a response, on one line, without pictures and control characters.

    Args:
        text: the response, without secrets.
    """
    line = " ".join(re.sub(r"[A-Za-z0-9+/=]{100,}", "[data]", text[: 100 * EXCERPT]).split())
    line = "".join(letter if letter.isprintable() else "\ufffd" for letter in line[: EXCERPT + 1])
    return line if len(line) <= EXCERPT else f"{line[:EXCERPT]} ..."


def without_echoes(text: str, prompt: Prompt) -> str:
    """A response as it may be shown openly: without what it repeats of the prompt, and without words of an answer.

    A line of the prompt is closed too, for a judge's prompt holds the answer that it is shown.

    Args:
        text: the response.
        prompt: what was asked.
    """
    text = ECHO.sub(r"\1[closed]\2", text)
    for asked in (prompt.system, *(turn.text for turn in prompt.turns)):
        for part in dict.fromkeys(one.strip() for one in (asked, *asked.splitlines())):
            if len(part) >= SHORTEST_ECHO:
                for form in (part, json.dumps(part)[1:-1], json.dumps(part, ensure_ascii=False)[1:-1]):
                    text = _without(text, form)
    return text


def _without(text: str, asked: str) -> str:
    """The text without what it repeats of something that was asked, whole or cut off after its beginning."""
    pieces, rest = [], text
    while (at := rest.find(asked[:CUT_ECHO])) >= 0:
        both = zip(rest[at:], asked, strict=False)
        same = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], both))
        pieces += [rest[:at], "[closed]"]
        rest = rest[at + same :]
    return "".join([*pieces, rest])


def retry_after(headers: Mapping[str, str]) -> float:
    """Seconds that the server asks to wait, by `retry-after-ms` or `Retry-After`; 0 if it does not.

    Args:
        headers: of the response; names in any case.
    """
    milliseconds = _number(headers.get("retry-after-ms", ""))
    if milliseconds is not None:
        return milliseconds / 1000
    header = headers.get("Retry-After", "")
    seconds = _number(header)
    if seconds is not None:
        return seconds
    try:  # a date, RFC 9110 §10.2.3
        return max(0.0, parsedate_to_datetime(header).timestamp() - time.time())
    except (ValueError, OverflowError):
        return 0.0


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return 0.0 if math.isnan(number) else max(0.0, number)
