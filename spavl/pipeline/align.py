"""Preference pairs → checkpoint. A training is kept with a fingerprint of what it was made from, and done once."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from spavl.atomic import write_json
from spavl.config import AlignSettings, LocalSpec
from spavl.config.load import merge
from spavl.errors import DataError, MissingExtra
from spavl.models.identity import find_checkpoint, identity_of
from spavl.pipeline.build import keep_sections
from spavl.pipeline.session import Session
from spavl.pipeline.validation import make_validation
from spavl.run import versions
from spavl.tables.query import query

if TYPE_CHECKING:
    from spavl.align.data.pairs import Pair
    from spavl.align.data.table import PairTable

PACKAGES = ("torch", "transformers", "peft", "safetensors", "jaxtyping", "accelerate", "datasets")
"""What training needs beyond the base install: the extra `align`."""
FINGERPRINT_FILE = "made-from.json"
"""In the folder of a trained model: what it was made from."""
DECIDING = ("spavl", "torch", "transformers", "peft", "accelerate")
"""Packages whose versions decide the weights that a training makes."""


def align(
    session: Session,
    *,
    name: str,
    pairs: Path | None = None,
    limit: int | None = None,
    changed: Mapping[str, Any] | None = None,
) -> Path:
    """Align the settings' model by their method. Returns the folder of a checkpoint, an adapter or a reward model.

    A model that was made from the same pairs, model, settings and versions is kept as it is.

    Args:
        session: the settings and the run folder.
        name: of the result, `RUN/align/NAME`.
        pairs: a file or folder in one of the public forms; the run's own training split unless given.
        limit: most pairs to train on.
        changed: a tree of overrides of the align settings.

    Raises:
        MissingExtra: the packages of the extra `align` are not installed.
        DataError: there is no dataset, or pairs of held-out subcategories are among those to be trained on.
    """
    check_training_packages()
    settings = _settings(session, changed or {})
    reward = _reward(session, settings, pairs, limit)
    trained_on = _open_pairs(session, settings, pairs, limit)
    folder = session.run.align / name
    fingerprint = _fingerprint(trained_on, settings, reward)
    session.run.note(aligned={name: {"method": settings.method, "blind": settings.blind, "pairs": len(trained_on)}})
    made = _result(session, name, settings)
    if made and _kept_fingerprint(folder) == fingerprint:
        session.progress.log(f"  align {name:<28} kept: made from the same pairs, model and settings")
        keep_sections(session, "align")
        return made
    session.free()
    (folder / FINGERPRINT_FILE).unlink(missing_ok=True)
    with session.stage(f"align {name}") as counts:
        counts["pairs"] = len(trained_on)
        _train(session, settings, trained_on, folder, reward)
    write_json(folder / FINGERPRINT_FILE, fingerprint)
    made = _result(session, name, settings)
    assert made is not None, "a training leaves a model"
    keep_sections(session, "align")
    return made


def check_training_packages() -> None:
    """Refuse to begin a training whose packages are not installed, before any work is done.

    Raises:
        MissingExtra: a package of the extra `align` is not installed.
    """
    if missing := [name for name in PACKAGES if find_spec(name) is None]:
        raise MissingExtra(
            f"Alignment needs packages that are not installed: {', '.join(missing)}", try_="pip install 'spavl[align]'"
        )


def _result(session: Session, name: str, settings: AlignSettings) -> Path | None:
    """The folder that a training leaves: of a reward model, a checkpoint, or an adapter that is not to be merged."""
    folder = session.run.align / name
    if settings.method == "reward":
        return folder if folder.is_dir() else None
    made = session.run.aligned().get(name)
    return made if made and (made.name == "checkpoint" or not settings.saving.merged) else None


def _train(session: Session, settings: AlignSettings, pairs: Sequence[Pair], folder: Path, reward: Path | None) -> None:
    match settings.method:
        case "dpo":
            from spavl.align.dpo.train import train_dpo

            train_dpo(pairs, settings, folder, validation=make_validation(session), progress=session.progress)
        case "reward":
            from spavl.align.reward.train import train_reward

            made = train_reward(pairs, settings=settings, out=folder, progress=session.progress)
            if made.held_out:
                session.run.note(reward_model=asdict(made.held_out))
        case "ppo":
            from spavl.align.ppo.train import train_ppo

            assert reward is not None
            train_ppo(
                pairs,
                settings=settings,
                reward=reward,
                out=folder,
                validation=make_validation(session),
                progress=session.progress,
            )


def _reward(session: Session, settings: AlignSettings, pairs: Path | None, limit: int | None) -> Path | None:
    """The reward model that PPO needs: the one named, or one trained first on the same pairs."""
    if settings.method != "ppo":
        return None
    if settings.reward.folder:
        return Path(settings.reward.folder)
    return align(session, name="reward", pairs=pairs, limit=limit, changed={"method": "reward"})


def _open_pairs(session: Session, settings: AlignSettings, pairs: Path | None, limit: int | None) -> PairTable:
    from spavl.align.data.pairs import Reading
    from spavl.align.data.table import open_pairs

    if pairs is None and not session.run.dataset.is_dir():
        raise DataError(
            "This run has no dataset yet",
            where=str(session.run.folder),
            try_="run `spavl build` first, or name `--pairs FILE`",
        )
    reading = Reading(settings.data.thought, settings.data.form, settings.data.prefer)
    cache = Path(settings.machine.pairs_cache)
    found = open_pairs(pairs or session.run.dataset, cache=cache, limit=limit, reading=reading)
    _refuse_heldout(session, found)
    return found


def _settings(session: Session, changed: Mapping[str, Any]) -> AlignSettings:
    """The align settings with overrides, the model as a folder, and the run's seed where they name none."""
    settings = session.settings.align
    spec = LocalSpec(name="base", path=settings.model, revision=settings.revision)
    seed = session.settings.seed if settings.seed is None else settings.seed
    overrides = {"model": str(find_checkpoint(spec).folder), "seed": seed, **changed}
    return AlignSettings.model_validate(merge(settings.model_dump(), overrides))


def _refuse_heldout(session: Session, pairs: PairTable) -> None:
    """Refuse pairs of this run's held-out subcategories."""
    if not session.run.pairs.exists():
        return
    heldout = [row[0] for row in query("SELECT pair_id FROM pairs WHERE heldout", pairs=session.run.pairs)]
    ids = pairs.column("pair_id")
    found = ids.filter(pc.is_in(ids, value_set=pa.array(heldout, pa.string())))
    if len(found):
        raise DataError(
            f"{len(found)} pairs of held-out subcategories are among those to be trained on", where=found[0].as_py(),
            try_="leave out `--pairs`, or name the file data/train.parquet of the dataset",
        )  # fmt: skip


def _fingerprint(pairs: Sequence[Pair], settings: AlignSettings, reward: Path | None) -> dict[str, Any]:
    """All that decides the weights that a training makes."""
    from spavl.align.data.table import pairs_fingerprint

    installed = versions()
    return {
        "pairs": pairs_fingerprint(pairs),
        "model": identity_of(LocalSpec(name="base", path=settings.model)),
        "reward": _kept_fingerprint(reward) or str(reward) if reward else None,
        "settings": settings.model_dump(mode="json", exclude={"model", "saving", "machine"}),
        "versions": {name: installed[name] for name in DECIDING if name in installed},
    }


def _kept_fingerprint(folder: Path) -> Any:
    note = folder / FINGERPRINT_FILE
    return json.loads(note.read_text("utf-8")) if note.exists() else None
