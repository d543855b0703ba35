"""What the settings of all published benchmarks have in common."""

from __future__ import annotations

from typing import Any

from pydantic import PositiveInt, model_validator

from spavl.config.base import Section
from spavl.config.models import Label
from spavl.config.protocols import with_protocol


class PublishedBenchmark(Section):
    """A published benchmark, read from files on this machine; nothing is downloaded."""

    kind: str
    """Which benchmark it is."""
    name: Label
    """Label of the benchmark in tables and reports."""
    path: str
    """Its folder or file, in the layout in which it is published; or the Hub's Parquet files."""
    protocol: str | None = None
    """Name of the protocol that it follows to the letter, or a YAML file with one of your own; `spavl protocols` lists
    them. What the protocol fixes cannot be set here. None: as this entry says."""
    partial: bool = False
    """Accept another number of items than was published. Without it they are refused, for a rate over a part of a
    benchmark is not the benchmark's rate."""
    limit: PositiveInt | None = None
    """Only so many items, from all its parts alike."""

    @model_validator(mode="before")
    @classmethod
    def _take_what_the_protocol_fixes(cls, given: Any) -> Any:
        return with_protocol(given, str(cls.model_fields["kind"].default))
