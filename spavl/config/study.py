"""Settings of a study: which question it asks, of which run, with how many pairs and seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import AfterValidator, BeforeValidator, Field, PlainValidator, PositiveInt, model_validator

from spavl.config.align import FreezeSettings, PairForm, Preference
from spavl.config.base import Section, refuse_twice
from spavl.config.include import include
from spavl.config.load import apply_override, load_settings, merge, read_yaml
from spavl.config.models import Label
from spavl.errors import SettingsError
from spavl.records import QuestionType

Tree = dict[str, Any]
"""Overrides of settings: nested mappings, whose keys may be dotted, such as `{loss.beta: 0.2}`."""
Share = Annotated[float, Field(ge=0, le=1)]
SHIPPED = ("demo", "demo-real")
"""Settings of runs that ship with the package."""


def nested(tree: Mapping[str, Any]) -> Tree:
    """A tree of overrides whose dotted keys are nested.

    Args:
        tree: overrides, such as `{"loss.beta": 0.2, "freeze": {"language": "full"}}`.
    """
    found: Tree = {}
    for key, value in tree.items():
        inner = nested(value) if isinstance(value, dict) else value
        for name in reversed(str(key).split(".")):  # YAML reads `on`, for one, as no text
            inner = {name: inner}
        found = merge(found, inner)
    return found


def _seeds(seeds: tuple[int, ...]) -> tuple[int, ...]:
    refuse_twice([str(seed) for seed in seeds])
    return seeds


def _size(size: Any) -> Any:
    if size != "all" and (not isinstance(size, int) or isinstance(size, bool) or size < 1):
        raise ValueError("should be a number of pairs above 0, or `all`")
    return size


def _bags(bags: Any) -> Any:
    return {} if bags == "auto" else bags


Size = Annotated[int | Literal["all"], PlainValidator(_size)]
"""A number of pairs, or all of them."""


class StudyCommon(Section):
    """What studies of every kind have in common."""

    settings: str | None = None
    """Settings file of the run that the study is about, named from the study's own folder; or one that ships: `demo`,
    `demo-real`. It names the model, the pairs, the training and the benchmarks."""
    run: str | None = None
    """A run folder in place of `settings`: its pairs and its settings, as it was run."""
    changed: Tree = {}
    """Overrides of these settings for every arm, such as `{align.loss.beta: 0.2}`."""
    reward: Tree = {}
    """Overrides of `align` for the reward models that arms with `method: ppo` train first. What an arm itself changes
    counts for the model that is aligned, and for its reward model only where it is the model or `ppo`."""
    pairs: str | None = None
    """Preference pairs in place of the run's own: a file or folder in one of the public forms."""
    build: bool = False
    """Build the run's dataset first, where it is not there. False: that is refused, for it may cost money."""
    seeds: Annotated[tuple[int, ...], Field(min_length=1), AfterValidator(_seeds)] = (1, 2, 3)
    """Seeds of the trainings of every arm: of the pairs that are drawn, their order, and new adapter weights."""
    size: PositiveInt | None = None
    """Pairs that every arm is trained on. None: as many as all arms have, or all pairs where arms do not choose any."""
    out: str | None = None
    """Folder of the study. None: `studies/NAME`, after the study's file."""
    trainings: str = "studies/runs"
    """Folder of the trainings, a run folder each. What two arms or two studies have in common is trained once."""
    at_once: PositiveInt = 1
    """Trainings that run side by side on this machine, in processes of their own, which share its cores. With `runner:
    ray` in the run's settings Ray decides."""
    title: str = ""
    """Heading of the study's page. Empty: the name of the study."""

    @model_validator(mode="after")
    def _is_about_one_run(self) -> StudyCommon:
        if (self.settings is None) == (self.run is None):
            raise ValueError("a study is about one run: name its `settings` file, or the folder of a `run`")
        return self


