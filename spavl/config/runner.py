"""Settings of who does the work of the dataset's stages: this process, or actors of a Ray cluster."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, NonNegativeFloat, PositiveInt

from spavl.config.base import Section


def _head(address: str) -> str:
    host, _, port = address.rpartition(":")
    if address != "auto" and not (
        host and "/" not in host and port.isascii() and port.isdigit() and 0 < int(port) < 65536
    ):
        raise ValueError(
            "the address of a cluster's head looks like 10.0.0.1:6379; `auto` takes the one on this machine"
        )
    return address


class RaySettings(Section):
    """The actors that do the work with `runner: ray`. All must see run folder and call store under the same paths."""

    address: Annotated[str, AfterValidator(_head)] | None = None
    """Head of a running cluster as host:port; `auto`: the one that runs on this machine. None: start one here, for this
    command alone."""
    actors: PositiveInt = 4
    """Processes that work side by side."""
    concurrency: PositiveInt | None = None
    """Calls of each endpoint that an actor has in flight. None: the endpoint's own `concurrency`, shared out among the
    actors."""
    num_cpus: NonNegativeFloat = 0.0
    """Processor cores that Ray reserves for an actor. 0: none, as is right for actors that wait for servers."""
    num_gpus: NonNegativeFloat = 0.0
    """GPUs that Ray reserves for an actor; models of kind `local` need 1, or a share of one such as 0.5."""
