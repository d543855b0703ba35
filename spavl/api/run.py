"""A run for a notebook or a script: `spavl.open_run("my.yaml")` gives a run whose methods make things."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from json import dumps
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from spavl.api.pairs import PairSet
from spavl.api.settings import SettingsSource, loaded
from spavl.config import Settings
from spavl.progress import NoProgress, Progress
from spavl.run import Run
from spavl.threads import prepare_process

if TYPE_CHECKING:
    from spavl.labels.exchange import Imported as ImportedLabels
    from spavl.labels.exchange import Labelled
    from spavl.pipeline.calibrate import Calibrated
    from spavl.pipeline.check import RunPlan
    from spavl.pipeline.next_answers import ChosenAnswer
    from spavl.pipeline.qualification import Qualification
    from spavl.pipeline.regrade import Regraded
    from spavl.pipeline.run_agreement import RunAgreement
    from spavl.pipeline.scores import Scores
    from spavl.review.make import Kind, ReviewSettings

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
    checked = loaded(settings, [*overrides, *words])
    return PipelineRun(checked, allow_code=allow_code, replay=replay, progress=progress or NoProgress())


class PipelineRun(PairSet):
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
        super().__init__(settings.out, settings, allow_code=allow_code, replay=replay, progress=progress)
        self.settings = settings

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

    def report(
        self, out: str | Path | None = None, *, examples: int | None = None, figures: str | Path | None = None
    ) -> Path:
        """Write the report, one HTML page; of a run that was built and not evaluated, of its dataset. Returns its path.

        Beside it stand its twins in Markdown and JSON.

        Args:
            out: the page; `report.html` in the run folder unless given.
            examples: most examples shown; what the settings say unless given.
            figures: a folder for every figure as SVG and PDF for a paper; none are written unless given.

        Raises:
            MissingExtra: Matplotlib is not installed.
            RunError: nothing was built or evaluated yet, or the page cannot be written.
        """
        from spavl.pipeline.report import write_run_report

        return write_run_report(
            self.folder, out=Path(out) if out else None, examples=examples, figures=Path(figures) if figures else None
        )

    def draw_review(
        self,
        n: int = 500,
        *,
        name: str = "first",
        answers: bool = False,
        overlap: float = 0.1,
        seed: int = 0,
    ) -> Path:
        """Draw a stratified sample for people to label; the same run and arguments draw the same. Returns its folder.

        Args:
            n: how many pairs or answers.
            name: of the review, `RUN/review/NAME`.
            answers: draw answers of the evaluated models, by which guards are calibrated, and no pairs.
            overlap: share that several annotators label.
            seed: of the draw.

        Raises:
            DataError: there is nothing to draw from.
            SettingsError: nothing can be called by that name.
            RunError: there is another review of that name.
        """
        from spavl.review.make import ReviewSettings

        kind: Kind = "answers" if answers else "pairs"
        return self._made_review(name, ReviewSettings(kind=kind, n=n, overlap=overlap, seed=seed))

    def draw_next(
        self, n: int = 100, *, name: str = "next", of: str | None = None, labels: Sequence[str | Path] = ()
    ) -> Path:  # fmt: skip
        """Make a review of the answers whose labels would make calibrated rates surest. Returns its folder.

        Args:
            n: how many answers.
            name: of the new review.
            of: review whose labels there are so far; None: all reviews of answers.
            labels: files of further labels.

        Raises:
            DataError: all answers are labelled, or labels cannot be read.
            SettingsError: nothing can be called by that name.
            RunError: there is another review of that name, or nothing was evaluated yet.
        """
        from spavl.pipeline.calibrate import calibrate_run
        from spavl.pipeline.next_answers import next_answers
        from spavl.review.make import ReviewSettings

        made = calibrate_run(self.folder, name=of, files=_paths(labels), none_yet=True)
        chosen = next_answers(self.folder, made, n)
        return self._made_review(name, ReviewSettings(kind="answers", n=n, order="active"), chosen)

    def export_labels(self, file: str | Path, *, name: str = "first", label_studio: bool = False) -> Labelled:
        """Write all labels of a review, with the items that they are of. Returns them.

        Args:
            file: one that ends with `.csv`, `.json` or `.jsonl`.
            name: of the review.
            label_studio: write the items as tasks of Label Studio, and its page beside them.

        Raises:
            DataError: there is no such review, or the ending is another.
            RunError: the file cannot be written.
        """
        from spavl.labels.exchange import database_of, export_tasks, read_labels, write_labels

        found = read_labels(database_of(self._review(name)))
        if label_studio:
            export_tasks(Path(file), found)
        else:
            write_labels(Path(file), found)
        return found

    def import_labels(self, file: str | Path, *, name: str = "first", of_another: bool = False) -> ImportedLabels:
        """Add the labels of a file to a review; done again, it adds none.

        Args:
            file: labels as CSV, JSON or JSON lines, or an export of Label Studio.
            name: of the review.
            of_another: take labels of another run too.

        Raises:
            DataError: there is no such review, the file cannot be read, or it is of another run.
        """
        from spavl.labels.exchange import database_of, import_labels
        from spavl.labels.store import LabelStore

        with LabelStore(database_of(self._review(name))) as store:
            return import_labels(store, Path(file), of_another=of_another)

    def agreement(self, name: str | None = None, *, labels: Sequence[str | Path] = ()) -> RunAgreement:
        """How far people agree with the judges and with each other, who leans where, and which pairs are to be fixed.

        Args:
            name: of the review; None: the only one.
            labels: files of further labels.

        Raises:
            RunError: there is no run, or no review.
            DataError: labels cannot be read, or nobody has judged anything.
        """
        from spavl.pipeline.run_agreement import run_agreement

        return run_agreement(self.folder, name=name, files=_paths(labels))

    def calibrate(self, name: str | None = None, *, labels: Sequence[str | Path] = ()) -> Calibrated:
        """How often guards err by people's labels of the run's answers; `run.json` keeps the rates corrected for it.

        Args:
            name: of the review; None: all reviews of answers.
            labels: files of further labels.

        Raises:
            RunError: nothing was evaluated in the run yet, or no metric is one that labels correct.
            DataError: labels cannot be read, or none is of an answer of the run.
        """
        from spavl.pipeline.calibrate import calibrate_run

        return calibrate_run(self.folder, name=name, files=_paths(labels))

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

    def _review(self, name: str) -> Path:
        from spavl.review.make import folder_of

        return folder_of(self.folder, name)

    def _made_review(self, name: str, settings: ReviewSettings, chosen: Sequence[ChosenAnswer] = ()) -> Path:
        from spavl.review.make import make_review

        make_review(Run(self.folder).found(), self._review(name), settings, chosen).close()
        return self._review(name)


def _paths(files: Sequence[str | Path]) -> list[Path]:
    return [Path(files)] if isinstance(files, str | Path) else [Path(file) for file in files]
