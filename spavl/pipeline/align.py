"""Pairs → checkpoint. Training is no model call, so it is remembered by what it was made from, and done once."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spavl.atomic import write_json
from spavl.config import AlignSettings, LocalSpec
from spavl.config.load import merge
from spavl.errors import DataError, MissingExtra
from spavl.models.identity import find_checkpoint, identity_of
from spavl.pipeline.build import say_what_changed
from spavl.pipeline.session import Session
from spavl.pipeline.validation import make_validation
from spavl.records import PreferencePair
from spavl.run import versions
from spavl.tables import read_table

if TYPE_CHECKING:
    from spavl.align.data.pairs import Pair

MADE_FROM = "made-from.json"
DECIDING = ("spavl", "torch", "transformers", "peft", "accelerate")
"""Packages whose versions decide what comes out of a training."""


def align(
    session: Session,
    *,
    name: str,
    pairs: Path | None = None,
    limit: int | None = None,
    changed: Mapping[str, Any] | None = None,
) -> Path:
    """Align the settings' model. Returns the folder of a checkpoint, of an adapter, or of a reward model.

    Args:
        name: names the result, `RUN/align/NAME`.
        pairs: pairs in the Hub schema; this run's own unless named. Held-out subcategories are never among its own.
        limit: only so many pairs.
        changed: a tree laid over the align settings in this arm.

    What was made from the same pairs, model, settings and versions is kept as it is.
    """
    say_what_changed(session)
    settings = _settings(session, changed or {})
    reward = _reward(session, settings, pairs, limit)
    rows = _rows(session, pairs, limit)
    folder = session.run.align / name
    made_from = _made_from(rows, settings, reward)
    session.run.note(aligned={name: {"method": settings.method, "blind": settings.blind, "pairs": len(rows)}})
    made = _result(session, name, settings)
    if made and _kept(folder) == made_from:
        session.progress.log(f"  align {name:<28} kept: nothing it was made from has changed")
        return made
    session.free()
    (folder / MADE_FROM).unlink(missing_ok=True)
    with session.stage(f"align {name}") as counts:
        counts["pairs"] = len(rows)
        _train(session, settings, rows, folder, reward)
    write_json(folder / MADE_FROM, made_from)
    made = _result(session, name, settings)
    assert made is not None, "a training leaves a model"
    return made


def _result(session: Session, name: str, settings: AlignSettings) -> Path | None:
    """What a training has left: a reward model's folder, a checkpoint, or an adapter where nothing is to be merged."""
    folder = session.run.align / name
    if settings.method == "reward":
        return folder if folder.is_dir() else None
    made = session.run.aligned().get(name)
    return made if made and (made.name == "checkpoint" or not settings.saving.merged) else None


def _train(session: Session, settings: AlignSettings, rows: Sequence[Pair], folder: Path, reward: Path | None) -> None:
    match settings.method:
        case "dpo":
            from spavl.align.dpo.train import train_dpo

            train_dpo(rows, settings, folder, validation=make_validation(session), progress=session.progress)
        case "reward":
            from spavl.align.reward.train import train_reward

            made = train_reward(rows, settings=settings, out=folder, progress=session.progress)
            if made.held_out:
                session.run.note(reward_model=asdict(made.held_out))
        case "ppo":
            from spavl.align.ppo.train import train_ppo

            assert reward is not None
            train_ppo(
                rows,
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


def _rows(session: Session, pairs: Path | None, limit: int | None) -> list[Pair]:
    try:
        from spavl.align.data.pairs import read_pairs
        from spavl.align.training.trainer import PairTrainer as _needs_torch  # noqa: F401
    except ModuleNotFoundError as missing:
        raise MissingExtra(
            f"Alignment needs {missing.name}, which is not installed", try_="pip install 'spavl[align]'"
        ) from missing
    if pairs is None and not session.run.dataset.is_dir():
        raise DataError(
            "This run has no dataset yet",
            where=str(session.run.folder),
            try_="run `spavl build` first, or name `--pairs FILE`",
        )
    rows = read_pairs(pairs or session.run.dataset, limit=limit)
    _refuse_heldout(session, rows)
    return rows


def _settings(session: Session, changed: Mapping[str, Any]) -> AlignSettings:
    """The settings with the arm's changes, the model as a folder, and the run's seed laid over the training's own."""
    settings = session.settings.align
    spec = LocalSpec(name="base", path=settings.model, revision=settings.revision)
    seed = session.settings.seed if settings.seed is None else settings.seed
    laid = {"model": str(find_checkpoint(spec).folder), "seed": seed, **changed}
    return AlignSettings.model_validate(merge(settings.model_dump(), laid))


def _refuse_heldout(session: Session, rows: Sequence[Pair]) -> None:
    """Assert that no pair of a held-out subcategory of this run is trained on."""
    if not session.run.pairs.exists():
        return
    heldout = {p.pair_id for p in read_table(session.run.pairs, PreferencePair) if p.query.image.heldout}
    found = [row.pair_id for row in rows if row.pair_id in heldout]
    if found:
        raise DataError(
            f"{len(found)} pairs of held-out subcategories are among those to be trained on", where=found[0],
            try_="leave out `--pairs`, or name the file data/train.parquet of the dataset",
        )  # fmt: skip


def _made_from(rows: Sequence[Pair], settings: AlignSettings, reward: Path | None) -> dict[str, Any]:
    """Everything that decides the weights that come out."""
    content = hashlib.sha256()
    for row in rows:
        content.update("\x1f".join((row.image_key, row.question, row.chosen, row.rejected)).encode() + b"\x1e")
    installed = versions()
    return {
        "pairs": content.hexdigest(),
        "model": identity_of(LocalSpec(name="base", path=settings.model)),
        "reward": _kept(reward) or str(reward) if reward else None,
        "settings": settings.model_dump(mode="json", exclude={"model", "saving", "machine"}),
        "versions": {name: installed[name] for name in DECIDING if name in installed},
    }


def _kept(folder: Path) -> Any:
    note = folder / MADE_FROM
    return json.loads(note.read_text("utf-8")) if note.exists() else None
