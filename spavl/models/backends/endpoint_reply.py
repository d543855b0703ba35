"""What a response of status 200 holds: a whole answer, a cut one, a refusal, an empty one, or none that is known."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Final

from spavl.config.models import EndpointSpec
from spavl.models.backends.endpoint_errors import PROVIDER_STATUSES, Refusal, excerpt, read_refusal
from spavl.models.base import Reply
from spavl.models.calls.rate_limit import Retry, Trouble
from spavl.records import Status

STATUS_OF: Final[Mapping[str, Status]] = {
    **dict.fromkeys(["stop", "stop_sequence", "end_turn", "eos", "eos_token", "complete"], "ok"),
    **dict.fromkeys(["length", "max_tokens", "max_output_tokens", "model_length"], "truncated"),
    **dict.fromkeys(
        ["content_filter", "content_filtered", "safety", "prohibited_content", "blocklist", "spii", "recitation",
         "sensitive", "guardrail_intervened"], "filtered",
    ),
    "refusal": "refused",
}  # fmt: skip
"""Status by finish reason, in small letters. Any other is no end that an answer can be relied on."""

BROKEN_OFF: Final = frozenset({"", "none", "null", "error", "abort", "aborted", "cancelled", "network_error"})
"""Finish reasons of generations that broke off, so that another attempt may help. None is what is not finished."""

WHY: Final[Mapping[Status, str]] = {
    "filtered": "a filter ended the generation: finish_reason {}",
    "refused": "the API itself declined: finish_reason {}",
}
"""Why a reply of a status is no answer, with its finish reason."""

MOST_TOKENS: Final = 10**9
"""A number of tokens above it is none."""


@dataclass(frozen=True)
class Completion:
    """A response of status 200."""

    body: bytes
    """The response."""
    without_secrets: Callable[[], str]
    """Gives it as text without secrets, for messages."""

    @cached_property
    def form(self) -> Any:
        """Its JSON. ValueError or RecursionError where it is none."""
        return json.loads(self.body.decode("utf-8", "replace"))

    @property
    def model(self) -> str:
        """The model that answered, as the server calls it; empty if it does not say."""
        name = self.form.get("model")
        return name if isinstance(name, str) else ""

    @property
    def excerpt(self) -> str:
        """Its beginning, on one line."""
        return excerpt(self.without_secrets())


def read_completion(completion: Completion, spec: EndpointSpec) -> Reply:
    """The reply that a response of status 200 holds.

    Args:
        completion: the response.
        spec: the settings entry.

    Raises:
        Retry: it holds no answer; another attempt may help.
    """
    try:
        form = completion.form
    except (ValueError, RecursionError) as error:
        raise _not_json(completion) from error
    if not isinstance(form, dict):
        raise _no_completion(completion)
    if form.get("error") and not form.get("choices"):
        return read_refusal(Refusal(_code(form["error"]), completion.without_secrets(), {}), spec)
    if _is_blocked(form):
        return Reply("", status="filtered", finish_reason="content_filter", detail=completion.excerpt)
    try:
        return _read_choice(form, form["choices"][0], spec)
    except (KeyError, IndexError, TypeError, AttributeError) as error:
        raise _no_completion(completion) from error


def _read_choice(completion: Mapping[str, Any], choice: Mapping[str, Any], spec: EndpointSpec) -> Reply:
    reason = choice.get("finish_reason")
    if choice.get("error"):
        raise Retry(f"the generation ended in an error: {excerpt(json.dumps(choice['error']))}")
    message = choice["message"]
    content, refusal = _text(message.get("content")), message.get("refusal")
    status = "refused" if refusal else STATUS_OF.get(str(reason).lower())
    if status is None:
        return replace(_unfinished(reason, len(content)), **_spent(completion, spec))
    answer = content or (refusal if isinstance(refusal, str) else "")
    thought = _optional_text(message.get("reasoning_content")) or _optional_text(message.get("reasoning"))
    detail = WHY.get(status, "").format(json.dumps(reason))
    return Reply(answer, status, str(reason), thought=thought, detail=detail, **_spent(completion, spec))


def _spent(completion: Mapping[str, Any], spec: EndpointSpec) -> dict[str, Any]:
    """Tokens, cost and build of a reply; what the server does not say in numbers is 0."""
    usage = completion.get("usage")
    usage = usage if isinstance(usage, dict) else {}
    prompt, answer = _count(usage.get("prompt_tokens")), _count(usage.get("completion_tokens"))
    return {
        "prompt_tokens": prompt,
        "completion_tokens": answer,
        "cost": (prompt * (spec.price_in or 0.0) + answer * (spec.price_out or 0.0)) / 1e6,
        "fingerprint": str(completion.get("system_fingerprint") or completion.get("model") or ""),
    }


def _unfinished(reason: object, characters: int) -> Reply:
    """The failed reply of a generation that ended for no known reason; what it wrote is no answer."""
    name = reason if isinstance(reason, str) else json.dumps(reason)
    detail = f"the generation did not finish: finish_reason {json.dumps(reason)[:60]} after {characters} characters"
    if name.lower() in BROKEN_OFF:
        raise Retry(detail)
    return Reply("", "failed", name[:60], detail=detail)


def _not_json(completion: Completion) -> Retry:
    start = completion.body.lstrip()[:6]
    what = "a web page" if start[:1] == b"<" else "something that is not JSON"
    # What begins like JSON comes from the right address; and an answer may stand in it, as in the events of a stream.
    is_json_cut_off = start[:1] in (b"{", b"[", b"")
    is_closed = is_json_cut_off or start.startswith((b"data:", b"event:"))
    said = f"{len(completion.body):,} bytes, cut off or a stream" if is_closed else completion.excerpt
    kind: Trouble | None = None if is_json_cut_off else "wrong address"
    try_ = "Check that `url` is the API's address, ending in /v1."
    return Retry(f"the server answered with {what}: {said}", kind=kind, try_=try_)


def _no_completion(completion: Completion) -> Retry:
    """What another form of response is; an answer may stand in it, so that only its form and its errors are told."""
    form = completion.form
    fields = form if isinstance(form, dict) else {}
    said = [fields[name] for name in ("error", "message", "detail", "msg") if isinstance(fields.get(name), str)]
    return Retry(f"the answer is not a chat completion: {excerpt(' '.join([*said, _shape(form)]))}")


def _shape(value: Any, depth: int = 4) -> str:
    """The form of a JSON value: names of its fields and types of what is in them."""
    if depth and isinstance(value, dict) and value:
        return f"{{{', '.join(f'{name[:40]}: {_shape(inner, depth - 1)}' for name, inner in list(value.items())[:9])}}}"
    if depth and isinstance(value, list) and value:
        return f"[{_shape(value[0], depth - 1)}]"
    return "{}" if value == {} else "[]" if value == [] else type(value).__name__


def _code(error: Any) -> int:
    """Status that an error inside a response of status 200 gives; 500 if it gives none."""
    code = error.get("code") or error.get("status") if isinstance(error, dict) else None
    return code if isinstance(code, int) and code in PROVIDER_STATUSES else 500


def _is_blocked(completion: Mapping[str, Any]) -> bool:
    """Whether a filter blocked the prompt, as Gemini says it."""
    feedback = completion.get("promptFeedback") or completion.get("prompt_feedback")
    blocked = isinstance(feedback, dict) and bool(feedback.get("blockReason") or feedback.get("block_reason"))
    return blocked and not completion.get("choices")


def _text(content: Any) -> str:
    """The text of a message's content: a string, a list of parts, or nothing."""
    if isinstance(content, list):
        return "".join(part if isinstance(part, str) else part.get("text") or "" for part in content)
    if not isinstance(content, str | None):
        raise TypeError(f"a message's content is a {type(content).__name__}")
    return content or ""


def _optional_text(content: Any) -> str:
    """The text of what a message may hold beside its content; nothing of what has no known form."""
    try:
        return _text(content)
    except (TypeError, AttributeError):
        return ""


def _count(tokens: Any) -> int:
    """A number of tokens; 0 where the server gives none that can be."""
    whole = isinstance(tokens, int | float) and 0 <= tokens <= MOST_TOKENS
    return int(tokens) if whole else 0
