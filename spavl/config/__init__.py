"""Every setting of spavl, one section a file, in the order of the road."""

from __future__ import annotations

from pydantic import PositiveInt, model_validator

from spavl.config.align import AlignSettings
from spavl.config.base import Section, refuse_twice
from spavl.config.build import BuildSettings
from spavl.config.evaluate import EvaluateSettings, ReportSettings
from spavl.config.load import load_settings
from spavl.config.models import EndpointSpec, LocalSpec, ModelSpec, PythonSpec, SamplingSettings

__all__ = [
    "AlignSettings",
    "BuildSettings",
    "EndpointSpec",
    "EvaluateSettings",
    "LocalSpec",
    "ModelSpec",
    "PythonSpec",
    "ReportSettings",
    "SamplingSettings",
    "Section",
    "Settings",
    "load_settings",
]


class Settings(Section):
    """One file: the whole road."""

    out: str = "runs/first"
    """The run folder."""
    store: str = ".spavl/calls.sqlite"
    """The call store, shared by all runs of this workspace. The only state that cost money or hours."""
    seed: int = 0
    """Drives every random choice: matches, sampling, training order."""
    limit: PositiveInt | None = None
    """Only so many pictures: for a first try."""
    models: tuple[ModelSpec, ...] = ()
    """The roster: every model that the stages name."""
    build: BuildSettings = BuildSettings()
    align: AlignSettings = AlignSettings()
    evaluate: EvaluateSettings = EvaluateSettings()
    report: ReportSettings = ReportSettings()

    @model_validator(mode="after")
    def _names_are_unique(self) -> Settings:
        try:
            refuse_twice([m.name for m in self.models])
        except ValueError as error:
            raise ValueError(f"`models`: {error}; every model needs a name of its own") from None
        return self
