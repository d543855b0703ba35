"""What every model looks like from outside: a request goes in, a reply comes out, and a failure is a reply."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from spavl.records import Status


@dataclass(frozen=True, slots=True)
class ImageRef:
    """A picture on disk, named by the hash of its bytes."""

    path: Path
    sha256: str


@dataclass(frozen=True, slots=True)
class Prompt:
    """What is asked: one user turn, with pictures before the text, and an optional system turn.

    `item` and `fields` reach models of kind `python` only. `item` names the thing asked about and is part of the key
    of such calls; `fields` are the values that filled the template and add nothing to what `text` already says.
    """

    text: str
    images: tuple[ImageRef, ...] = ()
    system: str = ""
    item: str = ""
    fields: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Sampling:
    """How the answer is drawn. `temperature` 0 is greedy."""

    temperature: float = 0.0
    top_p: float = 1.0
    max_tokens: int = 256
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Request:
    """One call: a prompt, how to sample, which sample of several, and the key that names it in the call store."""

    prompt: Prompt
    sampling: Sampling
    sample: int = 0
    schema: Mapping[str, Any] | None = None
    key: str = ""


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back. `text` is empty unless something was said; `detail` says why a call failed."""

    text: str
    status: Status = "ok"
    finish_reason: str = "stop"
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost: float = 0.0
    latency: float = 0.0
    attempts: int = 1
    fingerprint: str = ""
    detail: str = ""
    key: str = ""
    """Key of the call in the store."""


@runtime_checkable
class BatchModel(Protocol):
    """A model that answers a list at once: weights on this machine, or a user's own class."""

    name: str
    batch_size: int
    """Most requests that one `generate` is handed."""

    @property
    def identity(self) -> str:
        """What makes its answers its own; part of every key."""
        ...

    def generate(self, requests: Sequence[Request]) -> list[Reply]:
        """One reply a request, in order. A failed call is a Reply with its status, never an exception."""
        ...

    def close(self) -> None:
        """Free what the model holds (weights, memory). It may be opened again."""
        ...


@runtime_checkable
class AsyncModel(Protocol):
    """A model behind a network; the engine owns concurrency, rates and retries."""

    name: str
    concurrency: int
    """Most calls in flight."""
    attempts: int
    """Tries before a call is recorded as failed."""

    @property
    def identity(self) -> str:
        """What makes its answers its own; part of every key."""
        ...

    async def send(self, session: Any, request: Request) -> Reply:
        """One attempt. Raises `Retry` (see `spavl.models.calls.engine`) where another attempt may help."""
        ...


Model = BatchModel | AsyncModel
