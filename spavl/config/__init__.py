"""Settings: what a YAML file may hold, a file for each stage of the pipeline; `load.py` reads and validates it."""

from __future__ import annotations

from typing import Literal

from pydantic import PositiveInt, field_validator, model_validator

from spavl.config.align import AlignSettings
from spavl.config.audit import AuditLimits, AuditSettings
from spavl.config.base import Section, refuse_twice
from spavl.config.build import BuildSettings
from spavl.config.ceilings import CeilingSettings
from spavl.config.evaluate import EvaluateSettings, ReportSettings
from spavl.config.judging import GuardSpec, JudgeSpec
from spavl.config.load import load_settings
from spavl.config.models import EndpointSpec, LocalSpec, ModelSpec, PythonSpec, SamplingSettings
from spavl.config.runner import RaySettings

__all__ = [
    "AlignSettings",
    "AuditLimits",
    "AuditSettings",
    "BuildSettings",
    "CeilingSettings",
    "EndpointSpec",
    "EvaluateSettings",
    "GuardSpec",
    "JudgeSpec",
    "LocalSpec",
    "ModelSpec",
    "PythonSpec",
    "RaySettings",
    "ReportSettings",
    "SamplingSettings",
    "Section",
    "Settings",
    "load_settings",
]


class Settings(Section):
    """All settings of a run: one file for the whole pipeline."""

    include: tuple[str, ...] = ()
    """Settings files beneath this one, such as rosters of models, named from this file's folder. Of two the later wins,
    and this file over all; lists of models, guards and judges are joined, and entries of one name merged."""
    out: str = "runs/first"
    """The run folder."""
    store: str = ".spavl/calls.sqlite"
    """File of the call store: every answer of every model, shared by all runs of this workspace."""
    seed: int = 0
    """Seed of every random choice: matches, sampling, training order."""
    limit: PositiveInt | None = None
    """Only so many pictures, and items of each subset of a benchmark, for a first try. None: all."""
    runner: Literal["local", "ray"] = "local"
    """Who does the work of the dataset's stages: this process, or actors of a Ray cluster (the extra `ray`). The tables
    are the same."""
    ray: RaySettings = RaySettings()
    """The actors, with `runner: ray`."""
    ceilings: CeilingSettings = CeilingSettings()
    """What one command may spend at most."""
    prices: str | None = None
    """A YAML file of prices, `NAME: {in: 0.25, out: 1.0, currency: USD}` for a million tokens, by labels of `models` or
    by the models' names. `price_in` and `price_out` of an entry of `models` win."""
    models: tuple[ModelSpec, ...] = ()
    """Every model that the stages name, by its label."""
    guards: tuple[GuardSpec, ...] = ()
    """Guards of other kinds than the built-in rubric, such as `{name: guard, model: LABEL, kind: llama-guard}`."""
    judges: tuple[JudgeSpec, ...] = ()
    """Judges with a prompt, sampling or kind of their own."""
    build: BuildSettings = BuildSettings()
    """From pictures to preference pairs."""
    audit: AuditSettings = AuditSettings()
    """What is wrong with the pairs, and from where on it is a fault."""
    align: AlignSettings = AlignSettings()
    """From pairs to an aligned checkpoint."""
    evaluate: EvaluateSettings = EvaluateSettings()
    """Base and aligned models on the same items."""
    report: ReportSettings = ReportSettings()
    """The report on all of it."""

    @field_validator("include")
    @classmethod
    def _is_read_from_a_file(cls, files: tuple[str, ...]) -> tuple[str, ...]:
        if files:
            raise ValueError("files are included by a settings file alone")
        return files

    @model_validator(mode="after")
    def _names_are_unique(self) -> Settings:
        for section, what, entries in (
            ("models", "model", self.models), ("guards", "guard", self.guards), ("judges", "judge", self.judges),
        ):  # fmt: skip
            try:
                refuse_twice([entry.name for entry in entries])
            except ValueError as error:
                raise ValueError(f"`{section}`: {error}; every {what} needs a name of its own") from None
        return self

    @model_validator(mode="after")
    def _ceilings_are_of_models(self) -> Settings:
        listed = [spec.name for spec in self.models]
        for name in self.ceilings.models:
            if name not in listed:
                raise ValueError(f"`ceilings.models` names `{name}`, which `models` does not list")
        return self
