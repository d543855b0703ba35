"""The interface of every model: a request goes in, a reply comes out, and a failure is a reply."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from spavl.records import ImageRef, Role, Status, Turn


@dataclass(frozen=True, slots=True)
class Prompt:
    """What is asked: a conversation that ends with a user turn, after an optional system turn.

    For a guard it may end with the assistant's turn that is graded.
    """

    text: str
    """Text of the last turn."""
    images: tuple[ImageRef, ...] = ()
    """Pictures of the last turn, before its text."""
    system: str = ""
    """Text of the system turn; empty: none."""
    item: str = ""
    """Name of what is asked about. Reaches models of kind `python` only, and is part of the key of their calls."""
    fields: Mapping[str, str] = field(default_factory=dict)
    """Values that filled the template of `text`, for models of kind `python`; no part of any key."""
    earlier: tuple[Turn, ...] = ()
    """Turns before the last one, oldest first."""
    role: Role = "user"
    """Who speaks in the last turn; `assistant` where a guard's own chat template grades that turn."""

    @property
    def turns(self) -> tuple[Turn, ...]:
        """All turns but the system's, the last one among them."""
        return (*self.earlier, Turn(self.role, self.text, self.images))

    @property
    def pictures(self) -> tuple[ImageRef, ...]:
        """The pictures of all turns, in the order in which they are shown."""
        return tuple(image for turn in self.turns for image in turn.images)


@dataclass(frozen=True, slots=True)
class Sampling:
    """How the answer is generated."""

    temperature: float = 0.0
    """What logits are divided by; 0 is greedy decoding."""
    top_p: float = 1.0
    """Nucleus sampling: only the most probable tokens that together have this much probability."""
    max_tokens: int = 256
    """Longest answer in tokens."""
    seed: int = 0
    """Part of the call's key unless decoding is greedy, so that another seed gives another answer."""


@dataclass(frozen=True, slots=True)
class Request:
    """One call of a model."""

    prompt: Prompt
    """What is asked."""
    sampling: Sampling
    """How the answer is generated."""
    sample: int = 0
    """Number of the answer among several to the same prompt, from 0."""
    schema: Mapping[str, Any] | None = None
    """JSON schema that the answer must fit, for models that can be held to one. None: free text."""
    key: str = ""
    """Key of the call in the store, which also seeds the sampling; empty until it is computed."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back of a call; a failed call is a reply too."""

    text: str
    """The answer, without the thought; empty if there is none."""
    status: Status = "ok"
    """What became of the call."""
    finish_reason: str = "stop"
    """Why generation ended, in the words of OpenAI's API: `stop`, `length`, `content_filter`; or `error`."""
    prompt_tokens: int = 0
    """Length of the prompt in tokens, pictures included; 0 if unknown."""
    completion_tokens: int = 0
    """Length of the answer in tokens; 0 if unknown."""
    cost: float = 0.0
    """Price of the call, in the currency of the model's prices."""
    latency: float = 0.0
    """Seconds of the last attempt; in a batch, the request's share of the batch."""
    attempts: int = 1
    """Attempts that the call took, throttled ones included."""
    fingerprint: str = ""
    """What the provider calls its build; for local weights, versions of the libraries and the device."""
    detail: str = ""
    """Why the call failed or was filtered."""
    thought: str = ""
    """The model's reasoning before its answer: what it returned apart, or in a leading `<think>…</think>`."""
    key: str = ""
    """Key of the call in the store."""


def failed_reply(detail: str) -> Reply:
    """The reply of a call that failed, without text.

    Args:
        detail: why it failed.
    """
    return Reply("", status="failed", finish_reason="error", detail=detail)


@runtime_checkable
class BatchModel(Protocol):
    """A model that answers a list at once: weights on this machine, or a user's own class."""

    name: str
    batch_size: int
    """Most requests of one `generate`."""

    @property
    def identity(self) -> str:
        """Names what its answers depend on; part of every key."""
        ...

    def generate(self, requests: Sequence[Request]) -> list[Reply]:
        """One reply a request, in order. A failed call is a Reply with its status, never an exception.

        Args:
            requests: at most `batch_size` of them.
        """
        ...

    def close(self) -> None:
        """Free what the model holds (weights, memory); it may be used again afterwards."""
        ...


@runtime_checkable
class AsyncModel(Protocol):
    """A model behind a network; the engine owns concurrency, rates and retries."""

    name: str
    concurrency: int
    """Most calls in flight at once."""
    attempts: int
    """Attempts before a call is recorded as failed."""
    patience: float
    """Seconds that a server which has answered before may be out of reach before the model is given up."""
    longest_wait: float
    """Most seconds to wait at once because the server asks for it."""

    @property
    def identity(self) -> str:
        """Names what its answers depend on; part of every key."""
        ...

    async def send(self, session: Any, request: Request) -> Reply:
        """The reply of one attempt.

        Args:
            session: `aiohttp.ClientSession` that all calls share.
            request: what to send, with its key.

        Raises:
            Retry: the attempt failed, and why; see `spavl.models.calls.rate_limit`.
        """
        ...


Model = BatchModel | AsyncModel
