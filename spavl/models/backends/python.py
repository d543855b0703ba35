"""The backend of kind `python`: a class of the user's own, named `package.module:Class` in the settings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, final, runtime_checkable

from spavl.config.models import PythonSpec
from spavl.errors import ModelError, SpavlError
from spavl.models.base import Reply, Request, failed_reply
from spavl.models.identity import identity_of
from spavl.own_code import import_own


class Answerer(Protocol):
    """The user's class. Its constructor takes `name`, `identity`, `batch_size` and the settings entry's options."""

    def generate(self, requests: Sequence[Request]) -> list[Reply]:
        """One reply a request, in order.

        Args:
            requests: at most `batch_size` of them.
        """
        ...


@runtime_checkable
class Closable(Protocol):
    """A user's class that holds something, such as weights or a connection."""

    def close(self) -> None:
        """Free what it holds."""
        ...


@final
class PythonModel:
    """A BatchModel around the user's object, whose exceptions become failed replies.

    Args:
        spec: the settings entry.
        answerer: the user's object.
    """

    def __init__(self, spec: PythonSpec, answerer: Answerer) -> None:
        self.name = spec.name
        self.identity = identity_of(spec)
        self.batch_size = spec.batch_size
        self._answerer = answerer

    def generate(self, requests: Sequence[Request]) -> list[Reply]:
        """The user's replies; if the class raises, a failed reply for each request, with the exception as detail.

        Args:
            requests: at most `batch_size` of them.
        """
        try:
            return list(self._answerer.generate(requests))
        except SpavlError:
            raise
        except Exception as error:
            return [failed_reply(f"{type(error).__name__}: {error}")] * len(requests)

    def close(self) -> None:
        """Close the user's object if it has a `close`."""
        if isinstance(self._answerer, Closable):
            self._answerer.close()


def open_python(spec: PythonSpec, *, allow_code: bool) -> PythonModel:
    """The model of a settings entry of kind `python`, with the user's class built.

    Args:
        spec: the settings entry.
        allow_code: run a class from outside spavl.

    Raises:
        ModelError: the class lies outside spavl and is not allowed, or cannot be built from its options.
    """
    cls = import_own(spec.target, name=spec.name, allow_code=allow_code, error=ModelError)
    try:
        answerer = cls(name=spec.name, identity=identity_of(spec), batch_size=spec.batch_size, **spec.options)
    except (TypeError, ValueError) as error:
        raise ModelError(
            f"`{spec.name}` cannot be built: {type(error).__name__}: {error}",
            where=spec.target,
            try_="The target is `package.module:Class`; the class takes name, identity, batch_size and its options.",
        ) from error
    return PythonModel(spec, answerer)
