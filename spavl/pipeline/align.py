"""Preference pairs → checkpoint. A training is kept with a record of what it was made from, and done once."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from spavl.config import AlignSettings, LocalSpec
from spavl.config.load import merge
from spavl.errors import DataError, MissingExtra, SettingsError
from spavl.models.identity import find_checkpoint
from spavl.pipeline.build import keep_sections
from spavl.pipeline.session import Session
from spavl.pipeline.validation import Validation, make_validation
from spavl.run import Run
from spavl.tables.query import query

if TYPE_CHECKING:
    from spavl.align.training.record import TrainingRecord
    from spavl.preferences.pairs import Pair
    from spavl.preferences.table import PairTable

PACKAGES = ("torch", "transformers", "peft", "safetensors", "jaxtyping", "accelerate", "datasets")
"""What training needs beyond the base install: the extra `align`."""
REWARD = "reward"
"""Name of the reward model that PPO trains first, where its settings name none."""
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
"""Names of trainings."""
DEVICES = {"con", "prn", "aux", "nul", *(f"{port}{number}" for port in ("com", "lpt") for number in range(1, 10))}
"""What no file may be called on Windows, whatever its ending."""


def align(
    session: Session,
    *,
    name: str,
    pairs: Path | None = None,
    limit: int | None = None,
    changed: Mapping[str, Any] | None = None,
    replace: bool = False,
    for_ppo: bool = False,
) -> Path:
    """Align the settings' model by their method. Returns the folder of a checkpoint, an adapter or a reward model.

    A model that was made from the same pairs, model and settings is kept as it is, and a stopped training goes on. The
    run folder's own files are touched when the training is finished, and not before.

    Args:
        session: the settings and the run folder.
        name: of the result, `RUN/align/NAME`.
        pairs: a file or folder in one of the public forms; the run's own training split unless given.
        limit: most pairs to train on.
        changed: a tree of overrides of the align settings.
        replace: delete another training of that name, and of the reward model that PPO trains first.
        for_ppo: this is the reward model that PPO trains first.

    Raises:
        MissingExtra: the packages of the extra `align` are not installed.
        DataError: there is no dataset, or pairs of held-out subcategories are among those to be trained on.
        SettingsError: nothing can be called by that name, or PPO's reward model is.
        RunError: there is another training of that name.
    """
    check_training_packages()
    training_folder(session, name)
    settings = align_settings(session, changed or {})
    _refuse_name_of_reward_model(name, settings)
    trained_on = _open_pairs(session, settings, pairs, limit)
    reward = _reward(session, settings, pairs, limit, replace=replace)
    return train_on(session, trained_on, settings, name=name, reward=reward, replace=replace, for_ppo=for_ppo)


def train_on(
    session: Session,
    trained_on: Sequence[Pair],
    settings: AlignSettings,
    *,
    name: str,
    reward: Path | None = None,
    replace: bool = False,
    for_ppo: bool = False,
) -> Path:
    """Align a model with given pairs, as `align` does. Returns the folder of what was made.

    Args:
        session: the run folder, and the benchmarks of in-loop validation.
        trained_on: the pairs.
        settings: of the training, from `align_settings`.
        name: of the result, `RUN/align/NAME`.
        reward: folder of PPO's reward model.
        replace: delete another training of that name.
        for_ppo: this is the reward model that PPO trains first.

    Raises:
        DataError: pairs cannot be trained on.
        SettingsError: nothing can be called by that name, or the settings do not fit.
        RunError: there is another training of that name.
    """
    from spavl.align.training.record import TrainingRecord, read_finished, refuse_other_training

    folder = training_folder(session, name)
    validation = validation_of(session, settings)
    items = validation.identity if validation else None
    record = TrainingRecord.of(trained_on, settings, items=items, **(reward_identity(reward) if reward else {}))
    if read_finished(folder, record) and (made := _result(folder, settings, merges=session.first)):
        session.progress.log(f"  align {name:<28} kept: made from the same pairs, model and settings")
    else:
        refuse_other_training(folder, record, replace=replace)
        session.free()
        with session.stage(f"align {name}") as counts:
            counts["pairs"] = len(trained_on)
            _train(session, settings, trained_on, folder, TrainingOptions(record, reward, validation, replace, for_ppo))
        made = _result(folder, settings, merges=session.first)
    assert made is not None, "a training leaves a model"
    if session.first:
        facts = {"method": settings.method, "blind": settings.blind, "pairs": len(trained_on)}
        session.run.note(aligned={name: facts})
        keep_sections(session, "align")
    return made


def validation_of(session: Session, settings: AlignSettings) -> Validation | None:
    """In-loop validation of a training; None where there is none.

    Args:
        session: the benchmarks' settings, and the run folder.
        settings: of the training.

    Raises:
        SettingsError: the benchmarks have no items for safety, for over-refusal, or for skill.
    """
    return None if settings.method == "reward" else make_validation(session, settings.validation)


@dataclass(frozen=True, slots=True)
class TrainingOptions:
    """What a training is told beside its settings and pairs."""

    record: TrainingRecord
    """What it is made from."""
    reward: Path | None
    """Folder of PPO's reward model."""
    validation: Validation | None
    """In-loop validation, where it is asked for."""
    replace: bool
    """Delete another training in the folder."""
    for_ppo: bool
    """This is the reward model that PPO trains first."""


