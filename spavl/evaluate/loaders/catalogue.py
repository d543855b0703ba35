"""All published benchmarks that can be read: what each measures, where its files are, and what its licence allows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from spavl.config.base import Section
from spavl.config.benchmarks import LoadedBenchmark, MiniworldBenchmark
from spavl.config.evaluate import Purpose
from spavl.errors import SettingsError
from spavl.evaluate.benchmark import AXES, Axis
from spavl.evaluate.loaders.helpfulness import SOURCES_HELPFULNESS
from spavl.evaluate.loaders.refusals import SOURCES_REFUSALS
from spavl.evaluate.loaders.safety import SOURCES_SAFETY
from spavl.evaluate.loaders.safety.more import SOURCES_MORE_SAFETY
from spavl.evaluate.loaders.skills import SOURCES_SKILLS
from spavl.evaluate.loaders.source import Source
from spavl.rows import brief

SOURCES: Mapping[Axis, Mapping[type[Section], Source]] = {
    "safety": {**SOURCES_SAFETY, **SOURCES_MORE_SAFETY},
    "over-refusal": SOURCES_REFUSALS,
    "helpfulness": SOURCES_HELPFULNESS,
    "skill": SOURCES_SKILLS,
}
"""Where every published benchmark comes from, by what it measures first, by class of the settings entry."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogueEntry:
    """A published benchmark in the catalogue."""

    kind: str
    """`kind` of its settings entry."""
    axis: Axis
    """What it measures first."""
    source: Source
    """Where it comes from."""

    @property
    def items(self) -> int | None:
        """Items as published, of all parts; None where that is not known."""
        return sum(self.source.counts.values()) or None

    def as_plain_data(self) -> dict[str, Any]:
        """The entry as JSON has it."""
        return {"kind": self.kind, "axis": self.axis, "items": self.items, **asdict(self.source)}


def catalogue(axis: str | None = None) -> tuple[CatalogueEntry, ...]:
    """All published benchmarks, by what they measure and then in alphabetical order.

    Args:
        axis: only those that measure this.

    Raises:
        SettingsError: there is no such axis.
    """
    if axis is not None and axis not in AXES:
        raise SettingsError(f"There is no axis {brief(axis)}", where="--axis", try_=f"one of {', '.join(AXES)}")
    return tuple(
        CatalogueEntry(kind=kind, axis=one, source=source)
        for one in AXES
        if axis in (None, one)
        for kind, source in sorted(_by_kind(SOURCES[one]).items())
    )


def _by_kind(sources: Mapping[type[Section], Source]) -> dict[str, Source]:
    return {str(spec.model_fields["kind"].default): source for spec, source in sources.items()}


def source_of(spec: LoadedBenchmark | MiniworldBenchmark) -> Source | None:
    """Where the benchmark of a settings entry comes from; None where it is the user's own, or made here.

    Args:
        spec: an entry of `evaluate.benchmarks`.
    """
    return next((sources[type(spec)] for sources in SOURCES.values() if type(spec) in sources), None)


def refuse_licence(spec: LoadedBenchmark | MiniworldBenchmark, purpose: Purpose | None) -> None:
    """Refuse a benchmark whose licence forbids the purpose.

    Args:
        spec: its settings entry.
        purpose: what the evaluation is for; None: that is not said, and nothing is refused.

    Raises:
        SettingsError: the purpose is commercial, and the licence forbids that.
    """
    source = source_of(spec)
    if purpose == "commercial" and source is not None and source.commercial is False:
        raise SettingsError(
            f"The licence of {source.title} ({source.licence}) forbids commercial use, which is the purpose here",
            where=f"evaluate.benchmarks, {spec.name}",
            try_="leave it out, ask its authors for another licence, or set `evaluate.purpose` to what is true",
        )  # fmt: skip
