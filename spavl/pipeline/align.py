"""Pairs → checkpoint. Training is no model call, so it is remembered by what it was made from, and done once."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spavl.config import AlignSettings, LocalSpec
from spavl.config.load import merge
from spavl.errors import DataError, MissingExtra
from spavl.models.identity import find_checkpoint, identity_of
from spavl.pipeline.build import say_what_changed
from spavl.pipeline.panel import make_panel
from spavl.pipeline.workshop import Workshop
from spavl.records import PreferencePair
from spavl.run import versions, write_json
from spavl.tables import read_table

if TYPE_CHECKING:
    from spavl.align.pairs import Pair

MADE_FROM = "made-from.json"
DECIDING = ("spavl", "torch", "transformers", "peft", "accelerate")
"""Packages whose versions decide what comes out of a training."""


def align(
    shop: Workshop,
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
    say_what_changed(shop)
    settings = _settings(shop, changed or {})
    reward = _reward(shop, settings, pairs, limit)
    rows = _rows(shop, pairs, limit)
    folder = shop.run.align / name
    made_from = _made_from(rows, settings, reward)
    shop.run.note(aligned={name: {"method": settings.method, "blind": settings.blind, "pairs": len(rows)}})
    made = _result(shop, name, settings)
    if made and _kept(folder) == made_from:
        shop.watch.say(f"  align {name:<28} kept: nothing it was made from has changed")
        return made
    shop.free()
    (folder / MADE_FROM).unlink(missing_ok=True)
    with shop.stage(f"align {name}") as counts:
        counts["pairs"] = len(rows)
        _train(shop, settings, rows, folder, reward)
    write_json(folder / MADE_FROM, made_from)
    made = _result(shop, name, settings)
    assert made is not None, "a training leaves a model"
    return made


def _result(shop: Workshop, name: str, settings: AlignSettings) -> Path | None:
    """What a training has left: a reward model's folder, a checkpoint, or an adapter where nothing is to be merged."""
    folder = shop.run.align / name
    if settings.method == "reward":
        return folder if folder.is_dir() else None
    made = shop.run.aligned().get(name)
    return made if made and (made.name == "checkpoint" or not settings.saving.merged) else None


def _train(shop: Workshop, settings: AlignSettings, rows: Sequence[Pair], folder: Path, reward: Path | None) -> None:
    match settings.method:
        case "dpo":
            from spavl.align.dpo import train_dpo

            train_dpo(rows, settings, folder, panel=make_panel(shop), watch=shop.watch)
        case "reward":
            from spavl.align.reward import train_reward

            made = train_reward(rows, settings=settings, out=folder, watch=shop.watch)
            if made.held_out:
                shop.run.note(reward_model=asdict(made.held_out))
        case "ppo":
            from spavl.align.ppo import train_ppo

            assert reward is not None
            train_ppo(rows, settings=settings, reward=reward, out=folder, panel=make_panel(shop), watch=shop.watch)


def _reward(shop: Workshop, settings: AlignSettings, pairs: Path | None, limit: int | None) -> Path | None:
    """The reward model that PPO needs: the one named, or one trained first on the same pairs."""
    if settings.method != "ppo":
        return None
    if settings.reward.folder:
        return Path(settings.reward.folder)
    return align(shop, name="reward", pairs=pairs, limit=limit, changed={"method": "reward"})


def _rows(shop: Workshop, pairs: Path | None, limit: int | None) -> list[Pair]:
    try:
        from spavl.align.pairs import read_pairs
        from spavl.align.trainer import PairTrainer as _needs_torch  # noqa: F401
    except ModuleNotFoundError as missing:
        raise MissingExtra(
            f"Alignment needs {missing.name}, which is not installed", try_="pip install 'spavl[align]'"
        ) from missing
    if pairs is None and not shop.run.dataset.is_dir():
        raise DataError(
            "This run has no dataset yet",
            where=str(shop.run.folder),
            try_="run `spavl build` first, or name `--pairs FILE`",
        )
    rows = read_pairs(pairs or shop.run.dataset, limit=limit)
    _refuse_heldout(shop, rows)
    return rows


def _settings(shop: Workshop, changed: Mapping[str, Any]) -> AlignSettings:
    """The settings with the arm's changes, the model as a folder, and the run's seed laid over the training's own."""
    settings = shop.settings.align
    spec = LocalSpec(name="base", path=settings.model, revision=settings.revision)
    seed = shop.settings.seed if settings.seed is None else settings.seed
    laid = {"model": str(find_checkpoint(spec).folder), "seed": seed, **changed}
    return AlignSettings.model_validate(merge(settings.model_dump(), laid))


def _refuse_heldout(shop: Workshop, rows: Sequence[Pair]) -> None:
    """Assert that no pair of a held-out subcategory of this run is trained on."""
    if not shop.run.pairs.exists():
        return
    heldout = {p.pair_id for p in read_table(shop.run.pairs, PreferencePair) if p.query.image.heldout}
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
