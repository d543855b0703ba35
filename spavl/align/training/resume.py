"""The folder `state` of a training: from it a stopped training is taken up, but only if it was the same one."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from spavl.align.data.pairs import Pair
from spavl.config.align import AlignSettings
from spavl.progress import Progress


def recipe(pairs: Sequence[Pair], settings: AlignSettings, identity: str, **more: Any) -> dict[str, Any]:
    """Everything that decides the weights that come out. `identity` is of the model before training."""
    content = hashlib.sha256()
    for pair in pairs:
        content.update("\x00".join((pair.pair_id, pair.image_key, pair.question, pair.chosen, pair.rejected)).encode())
    dumped = settings.model_dump(mode="json", exclude={"machine", "saving", "panel", "reference", "model"})
    return {**dumped, "pairs": content.hexdigest(), "model": identity, **more}


def begin(out: Path, now: Mapping[str, Any], progress: Progress) -> None:
    """Keep `out/state` if the training in it was made by the same recipe; else say what differs, and empty it."""
    path = out / "state" / "recipe.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    before = json.loads(path.read_text("utf-8")) if path.is_file() else None
    if before is not None and before != now:
        differs = sorted(name for name in now.keys() | before.keys() if now.get(name) != before.get(name))
        progress.log(f"begun anew: {', '.join(differs)} differ from the training found in {out}")
        shutil.rmtree(out / "state")
        path.parent.mkdir()
    path.write_text(json.dumps(now, indent=2), encoding="utf-8")
