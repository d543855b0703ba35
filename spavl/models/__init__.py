"""Models and their calls: any backend behind one interface, and every call made once.

In reading order: base.py (interface), backends/ (local weights, endpoint, Python class), identity.py (what answers
depend on), calls/ (keys, store, engine), thought.py (reasoning before an answer), sampling.py (noise from a seed),
families/ (facts of model families), trees/ (packed batches with shared prefixes).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import assert_never

from spavl.config.models import EndpointSpec, LocalSpec, ModelSpec, PythonSpec
from spavl.models.base import Model


def open_model(spec: ModelSpec, *, allow_code: bool = False, log: Callable[[str], None] = lambda line: None) -> Model:
    """The model of a settings entry. Weights are loaded at its first call, not here.

    Args:
        spec: the entry: local weights, an endpoint, or a Python class.
        allow_code: run a Python class from outside spavl.
        log: told what the user should know of an endpoint, such as that another model answers; from any thread.

    Raises:
        ModelError: the class cannot be built, or lies outside spavl and is not allowed.
    """
    match spec:
        case LocalSpec():
            from spavl.models.backends.local import LocalModel

            return LocalModel(spec)
        case EndpointSpec():
            from spavl.models.backends.endpoint import EndpointModel

            return EndpointModel(spec, log)
        case PythonSpec():
            from spavl.models.backends.python import open_python

            return open_python(spec, allow_code=allow_code)
        case _ as never:
            assert_never(never)
