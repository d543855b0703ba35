"""Reach a model, pay once. May import errors, records and config; torch only inside `local*`, `layout*`, `families`."""

from __future__ import annotations

from typing import assert_never

from spavl.config.models import EndpointSpec, LocalSpec, ModelSpec, PythonSpec
from spavl.models.base import Model


def open_model(spec: ModelSpec, *, allow_code: bool = False) -> Model:
    """The model that a settings entry names. Weights are loaded when it is first asked, not here.

    Raises ModelError if it is not there, or is a class outside spavl and `allow_code` is off.
    """
    match spec:
        case LocalSpec():
            from spavl.models.backends.local import LocalModel

            return LocalModel(spec)
        case EndpointSpec():
            from spavl.models.backends.endpoint import EndpointModel

            return EndpointModel(spec)
        case PythonSpec():
            from spavl.models.backends.python import open_python

            return open_python(spec, allow_code=allow_code)
        case _ as never:
            assert_never(never)
