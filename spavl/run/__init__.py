"""A run on disk: `folder` says where things lie, `stages` names the stages of the dataset and their tables."""

from spavl.run.folder import Run, changes, machine, peak_memory_mb, run_at, versions
from spavl.run.stages import STAGES, Made, ModelUse, Stage, StageContext

__all__ = [
    "STAGES",
    "Made",
    "ModelUse",
    "Run",
    "Stage",
    "StageContext",
    "changes",
    "machine",
    "peak_memory_mb",
    "run_at",
    "versions",
]
