"""Arms × seeds → distinct trainings: what is equal is trained once, and what is finished already is found by its id."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from spavl.config import AlignSettings, LocalSpec, Settings, load_settings
from spavl.config.load import merge
from spavl.config.study import DatasetChoice, StudySettings, nested
from spavl.errors import SettingsError
from spavl.pipeline.align import check_training_packages, reward_identity, validation_of
from spavl.pipeline.evaluate import base_of
from spavl.pipeline.session import Session
from spavl.preferences.dataset import PreferenceDataset
from spavl.preferences.table import PairTable, select
from spavl.progress import NoProgress, Progress
from spavl.study.arm import Arm, ArmPairs
from spavl.study.arms import arms_of, refuse_names_of_bases
from spavl.study.results import BASE
from spavl.study.selection import draw
from spavl.study.source import StudySource

if TYPE_CHECKING:
    from spavl.align.training.record import TrainingRecord

MODEL, REWARD = "model", "reward"
"""Name of what is trained, in the run folder of its training."""
WORLD = "world"
"""Folder of drawn and unpacked pictures of benchmarks beside the trainings, which all of them share."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedTraining:
    """A training that a study needs, and where it is, or will be."""

    id: str
    """Hash of its record; of PPO with the id of its reward model's training in place of that model's hash."""
    settings: Settings
    """All settings of its run."""
    dataset: DatasetChoice | None
    """Which dataset its pairs are of; None: the study's."""
    numbers: np.ndarray = field(repr=False, compare=False)
    """Numbers of its pairs in that dataset, int64 [P]."""
    model: str = ""
    """Identity of the model that it begins with."""
    reward: str = ""
    """With PPO: id of the training of its reward model."""
    for_ppo: bool = False
    """Whether this is the reward model of a training with PPO."""

    @property
    def folder(self) -> Path:
        """Its run folder."""
        return Path(self.settings.out)

    @property
    def name(self) -> str:
        """Name of what is trained in that folder."""
        return REWARD if self.for_ppo else MODEL

    @property
    def reward_folder(self) -> Path | None:
        """With PPO: folder of a reward model that the settings name; None where one is trained first."""
        align = self.settings.align
        return Path(align.reward.folder) if align.method == "ppo" and align.reward.folder else None

    @property
    def made(self) -> Path:
        """Folder of what is trained."""
        return self.folder / "align" / self.name

    @property
    def is_finished(self) -> bool:
        """Whether it has been trained."""
        return (self.made / "training.json").is_file()


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedBase:
    """A model before training, evaluated in a run folder of its own."""

    arm: str
    """Name of its arm in the results."""
    label: str
    """The same for readers."""
    settings: Settings
    """All settings of its run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyPlan:
    """What a study trains and evaluates."""

    name: str
    """Name of the study."""
    folder: Path
    """Its folder."""
    source: StudySource
    """Its settings, and the run that it is about."""
    arms: Sequence[Arm]
    """What it compares."""
    rows: Sequence[tuple[Arm, int, str]]
    """Arm, seed, and id of the training, for every arm and seed."""
    trainings: Mapping[str, PlannedTraining]
    """The distinct trainings by id, reward models before the trainings that need them."""
    bases: Mapping[str, PlannedBase]
    """Models before training, by the name of every arm that is compared with them."""

    @property
    def study(self) -> StudySettings:
        """Settings of the study."""
        return self.source.study

    @property
    def shared(self) -> int:
        """Trainings that arms and seeds have in common with others, and that are made once."""
        return len(self.rows) - len({training for *_, training in self.rows})

    def arms_of(self, training: str) -> list[tuple[Arm, int]]:
        """The arms and seeds that need a training.

        Args:
            training: its id.
        """
        ppo = {one.id for one in self.trainings.values() if one.reward == training}
        return [(arm, seed) for arm, seed, own in self.rows if own == training or own in ppo]


def plan_study(source: StudySource, name: str, folder: Path, progress: Progress | None = None) -> StudyPlan:
    """What a study trains. Pairs are drawn and models' weights read for their hash; nothing is trained.

    Args:
        source: the study and the run that it is about.
        name: of the study.
        folder: of the study.
        progress: gets a bar.

    Raises:
        MissingExtra: the packages of the extra `align` are not installed.
        DataError: there are no pairs for an arm.
        SettingsError: an arm's changes are no settings.
        ModelError: there is no such model.
    """
    check_training_packages()
    arms = arms_of(source)
    refuse_names_of_bases(arms)
    refuse_seeds(source.study, arms)
    planner = _Planner(source)
    rows: list[tuple[Arm, int, str]] = []
    total = len(arms) * len(source.study.seeds)
    with (progress or NoProgress()).bar(f"plan {name}") as on_progress:
        for arm in arms:
            for seed in source.study.seeds:
                rows.append((arm, seed, planner.add(arm, seed)))
                on_progress(len(rows), total)
    return StudyPlan(name=name, folder=folder, source=source, arms=arms, rows=rows, trainings=planner.trainings,
                     bases=planner.bases(arms))  # fmt: skip


class _Planner:
    """Collects the distinct trainings of a study."""

    def __init__(self, source: StudySource) -> None:
        self.source = source
        self.trainings: dict[str, PlannedTraining] = {}
        self._identities: dict[tuple[str, str | None], str] = {}
        self._items: dict[str, str | None] = {}
        self._drawn: dict[tuple[ArmPairs, int, bool], np.ndarray] = {}
        self._opened: dict[tuple[DatasetChoice | None, bool], PreferenceDataset] = {}

    def add(self, arm: Arm, seed: int) -> str:
        """Plan the training of an arm with a seed. Returns its id."""
        own = arm_settings(self.source.settings, arm, seed)
        reward = ""
        if own.method == "ppo" and not own.reward.folder:
            of_reward = reward_settings(self.source.settings, arm, seed, nested(self.source.study.reward))
            reward = self._plan(self._on_own_pairs(arm, own), seed, of_reward, for_ppo=True)
            own = own.model_copy(update={"reward": own.reward.model_copy(
                update={"folder": str(self.trainings[reward].made)})})  # fmt: skip
        return self._plan(arm, seed, own, reward=reward)

    def bases(self, arms: Sequence[Arm]) -> dict[str, PlannedBase]:
        """The models before training, by name of the arm."""
        found: dict[str, tuple[LocalSpec, PlannedBase]] = {}
        seed = self.source.study.seeds[0]
        of_arm = {arm.name: self._with(arm_settings(self.source.settings, arm, seed)) for arm in arms}
        specs = {name: base_of(settings) for name, settings in of_arm.items()}
        alone = len({spec.model_dump_json() for spec in specs.values()}) == 1
        for arm in arms:
            spec = specs[arm.name]
            same = next((base for known, base in found.values() if known == spec), None)
            found[arm.name] = (spec, same or self._base(arm, of_arm[arm.name], alone=alone))
        return {name: base for name, (_, base) in found.items()}

    def _base(self, arm: Arm, settings: Settings, *, alone: bool) -> PlannedBase:
        spec = base_of(settings)
        name = f"base-{_hash(self._identity(settings.align), spec.device, spec.dtype, spec.max_pixels)}"
        label = "Before training" if alone else f"{arm.label} before training"
        return PlannedBase(arm=BASE if alone else f"{BASE}-{arm.name}", label=label,
                           settings=self._with(settings.align, name))  # fmt: skip

    def _on_own_pairs(self, arm: Arm, align: AlignSettings) -> Arm:
        """The arm with the pairs of its reward model: all of those that `reward.pairs` names, or the arm's own."""
        if not align.reward.pairs:
            return arm
        choice = DatasetChoice(path=align.reward.pairs, form=align.data.form, prefer=align.data.prefer)
        return replace(arm, pairs=ArmPairs(dataset=choice))

    def _plan(self, arm: Arm, seed: int, align: AlignSettings, *, reward: str = "", for_ppo: bool = False) -> str:
        table, numbers = self._pairs(arm, seed, align)
        record = self._record(table, numbers, align, reward)
        settings = self._with(align, record.id)
        self.trainings.setdefault(record.id, PlannedTraining(
            id=record.id, settings=settings, dataset=arm.pairs.dataset, numbers=numbers, reward=reward,
            for_ppo=for_ppo, model=self._identity(align),
        ))  # fmt: skip
        return record.id

    def _pairs(self, arm: Arm, seed: int, align: AlignSettings) -> tuple[PairTable, np.ndarray]:
        read, key = (arm.pairs.dataset, align.reads_unpaired), (arm.pairs, seed, align.reads_unpaired)
        if read not in self._opened:
            self._opened[read] = self.source.dataset(arm.pairs.dataset, align)
        if key not in self._drawn:
            self._drawn[key] = draw(self._opened[read].rows, arm.pairs, seed)
        return self._opened[read].pairs, self._drawn[key]

    def _record(self, table: PairTable, numbers: np.ndarray, align: AlignSettings, reward: str) -> TrainingRecord:
        from spavl.align.training.record import TrainingRecord

        more = {}
        if align.method == "ppo":
            more = {"reward_model": reward} if reward else reward_identity(Path(str(align.reward.folder)))
        return TrainingRecord.of(select(table, numbers), align, items=self._validated(align),
                                 identity=self._identity(align), **more)  # fmt: skip

    def _identity(self, align: AlignSettings) -> str:
        from spavl.align.training.record import model_identity

        key = (align.model, align.revision)
        if key not in self._identities:
            self._identities[key] = model_identity(align)
        return self._identities[key]

    def _validated(self, align: AlignSettings) -> str | None:
        """Hash of the items of in-loop validation."""
        if align.method == "reward" or align.validation.every is None:
            return None
        key = align.validation.model_dump_json()
        if key not in self._items:
            with Session(self._with(align), NoProgress(), look_only=True) as session:
                made = validation_of(session, align)
            self._items[key] = made.identity if made else None
        return self._items[key]

    def _with(self, align: AlignSettings, name: str = "") -> Settings:
        """The settings of a run of the study."""
        out = Path(self.source.study.trainings) / name
        return self.source.settings.model_copy(update={"align": align, "out": str(out)})


