"""The interface by which a stage calls a model; the pipeline binds model, sampling and call store to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from spavl.models.base import Prompt, Reply

NO_VERDICT = "the reply holds no verdict that can be read"
"""Why a grade or a comparison is `unreadable`."""


class Caller(Protocol):
    """A function that sends prompts to one model."""

    def __call__(
        self, prompts: Sequence[Prompt], /, *, schema: Mapping[str, Any] | None = None, samples: int = 1
    ) -> list[Reply]:
        """One reply for every prompt and sample, in order: all samples of the first prompt, then of the second.

        A failed call is a reply with its status.

        Args:
            prompts: what is sent.
            schema: JSON schema that the replies must fit, where the model can be held to one. None: free text.
            samples: replies to each prompt.
        """
        ...
