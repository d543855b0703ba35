"""A model that is a class of the user's own, named `package.module:Class` in the settings."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Protocol, final, runtime_checkable

from spavl.config.models import PythonSpec
from spavl.errors import ModelError, SpavlError
from spavl.models.base import Reply, Request
from spavl.models.identity import identity_of

OWN_PACKAGE = "spavl"


class Answerer(Protocol):
    """What the user's class must do. Its constructor takes `name`, `identity`, `batch_size` and the entry's options."""

    def generate(self, requests: Sequence[Request]) -> list[Reply]:
        """One reply a request, in order."""
        ...


@runtime_checkable
class Closable(Protocol):
    """An answerer that holds something."""

    def close(self) -> None:
        """Let go of it."""
        ...


@final
class PythonModel:
    """A BatchModel around the user's object. What it raises becomes failed replies: a bad row harms no other run."""

    def __init__(self, spec: PythonSpec, answerer: Answerer) -> None:
        self.name = spec.name
        self.identity = identity_of(spec)
        self.batch_size = spec.batch_size
        self._answerer = answerer

    def generate(self, requests: Sequence[Request]) -> list[Reply]:
        """The user's replies; if the class raises, a failed reply for each request, with the exception as detail."""
        try:
            return list(self._answerer.generate(requests))
        except SpavlError:
            raise
        except Exception as error:
            detail = f"{type(error).__name__}: {error}"
            return [Reply("", status="failed", finish_reason="error", detail=detail) for _ in requests]

    def close(self) -> None:
        """Close the user's object if it can be closed."""
        if isinstance(self._answerer, Closable):
            self._answerer.close()


def open_python(spec: PythonSpec, *, allow_code: bool) -> PythonModel:
    """Build the class of `spec`. Raises ModelError if that is not allowed, or it cannot be built from its options.

    Classes inside spavl itself need no permission.
    """
    module, _, name = spec.target.partition(":")
    if module.split(".")[0] != OWN_PACKAGE and not allow_code:
        raise ModelError(
            f"`{spec.name}` runs code of its own, which is refused unless you say so.",
            where=spec.target,
            try_="If you have read that code, run again with --allow-code.",
        )
    try:
        cls = vars(import_module(module))[name]
        answerer = cls(name=spec.name, identity=identity_of(spec), batch_size=spec.batch_size, **spec.options)
    except (ImportError, KeyError, TypeError, ValueError) as error:
        raise ModelError(
            f"`{spec.name}` cannot be built: {type(error).__name__}: {error}",
            where=spec.target,
            try_="The target is `package.module:Class`; the class takes name, identity, batch_size and its options.",
        ) from error
    return PythonModel(spec, answerer)