class ScaleStudy(StudyCommon):
    """How much data is enough: nested subsets of the pairs."""

    kind: Literal["scale"] = "scale"
    """What the study asks."""
    sizes: Annotated[tuple[Size, ...], Field(min_length=2)]
    """Numbers of pairs. The subset of one size is inside that of every larger one; subcategories, types of questions
    and harmless pairs keep their shares. `all`: every pair."""

    @model_validator(mode="after")
    def _names_no_other_size(self) -> ScaleStudy:
        if self.size is not None:
            raise ValueError("`size` is of studies whose arms have equally many pairs, and this one has `sizes`")
        return self


class SourcesStudy(StudyCommon):
    """Whose answers are worth comparing: pairs of the answers of some responders, equally many of every bag."""

    kind: Literal["sources"] = "sources"
    """What the study asks."""
    bags: Annotated[dict[Label, Annotated[tuple[str, ...], Field(min_length=1)]], BeforeValidator(_bags)] = {}
    """Names of responders by bag; both answers of a pair are theirs. `auto`, or none
    named: the safest, relatively safe and least safe ones by the unsafe rates that the run measured."""
    all: bool = True
    """Also train on pairs of all responders."""


class QuestionsStudy(StudyCommon):
    """Which type of question teaches most: pairs of one type, equally many of each."""

    kind: Literal["questions"] = "questions"
    """What the study asks."""
    types: Annotated[tuple[QuestionType, ...], Field(min_length=1)] = (
        "easy_question", "hard_question", "hard_statement",
    )  # fmt: skip
    """Types of questions, an arm each."""
    mixed: bool = True
    """Also train on pairs of all types."""


class FreezeStudy(StudyCommon):
    """How much of the model is worth training."""

    kind: Literal["freeze"] = "freeze"
    """What the study asks."""
    modes: Annotated[dict[Label, Tree], Field(min_length=2)] = {
        "as-set": {},
        "no-projector": {"projector": "frozen"},
        "vision-last-2": {"vision": "last:2"},
        "vision-lora": {"vision": "lora"},
        "vision-full": {"vision": "full"},
    }
    """Overrides of `align.freeze` by name of the mode."""

    @model_validator(mode="after")
    def _modes_are_settings(self) -> FreezeStudy:
        for name, mode in self.modes.items():
            if unknown := [key for key in mode if key not in FreezeSettings.model_fields]:
                known = ", ".join(FreezeSettings.model_fields)
                raise ValueError(f"mode `{name}`: `{unknown[0]}` is no setting of `align.freeze` (there are: {known})")
        return self


class MethodStudy(StudyCommon):
    """Which way of training: losses, reinforcement learning, with whatever else the arms change."""

    kind: Literal["method"] = "method"
    """What the study asks."""
    arms: Annotated[dict[Label, Tree], Field(min_length=2)]
    """Overrides of `align` by name of the arm, such as `{ipo: {loss.kind: ipo}}`."""
    rewards: dict[Label, Tree] = {}
    """Overrides of `align` for the reward model of an arm with `method: ppo`, by name of the arm, over `reward`."""


class FamilyModel(Section):
    """One of the models of a study of families."""

    model: str
    """A checkpoint folder, a Hub id, or `miniworld:<name>`."""
    revision: str | None = None
    """Commit of a Hub id."""
    changed: Tree = {}
    """Overrides of `align` for this model."""


class FamiliesStudy(StudyCommon):
    """Whether it holds for other models: the same pairs, several models."""

    kind: Literal["families"] = "families"
    """What the study asks."""
    models: Annotated[dict[Label, FamilyModel], Field(min_length=2)]
    """The models by name."""


class DatasetChoice(Section):
    """One of the datasets of a study of datasets."""

    path: str | None = None
    """A file or folder in one of the public forms, or a dataset on the Hub. None: the run's own pairs."""
    form: PairForm | None = None
    """Form of the file. None: told by its columns; needed only where they fit several."""
    prefer: Preference | None = None
    """Which answer is preferred, where the file says of two which is safer and which is more helpful."""


