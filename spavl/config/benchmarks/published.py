"""What the settings of all published benchmarks have in common."""

from __future__ import annotations

from pydantic import PositiveInt

from spavl.config.base import Section


class PublishedBenchmark(Section):
    """A published benchmark, read from files on this machine; nothing is downloaded."""

    path: str
    """Its folder or file, in the layout in which it is published; or the Hub's Parquet files."""
    partial: bool = False
    """Accept another number of items than was published. Without it they are refused, for a rate over a part of a
    benchmark is not the benchmark's rate."""
    limit: PositiveInt | None = None
    """Only so many items, from all its parts alike."""
