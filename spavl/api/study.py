"""A study for a notebook or a script: `spavl.open_study("scale.yaml").run()`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from spavl.progress import NoProgress, Progress
from spavl.threads import prepare_process

if TYPE_CHECKING:
    from spavl.config.study import StudySettings
    from spavl.study.check import StudyCheck
    from spavl.study.results import Result
    from spavl.study.run import StudyMade


def open_study(
    path: str | Path, overrides: Sequence[str] = (), *, allow_code: bool = False, progress: Progress | None = None
) -> Study:
    """A study with the settings of a file; nothing is trained yet.

    Args:
        path: the study's YAML file, such as those in `settings/studies`.
        overrides: `key.path=value` words that win over the file, as on the command line.
        allow_code: run Python classes of your own that the settings name.
        progress: shows bars and lines, such as `spavl.TerminalProgress()`. None: it is quiet.

    Raises:
        SettingsError: something in the file is wrong, or it is of kind `longitudinal`, which trains nothing.
    """
    from spavl.config.study import LongitudinalStudy, load_study
    from spavl.errors import SettingsError

    prepare_process()
    settings = load_study(Path(path), overrides)
    if isinstance(settings, LongitudinalStudy):
        raise SettingsError("A study of kind `longitudinal` trains nothing", where=str(path),
                            try_=f"run `spavl study {path}`")  # fmt: skip
    return Study(settings, Path(path), allow_code=allow_code, progress=progress or NoProgress())


class Study:
    """A study: its settings, its folder, and a method for what can be done with it.

    Args:
        settings: as validated.
        file: the study's file.
        allow_code: run Python classes of the user's own.
        progress: where bars and lines go.
    """

    def __init__(self, settings: StudySettings, file: Path, *, allow_code: bool, progress: Progress) -> None:
        self.settings = settings
        self._file = file
        self._allow_code = allow_code
        self._progress = progress

    @property
    def folder(self) -> Path:
        """The study's folder."""
        from spavl.study.source import folder_of

        return folder_of(self.settings, self._file)

    def check(self) -> StudyCheck:
        """What would be trained, and what that takes; nothing is trained."""
        from spavl.study.check import check_study
        from spavl.study.run import prepare_study

        plan = prepare_study(self.settings, self._file, self._progress, allow_code=self._allow_code, build=False)
        return check_study(plan, self._progress)

    def run(self) -> StudyMade:
        """Train and evaluate what is not there yet; again after anything, finished trainings are kept."""
        from spavl.study.run import prepare_study, run_study

        plan = prepare_study(self.settings, self._file, self._progress, allow_code=self._allow_code)
        return run_study(plan, self._progress)

    def results(self) -> list[Result]:
        """The table of results of the last run.

        Raises:
            RunError: the study was not run yet.
        """
        from spavl.study.results import read_results

        return read_results(self.folder)
