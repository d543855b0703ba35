"""What a study is about: the settings of its run, and the pairs that its arms choose from."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

from spavl.config import AlignSettings, Settings, load_settings
from spavl.config.include import include
from spavl.config.load import merge, read_yaml
from spavl.config.study import SHIPPED, DatasetChoice, StudyCommon, StudySettings, nested
from spavl.errors import DataError, RunError, SettingsError
from spavl.pipeline.align import refuse_heldout
from spavl.pipeline.build import build
from spavl.pipeline.session import Session
from spavl.preferences.dataset import PreferenceDataset, open_dataset
from spavl.preferences.pairs import Reading
from spavl.progress import Progress
from spavl.run import Run

NO_DATASET = {
    True: "run the study without `--check`, which builds nothing: its arms are known once its dataset is there",
    False: "`spavl build` makes it; or `build: true` in the study, or name `pairs`",
}
"""What to do where the run of a study has no dataset yet, by whether the study builds it."""


@dataclass(frozen=True, slots=True)
class StudySource:
    """The run that a study is about."""

    study: StudySettings
    """Settings of the study."""
    settings: Settings
    """Settings of the run, as the study changes them."""
    file: Path
    """File of the study."""
    allow_code: bool = False
    """Run Python classes of the user's own."""

    @property
    def run(self) -> Run:
        """The run whose pairs are taken, unless the study names others."""
        return Run(Path(self.settings.out))

    @property
    def has_pairs(self) -> bool:
        """Whether there are pairs to choose from."""
        return self.study.pairs is not None or self.run.dataset.is_dir()

    def dataset(self, choice: DatasetChoice | None = None, align: AlignSettings | None = None) -> PreferenceDataset:
        """The pairs that an arm chooses from, opened.

        Args:
            choice: the arm's dataset; None: the study's.
            align: of a training, which tells whether it reads single answers; None: that of the run.

        Raises:
            DataError: there is no dataset, or it holds pairs of held-out subcategories.
        """
        path, reading = self.pairs_at(choice, align)
        opened = open_dataset(path, cache=Path(self.settings.align.machine.pairs_cache), reading=reading)
        refuse_heldout(self.run, opened.pairs)
        return opened

    def pairs_at(self, choice: DatasetChoice | None = None, align: AlignSettings | None = None) -> tuple[str, Reading]:
        """Where the pairs of an arm are, and how they are read.

        Args:
            choice: the arm's dataset; None: the study's.
            align: of a training, which tells whether it reads single answers; None: that of the run.

        Raises:
            DataError: it is the run's own, which has none yet.
        """
        data, unpaired = self.settings.align.data, (align or self.settings.align).reads_unpaired
        if choice is not None and choice.path is not None:
            return choice.path, Reading(data.thought, choice.form, choice.prefer, unpaired=unpaired)
        if self.study.pairs is not None:
            return self.study.pairs, Reading(data.thought, data.form, data.prefer, unpaired=unpaired)
        if not self.has_pairs:
            raise DataError("The run of this study has no dataset yet", where=str(self.run.folder),
                            try_=NO_DATASET[self.study.build])  # fmt: skip
        return str(self.run.dataset), Reading(data.thought)


def build_pairs(source: StudySource, progress: Progress) -> None:
    """Build the dataset of a study's run where it is missing and the study asks for that.

    Args:
        source: the study.
        progress: shows bars.

    Raises:
        NothingMade: no pair was made.
    """
    if source.has_pairs or not source.study.build:
        return
    with Session(source.settings, progress, allow_code=source.allow_code) as session:
        build(session)


def folder_of(study: StudyCommon, file: Path) -> Path:
    """The folder of a study.

    Args:
        study: its settings.
        file: its file, whose name it takes unless the settings name a folder.
    """
    return Path(study.out) if study.out is not None else Path("studies") / file.stem


def refuse_trainings(study: StudySettings, file: Path) -> None:
    """Refuse a folder of trainings that is a file, or below one.

    Args:
        study: settings of the study.
        file: the study's file.

    Raises:
        SettingsError: `trainings` is no folder.
    """
    folder = Path(study.trainings)
    if found := next((one for one in (folder, *folder.parents) if one.is_file()), None):
        raise SettingsError(f"`{found}` is a file, and trainings need a folder", where=f"`trainings` of {file}",
                            try_="name a folder, such as `trainings=studies/runs`")  # fmt: skip


def open_source(study: StudySettings, file: Path, *, allow_code: bool = False) -> StudySource:
    """The run that a study is about, with its settings as the study changes them.

    Args:
        study: settings of the study.
        file: the study's file, from whose folder `settings` is named.
        allow_code: run Python classes of the user's own.

    Raises:
        SettingsError: there are no such settings, or a change of them is wrong.
        RunError: there is no such run.
    """
    return StudySource(study, settings_of(study, file), file, allow_code)


def settings_of(study: StudyCommon, file: Path) -> Settings:
    """The settings of the run that a study is about, as the study changes them.

    Args:
        study: settings of the study.
        file: the study's file, from whose folder `settings` is named.

    Raises:
        SettingsError: there are no such settings, or a change of them is wrong.
        RunError: there is no such run.
    """
    if study.run is not None:
        run = Run(Path(study.run)).found()
        tree, where = merge(run.settings_before(), {"out": study.run}), str(run.folder / "settings.yaml")
        if not run.settings_before():
            raise RunError("This run has no settings.yaml, so it is not known how it was made", where=str(run.folder),
                           try_="name the `settings` file in place of `run`")  # fmt: skip
        _forget_merged(tree)
    else:
        assert study.settings is not None, "a study names its run or the run's settings"
        tree, where = _settings_tree(study.settings, file)
    changed = nested(study.changed)
    try:
        settings = load_settings(Settings, None, defaults=merge(tree, changed))
    except SettingsError as error:
        also = f", with `changed` of {file}" if changed else ""
        raise SettingsError(error.what, where=where + also, try_=error.try_) from None
    return settings


def _forget_merged(tree: dict[str, Any]) -> None:
    """Take out whether adapters are merged: a run says all settings, whoever set them."""
    align = tree.get("align")
    saving = align.get("saving") if isinstance(align, dict) else None
    if isinstance(saving, dict):
        saving.pop("merged", None)


def _settings_tree(named: str, file: Path) -> tuple[dict[str, Any], str]:
    """What a settings file holds, with the files that it includes, and where it lies."""
    path = file.parent / named
    if not path.is_file() and named in SHIPPED:
        return _shipped(named), named
    if not path.is_file():
        raise SettingsError(f"There is no settings file `{path}`", where=f"`settings` of {file}",
                            try_=f"name it from the study's folder; these ship: {', '.join(SHIPPED)}")  # fmt: skip
    return include(read_yaml(path), path, read_yaml), str(path)


def _shipped(named: str) -> dict[str, Any]:
    with as_file(files("spavl") / "data" / f"{named}.yaml") as path:
        return read_yaml(path)