def refuse_seeds(study: StudySettings, arms: Sequence[Arm]) -> None:
    """Refuse a seed beside the study's own: trainings of one seed would count as several.

    Args:
        study: its settings.
        arms: its arms.

    Raises:
        SettingsError: `changed`, the reward models of all arms, an arm or its reward model name a seed.
    """
    trees = {
        "`changed` of the study, below `align`": nested(study.changed).get("align"),
        "`reward` of the study": nested(study.reward),
        **{f"arm `{arm.name}` of the study": arm.align for arm in arms},
        **{f"the reward model of arm `{arm.name}`": arm.reward for arm in arms},
    }
    for where, tree in trees.items():
        if isinstance(tree, Mapping) and "seed" in tree:
            what = "A `seed` is named, and every arm is trained with each of the study's `seeds`"
            raise SettingsError(what, where=where, try_="take it out: trainings of one seed would count as several")


def arm_settings(settings: Settings, arm: Arm, seed: int) -> AlignSettings:
    """The align settings of an arm.

    References are cached and adapters not merged, unless the settings file of the run or the study's `changed` says
    otherwise: neither changes what is trained.

    Args:
        settings: of the run.
        arm: the arm.
        seed: of the training.

    Raises:
        SettingsError: the arm's changes are no settings.
    """
    return _validated(merge(_defaults(settings, seed), dict(arm.align)), arm)


