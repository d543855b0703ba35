"""The pipeline for a notebook or a script: `spavl.open_run("my.yaml")` gives a run whose methods make things.

The commands of the command line are these methods, so both make the same things in the same folders.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from json import dumps
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from spavl.config import Settings, load_settings
from spavl.progress import NoProgress, Progress
from spavl.run import Run
from spavl.threads import prepare_process

if TYPE_CHECKING:
    from spavl.pipeline.check import RunPlan
    from spavl.pipeline.qualification import Qualification
    from spavl.pipeline.regrade import Regraded
    from spavl.pipeline.scores import Scores
    from spavl.pipeline.session import Session

SettingsSource = str | Path | Mapping[str, Any] | Settings
"""Where settings come from: a YAML file, a mapping as such a file holds it, or settings that were loaded before."""
R = TypeVar("R")


def open_run(
    settings: SettingsSource | None = None,
    overrides: Sequence[str] = (),
    *,
    out: str | Path | None = None,
    seed: int | None = None,
    limit: int | None = None,
    allow_code: bool = False,
    replay: bool = False,
    progress: Progress | None = None,
) -> PipelineRun:
    """A run with the settings of a file, a mapping, or defaults; nothing is made or called yet.

    Args:
        settings: a YAML file, or what one holds; None for defaults alone.
        overrides: `key.path=value` words that win over the settings, as on the command line.
        out: the run folder, in place of the setting.
        seed: of every random choice, in place of the setting.
        limit: most pictures, and most items of a subset, in place of the setting.
        allow_code: run models, guards, benchmarks and stages of your own that the settings name.
        replay: let no call leave: an answer that the call store does not hold is an error.
        progress: shows bars and lines, such as `spavl.TerminalProgress()`. None: it is quiet.

    Raises:
        SettingsError: something in the settings is wrong; it lists all mistakes.
    """
    prepare_process()
    given = {"out": None if out is None else str(out), "seed": seed, "limit": limit}
    # as JSON, which is YAML: a folder named `2024` stays text
    words = [f"{key}={dumps(value, ensure_ascii=False)}" for key, value in given.items() if value is not None]
    file = Path(settings) if isinstance(settings, str | Path) else None
    loaded = load_settings(Settings, file, [*overrides, *words], defaults=_tree(settings))
    return PipelineRun(loaded, allow_code=allow_code, replay=replay, progress=progress or NoProgress())


def _tree(settings: SettingsSource | None) -> dict[str, Any]:
    """Settings that are given as such, as plain data that may be changed; empty where a file has them."""
    if isinstance(settings, Settings):
        return settings.model_dump()
    return deepcopy(dict(settings)) if isinstance(settings, Mapping) else {}


class PipelineRun:
    """A run of the pipeline: its settings, its folder, and a method for each thing that can be made in it.

    Between two calls it holds nothing: no lock on the call store, no weights, no connection. After an error or an
    interrupted cell, call the method again: all that was made before is kept.

    Args:
        settings: as validated.
        allow_code: run models, guards, benchmarks and stages of the user's own.
        replay: let no call leave.
        progress: where bars and lines go.
    """

    def __init__(self, settings: Settings, *, allow_code: bool, replay: bool = False, progress: Progress) -> None:
        self.settings = settings
        self._allow_code = allow_code
        self._replay = replay
        self._progress = progress

    @property
    def folder(self) -> Path:
        """The run folder, as the setting `out` names it."""
        return Path(self.settings.out)

    def check(self, *, pictures: int | None = None) -> RunPlan:
        """What would run, and what it takes: calls, tokens, money, time, disk. Nothing is called, and nothing is made.

        Args:
            pictures: plan for so many, in place of those that there are.

        Raises:
            DataError: the pictures cannot be found.
        """
        from spavl.pipeline.check import check

        with self._session(look_only=True) as session:
            return check(session, pictures=pictures)

    def qualify(self, guard: str, examples: str | Path) -> Qualification:
        """Measure a guard on labelled examples, and keep what was found in the run folder.

        Args:
            guard: label of the guard, or of a model.
            examples: file of labelled examples.

        Raises:
            SettingsError: there is no such guard, or it does not tell safe from unsafe.
            DataError: the examples cannot be used.
        """
        from spavl.pipeline.qualify import qualify

        with self._session() as session:
            return qualify(session, guard, Path(examples))

    def build(self) -> dict[str, dict[str, Any]]:
        """Build the preference dataset, from pictures to pairs. Returns the counts of every stage by name.

        Raises:
            DataError: no picture can be used, or no match became a pair.
            RunError: a table of the run folder was written by another tool.
        """
        from spavl.pipeline.build import build

        with self._session() as session:
            return build(session)

    def align(
        self,
        name: str | None = None,
        *,
        pairs: str | Path | None = None,
        limit: int | None = None,
        changed: Mapping[str, Any] | None = None,
        replace: bool = False,
    ) -> Path:
        """Align the settings' model. Returns the folder of a checkpoint, an adapter or a reward model.

        Args:
            name: of the result, `RUN/align/NAME`; the method unless given.
            pairs: a table in the Hub schema; the run's own training split unless given.
            limit: most pairs to train on.
            changed: a tree of overrides of the align settings, such as `{"loss": {"beta": 0.2}}`.
            replace: delete another training of that name; without it none is ever deleted.

        Raises:
            MissingExtra: the packages of the extra `align` are not installed.
            DataError: there is no dataset, or its pairs cannot be trained on.
            SettingsError: nothing can be called by that name.
            RunError: there is another training of that name.
        """
        from spavl.pipeline.align import align

        method = (changed or {}).get("method", self.settings.align.method)
        with self._session() as session:
            return align(
                session,
                name=method if name is None else name,
                pairs=Path(pairs) if pairs else None,
                limit=limit,
                changed=changed,
                replace=replace,
            )

    def evaluate(self, models: Sequence[str] = ()) -> Scores:
        """Evaluate models on the settings' benchmarks, all on the same items.

        Args:
            models: checkpoint folders, Hub ids or names of listed models, the first of which the others are compared
                with; where none is given, the model that was aligned and every checkpoint of the run.

        Raises:
            SettingsError: no benchmark is named, or one needs a guard and none is named.
            MissingExtra: a model with weights on this machine has to answer and torch is not installed.
        """
        from spavl.pipeline.evaluate import evaluate

        with self._session() as session:
            return evaluate(session, models=models)

    def grade(self, guards: Sequence[str]) -> Regraded:
        """Grade the stored answers of an evaluation by any guards; no model answers again.

        Args:
            guards: labels of guards, or of models; with several, they are compared on the same answers.

        Raises:
            RunError: nothing was evaluated in the run yet.
            SettingsError: there is no guard of a name, or none is named.
            DataError: no stored answer is one that the guards grade.
        """
        from spavl.pipeline.regrade import regrade

        with self._session() as session:
            return regrade(session, guards)

    def report(self, out: str | Path | None = None, *, examples: int | None = None) -> Path:
        """Write the report, one HTML page; of a run that was built and not evaluated, of its dataset. Returns its path.

        Args:
            out: the page; `report.html` in the run folder unless given.
            examples: most examples shown; what the settings say unless given.

        Raises:
            MissingExtra: Matplotlib is not installed.
            RunError: nothing was built or evaluated yet, or the page cannot be written.
        """
        from spavl.pipeline.report import write_run_report

        return write_run_report(self.folder, out=Path(out) if out else None, examples=examples)

    def records(self, kind: type[R]) -> Iterator[R]:
        """The records of a kind as the last stage that makes them left them, one after the other.

        Args:
            kind: such as `spavl.PreferencePair`.

        Raises:
            DataError: no stage of the settings makes such records.
            RunError: they were not made yet, or the table is damaged.
        """
        from spavl.pipeline.stages import last_tables, pipeline_of
        from spavl.tables import slices_of

        stages = pipeline_of(self.settings, allow_code=self._allow_code)
        for path in last_tables(self.folder, self.settings, stages, kind):
            for records in slices_of(path, kind):
                yield from records

    def manifest(self) -> dict[str, Any]:
        """What `run.json` holds: counts, seconds and cost of every stage, and all scores; empty for a new folder.

        Raises:
            RunError: the file is damaged.
        """
        return Run(self.folder).manifest()

    def _session(self, *, look_only: bool = False) -> Session:
        from spavl.pipeline.session import Session

        return Session(
            self.settings, self._progress, allow_code=self._allow_code, replay=self._replay, look_only=look_only
        )
