"""The folder `state` of a training: a stopped training resumes from it, unless what decides its weights has changed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from spavl.align.data.pairs import Pair
from spavl.align.data.table import pairs_fingerprint
from spavl.atomic import write_json
from spavl.config.align import AlignSettings
from spavl.progress import Progress

NOT_DECIDING = {"machine", "saving", "validation", "reference", "model"}
"""Sections of the settings that do not change the trained weights; the model counts by its identity."""


def training_fingerprint(pairs: Sequence[Pair], settings: AlignSettings, identity: str, **more: Any) -> dict[str, Any]:
    """Everything that decides the weights that come out of a training, as JSON.

    Args:
        pairs: the pairs trained on, in their order.
        settings: the training's settings, of which the sections in `NOT_DECIDING` are left out.
        identity: identity of the model before training.
        more: what else decides, by name: the reward model of PPO.
    """
    deciding = settings.model_dump(mode="json", exclude=NOT_DECIDING)
    return {**deciding, "pairs": pairs_fingerprint(pairs), "model": identity, **more}


def keep_or_clear_state(out: Path, fingerprint: Mapping[str, Any], progress: Progress) -> None:
    """Keep `out/state` if the training in it has this fingerprint; else log what differs, and empty it.

    Args:
        out: the folder of the training.
        fingerprint: of the training that is about to begin; written to `out/state/recipe.json`.
        progress: where the differences are logged.

    Raises:
        RunError: the folder cannot be written.
    """
    path = out / "state" / "recipe.json"
    before = json.loads(path.read_text("utf-8")) if path.is_file() else None
    if before is not None and before != fingerprint:
        names = fingerprint.keys() | before.keys()
        differs = sorted(name for name in names if fingerprint.get(name) != before.get(name))
        progress.log(f"begun anew: {', '.join(differs)} differ from the training found in {out}")
        shutil.rmtree(out / "state")
    write_json(path, fingerprint)
