"""What Inspect finds when spavl is installed beside it: the provider `spavl` and the task `spavl_benchmark`."""

from __future__ import annotations

from inspect_ai.model import modelapi

from spavl.bridges.inspect.tasks import spavl_benchmark

__all__ = ["provider", "spavl_benchmark"]


@modelapi(name="spavl")  # type: ignore[untyped-decorator]
def provider() -> type:
    """The provider, which is imported when a model of it is opened."""
    from spavl.bridges.inspect.provider import SpavlAPI

    return SpavlAPI