def training_folder(session: Session, name: str) -> Path:
    """The folder of a training in the run folder, after a look at its name.

    Args:
        session: the settings and the run folder.
        name: of the training.

    Raises:
        SettingsError: it is no name of a folder, or another model's in tables of scores.
    """
    if not NAME.fullmatch(name) or name.endswith(".") or name.partition(".")[0].lower() in DEVICES:
        raise SettingsError(
            f"`{name}` cannot be the name of a training", where="--name",
            try_="letters, digits, `.`, `_` and `-`, such as `dpo-2`; it becomes a folder in RUN/align",
        )  # fmt: skip
    if name in {"base", *(spec.name for spec in session.settings.models)}:
        raise SettingsError(
            f"`{name}` is the name of another model, beside which this one will stand in tables of scores",
            where="--name", try_=f"another, such as `{name}-aligned`",
        )  # fmt: skip
    return session.run.align / name


def _refuse_name_of_reward_model(name: str, settings: AlignSettings) -> None:
    """Refuse PPO in the folder where it trains its reward model first."""
    if settings.method == "ppo" and not settings.reward.folder and name.lower() == REWARD:
        raise SettingsError(
            f"`{name}` is the name of the reward model that PPO trains first", where="--name",
            try_="another, such as `ppo`; or name a reward model with align.reward.folder",
        )  # fmt: skip


def check_training_packages() -> None:
    """Refuse to begin a training whose packages are not installed, before any work is done.

    Raises:
        MissingExtra: a package of the extra `align` is not installed.
    """
    if missing := [name for name in PACKAGES if find_spec(name) is None]:
        raise MissingExtra(
            f"Alignment needs packages that are not installed: {', '.join(missing)}", try_="pip install 'spavl[align]'"
        )


def _result(folder: Path, settings: AlignSettings, *, merges: bool) -> Path | None:
    """The folder that a finished training leaves: of a reward model, a checkpoint, or an adapter that is not to be
    merged. An adapter that is to be merged now is merged by the process that `merges`: nothing is trained for it."""
    if settings.method == "reward":
        return folder
    checkpoint, adapter = folder / "checkpoint", folder / "adapter"
    if checkpoint.is_dir() or not adapter.is_dir():
        return checkpoint if checkpoint.is_dir() else None
    if settings.saving.merged and merges:
        from spavl.align.policy.checkpoint import merge_adapter

        return merge_adapter(adapter, checkpoint, settings)
    return adapter