class DatasetsStudy(StudyCommon):
    """Which dataset: ours and those of others, equally many pairs of each."""

    kind: Literal["datasets"] = "datasets"
    """What the study asks."""
    datasets: Annotated[dict[Label, DatasetChoice], Field(min_length=2)]
    """The datasets by name."""


class MixStudy(StudyCommon):
    """How many harmless pairs: safety against over-refusal."""

    kind: Literal["mix"] = "mix"
    """What the study asks."""
    shares: Annotated[tuple[Share, ...], Field(min_length=2)] = (0.0, 0.1, 0.2, 0.3, 0.5)
    """Shares of the pairs that are about harmless pictures."""


class GridStudy(StudyCommon):
    """All combinations of some settings of the training."""

    kind: Literal["grid"] = "grid"
    """What the study asks."""
    axes: Annotated[dict[str, tuple[Any, ...]], Field(min_length=1)]
    """Values by setting of `align`, such as `{loss.beta: [0.05, 0.1, 0.5]}`."""


class TransferStudy(StudyCommon):
    """Whether safety reaches kinds of harm that were never trained on: each group of subcategories is left out once."""

    kind: Literal["transfer"] = "transfer"
    """What the study asks."""
    leave_out: Literal["domains"] | dict[Label, Annotated[tuple[str, ...], Field(min_length=1)]] = "domains"
    """Subcategories that are left out together, by name of the group. `domains`: those of each domain of the
    taxonomy."""


StudySettings = (
    ScaleStudy | SourcesStudy | QuestionsStudy | FreezeStudy | MethodStudy | FamiliesStudy | DatasetsStudy | MixStudy
    | GridStudy | TransferStudy
)  # fmt: skip
"""The settings of a study that trains, of one of the kinds."""


class LongitudinalStudy(StudyCommon):
    """Whether harm of newer kinds gets past models, by the date on which items joined their benchmark.

    A benchmark file says that date in its column `added`. Nothing is trained. Run it again as benchmarks grow: only new
    items are asked."""

    kind: Literal["longitudinal"] = "longitudinal"
    """What the study asks."""
    models: Annotated[tuple[str, ...], Field(min_length=1)]
    """Models that answer: names of listed models, checkpoint folders or Hub ids, as `spavl evaluate --model` takes
    them; the others are compared with the first."""
    by: Literal["day", "month", "quarter", "year"] = "quarter"
    """How dates are put together."""

    @model_validator(mode="after")
    def _trains_nothing(self) -> LongitudinalStudy:
        unread = [name for name in ("pairs", "size", "build", "seeds", "at_once") if name in self.model_fields_set]
        if unread:
            raise ValueError(f"`{unread[0]}` is for studies that train, and this one asks models as they are")
        return self


AnyStudy = StudySettings | LongitudinalStudy
"""The settings of any study."""
KINDS: dict[str, type[StudyCommon]] = {kind.model_fields["kind"].default: kind for kind in get_args(AnyStudy)}
"""The kinds of studies by their word."""


def load_study(path: Path, overrides: Sequence[str] = ()) -> AnyStudy:
    """The settings of a study, validated.

    Args:
        path: its YAML file.
        overrides: `key.path=value`.

    Raises:
        SettingsError: the file is missing, names no kind of study, or something else in it is wrong.
    """
    tree = include(read_yaml(path), path, read_yaml)
    for override in overrides:
        if override.partition("=")[0] == "kind":
            apply_override(tree, override)
    named = tree.get("kind")
    if not isinstance(named, str) or named not in KINDS:
        said = "`kind` is missing" if named is None else f"`kind` is {named!r:.60}"
        raise SettingsError(f"{said}: what does the study ask?", where=str(path),
                            try_=f"`kind:` is one of {', '.join(KINDS)}")  # fmt: skip
    found: AnyStudy = load_settings(KINDS[named], path, overrides)  # type: ignore[assignment]  # of the union
    return found
