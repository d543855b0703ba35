"""Which weights a score is of: noted when it is measured, and compared with what is there when it is shown."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from spavl.config import LocalSpec, ModelSpec
from spavl.errors import ModelError
from spavl.models.backends.local import LocalModel
from spavl.models.base import Model
from spavl.models.identity import file_stamp, find_checkpoint, local_identity
from spavl.run import Run

GONE, CHANGED = "its weights are gone", "its weights are not those that were measured"
"""Why a score is of no weights that are there."""


def weights_of(run: Run, spec: ModelSpec, model: Model) -> dict[str, Any]:
    """What names the weights of a model that was measured, as plain data.

    Args:
        run: the run folder; a checkpoint in it is named from there, so that both move together.
        spec: the model's settings entry.
        model: the same, opened.
    """
    if not isinstance(spec, LocalSpec) or not isinstance(model, LocalModel):
        return {"identity": model.identity}
    resolved = spec.model_copy(update={"dtype": model.dtype, "device": "cpu"})
    return {
        "identity": model.identity,
        "spec": resolved.model_dump(mode="json"),
        "in_run": _in_run(run, Path(spec.path)),
        "folder": Path(spec.path).is_dir(),
        "stamp": _stamp(resolved),
    }


def stale_scores(run: Run, manifest: Mapping[str, Any]) -> dict[str, str]:
    """Models whose scores are of weights that are gone or have changed since, and which of it; by name.

    Weights are read only where their files are not the very ones that were measured: copies have other stamps. Models
    on servers and from the Hub are taken as named.

    Args:
        run: the run folder.
        manifest: what `run.json` holds.
    """
    noted = manifest.get("weights", {})
    found = {name: _what_is_wrong(run, noted[name]) for name in manifest.get("models", {}) if name in noted}
    return {name: wrong for name, wrong in found.items() if wrong}


def _what_is_wrong(run: Run, noted: Mapping[str, Any]) -> str:
    if not noted.get("folder"):
        return ""
    spec = LocalSpec.model_validate(noted["spec"])
    if noted["in_run"]:
        spec = spec.model_copy(update={"path": str(run.folder / noted["in_run"])})
    try:
        if not Path(spec.path).is_dir():
            return GONE
        same = _stamp(spec) == noted["stamp"] or local_identity(spec, find_checkpoint(spec)) == noted["identity"]
    except ModelError:
        return GONE
    return "" if same else CHANGED


def _in_run(run: Run, path: Path) -> str:
    """A checkpoint's place in the run folder; empty: it is elsewhere."""
    at, folder = path.resolve(), run.folder.resolve()
    return at.relative_to(folder).as_posix() if at.is_relative_to(folder) else ""


def _stamp(spec: LocalSpec) -> list[list[Any]]:
    """File names, inodes, sizes and times of the files that decide its answers, as JSON has them."""
    stamp: list[list[Any]] = json.loads(json.dumps(file_stamp(find_checkpoint(spec))))
    return stamp


def without_models(manifest: Mapping[str, Any], names: Collection[str]) -> dict[str, Any]:
    """What `run.json` holds, without the scores of some models.

    Comparisons are with the first model: where that is left out, all of them are.

    Args:
        manifest: what `run.json` holds.
        names: of the models.
    """
    models = manifest.get("models", {})
    compared = manifest.get("paired", {}) if not models or next(iter(models)) not in names else {}
    kept = {
        "models": {name: rates for name, rates in models.items() if name not in names},
        "paired": {name: rows for name, rows in compared.items() if name not in names},
    }
    return {**manifest, **kept}


def trainings(run: Run) -> set[str]:
    """Names of the trainings of a run that are finished and still there, reward models included.

    Args:
        run: the run folder.
    """
    finished = (file.parent for file in run.align.glob("*/training.json"))
    return {at.name for at in finished if (at / "checkpoint").is_dir() or (at / "adapter").is_dir()}