def _train(
    session: Session, settings: AlignSettings, pairs: Sequence[Pair], folder: Path, options: TrainingOptions
) -> None:
    given: dict[str, Any] = {"record": options.record, "replace": options.replace, "progress": session.progress}
    match settings.method:
        case "dpo":
            from spavl.align.dpo.train import train_dpo

            train_dpo(pairs, settings, folder, validation=options.validation, **given)
        case "reward":
            from spavl.align.reward.train import train_reward

            made = train_reward(pairs, settings, folder, for_ppo=options.for_ppo, **given)
            if made.held_out and session.first:
                session.run.note(reward_model=asdict(made.held_out))
        case "ppo":
            from spavl.align.ppo.train import train_ppo

            assert options.reward is not None
            train_ppo(pairs, settings, folder, reward=options.reward, validation=options.validation, **given)


def _reward(
    session: Session, settings: AlignSettings, pairs: Path | None, limit: int | None, *, replace: bool
) -> Path | None:
    """The reward model that PPO needs: the one named, or one trained first, on the pairs that the settings
    name or the same."""
    if settings.method != "ppo":
        return None
    from spavl.align.ppo.train import refuse_impossible_rounds

    refuse_impossible_rounds(settings)
    if settings.reward.folder:
        return Path(settings.reward.folder)
    own = settings.reward.pairs
    given: dict[str, Any] = {"pairs": Path(own) if own else pairs, "limit": limit, "replace": replace}
    return align(session, name=REWARD, changed={"method": "reward", "reward": {"pairs": None}}, for_ppo=True, **given)


def reward_identity(reward: Path) -> dict[str, str]:
    """What names PPO's reward model in the record of a training.

    Args:
        reward: its folder.

    Raises:
        ModelError: there is no reward model.
    """
    from spavl.align.reward.model import reward_identity as identity_of

    return {"reward_model": identity_of(reward)}


def _open_pairs(session: Session, settings: AlignSettings, pairs: Path | None, limit: int | None) -> PairTable:
    from spavl.preferences.pairs import Reading
    from spavl.preferences.table import open_pairs

    if pairs is None and not session.run.dataset.is_dir():
        raise DataError(
            "This run has no dataset yet",
            where=str(session.run.folder),
            try_="run `spavl build` first, or name `--pairs FILE`",
        )
    data = settings.data
    reading = Reading(data.thought)
    if pairs:
        reading = Reading(data.thought, data.form, data.prefer, unpaired=settings.reads_unpaired)
    cache = Path(settings.machine.pairs_cache)
    found = open_pairs(pairs or session.run.dataset, cache=cache, limit=limit, reading=reading)
    refuse_heldout(session.run, found)
    return found


def align_settings(session: Session, changed: Mapping[str, Any]) -> AlignSettings:
    """The align settings with overrides, the model as a folder, and the run's seed where they name none.

    Args:
        session: the settings.
        changed: a tree of overrides of the align settings.

    Raises:
        ModelError: there is no such model.
    """
    settings = session.settings.align
    spec = LocalSpec(name="base", path=settings.model, revision=settings.revision)
    found = find_checkpoint(spec)  # an adapter stands for its base with that adapter
    seed = session.settings.seed if settings.seed is None else settings.seed
    overrides = {"model": str(found.adapter or found.folder), "seed": seed, **changed}
    return AlignSettings.model_validate(merge(settings.model_dump(), overrides))


def refuse_heldout(run: Run, pairs: PairTable) -> None:
    """Refuse pairs of a run's held-out subcategories.

    Args:
        run: the run whose dataset they may be of.
        pairs: that are to be trained on.

    Raises:
        DataError: some are of held-out subcategories.
    """
    if not run.pairs.exists():
        return
    heldout = [row[0] for row in query("SELECT pair_id FROM pairs WHERE heldout", pairs=run.pairs)]
    ids = pairs.column("pair_id")
    found = ids.filter(pc.is_in(ids, value_set=pa.array(heldout, pa.string())))
    if len(found):
        raise DataError(
            f"{len(found)} pairs of held-out subcategories are among those to be trained on", where=found[0].as_py(),
            try_="leave out `--pairs`, or name the file data/train.parquet of the dataset",
        )  # fmt: skip