def reward_settings(settings: Settings, arm: Arm, seed: int, changed: Mapping[str, Any]) -> AlignSettings:
    """The align settings of the reward model of an arm with PPO.

    Those of PPO are the arm's: a reward model is not trained where PPO would find its prompts too long.

    Args:
        settings: of the run.
        arm: the arm.
        seed: of the training.
        changed: the study's overrides for all reward models, nested.

    Raises:
        SettingsError: its changes are no settings.
    """
    of_arm = {key: arm.align[key] for key in ("model", "revision", "ppo") if key in arm.align}
    tree = merge(merge(_defaults(settings, seed), of_arm), {"method": "reward", "reward": {"pairs": None}})
    return _validated(merge(merge(tree, dict(changed)), dict(arm.reward)), arm)


def _defaults(settings: Settings, seed: int) -> dict[str, Any]:
    align = settings.align
    tree = merge(align.model_dump(), {"seed": seed})
    for cache in ("reference", "features"):  # many trainings see the same pairs and pictures
        if tree.get(cache, {}).get("mode") == "auto":
            tree[cache]["mode"] = "cached"
    if "merged" not in align.saving.model_fields_set:
        tree["saving"]["merged"] = False
    return tree


def _validated(tree: dict[str, Any], arm: Arm) -> AlignSettings:
    try:
        return load_settings(AlignSettings, None, defaults=tree)
    except SettingsError as error:
        raise SettingsError(error.what, where=f"arm `{arm.name}` of the study, settings below `align`",
                            try_="`spavl settings align` explains every setting") from None  # fmt: skip


def _hash(*parts: object) -> str:
    return sha256("\0".join(map(str, parts)).encode()).hexdigest()[:16]


def waves(trainings: Mapping[str, PlannedTraining]) -> Iterator[list[PlannedTraining]]:
    """The trainings in groups of which each needs only what the groups before it make.

    Args:
        trainings: by id.
    """
    rewards = [one for one in trainings.values() if one.for_ppo]
    yield from filter(None, (rewards, [one for one in trainings.values() if not one.for_ppo]))
