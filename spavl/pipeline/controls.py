"""Controls of an evaluation: after a model's own answers, the same items in other forms, compared with them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from typing import Any

from spavl.config import ModelSpec, Settings
from spavl.errors import SettingsError
from spavl.evaluate.benchmark import Benchmark
from spavl.evaluate.controls import (
    Control,
    Controlled,
    ControlResult,
    controlled,
    make_control,
    own_part,
    planned,
    results,
    score_originals,
)
from spavl.evaluate.run import Scored
from spavl.evaluate.score_table import write_scores
from spavl.evaluate.scorer import Answer
from spavl.pipeline.live import calls_of_model
from spavl.pipeline.session import Session
from spavl.plural import plural
from spavl.progress import OnProgress
from spavl.rows import listed

Ask = Callable[[Benchmark, OnProgress], list[Answer]]
"""(benchmark, what is called with answered and all) → a model's answers."""


class Controls:
    """The controls of the settings on the benchmarks of an evaluation; pictures are made when they are first asked.

    Args:
        session: the settings and the run folder.
        benchmarks: what the models are asked.

    Raises:
        DataError: a file that a control names cannot be used.
        SettingsError: the settings name a benchmark that there is not.
    """

    def __init__(self, session: Session, benchmarks: Sequence[Benchmark]) -> None:
        self._session = session
        self._controls = controls_of(session)
        self._indexes = [
            index for index, benchmark in enumerate(benchmarks) if gets_controls(session.settings, benchmark)
        ]
        if self._controls:
            _check_names(session.settings, benchmarks)
        self._benchmarks = benchmarks
        self._made: dict[tuple[int, str], Controlled] = {}

    def wanted(self, spec: ModelSpec) -> bool:
        """Whether a model gets the controls: a blind control, which is one itself, does not.

        Args:
            spec: the model.
        """
        made = self._session.run.manifest().get("aligned", {})
        return bool(self._controls and self._indexes) and not made.get(spec.name, {}).get("blind")

    def own(self, index: int, scored: Iterable[Scored]) -> list[Scored]:
        """What the controls of a benchmark need of a model's own answers.

        Args:
            index: of the benchmark.
            scored: the model's scored answers to it, without their words.
        """
        return list(scored) if self._controls and index in self._indexes else []

    def run(self, spec: ModelSpec, own: Sequence[Sequence[Scored]], ask: Ask) -> list[ControlResult]:
        """Ask a model everything once more under every control.

        Args:
            spec: the model.
            own: its own scored answers to every benchmark.
            ask: asks it.
        """
        found: list[ControlResult] = []
        with self._session.stage(f"controls {spec.name}") as counts:
            for index in self._indexes:
                made = [self._controlled(index, control) for control in self._controls]
                answers = self._answers(spec, index, [one.benchmark for one in made if one.benchmark], ask)
                for control, one in zip(self._controls, made, strict=True):
                    found.append(self._result(index, control, one, own[index], answers))
                counts[self._benchmarks[index].name] = sum(len(given) for given in answers.values())
        return found

    def _answers(
        self, spec: ModelSpec, index: int, asked: Sequence[Benchmark], ask: Ask
    ) -> dict[str, Sequence[Answer]]:
        """The model's answers by name of the controlled benchmark, under one bar."""
        total, done = sum(len(one.items) * one.samples for one in asked), 0
        answers: dict[str, Sequence[Answer]] = {}
        label = f"controls {spec.name}: {self._benchmarks[index].name}"
        tell_calls = calls_of_model(self._session, spec.name, total)
        with self._session.progress.bar(label, tell_calls) as on_progress:
            for one in asked:
                answers[one.name] = ask(one, partial(_of_all, on_progress, done, total))
                done += len(answers[one.name])
                on_progress(done, total)
        return answers

    def _result(
        self, index: int, control: Control, made: Controlled, own: Sequence[Scored],
        answers: Mapping[str, Sequence[Answer]],
    ) -> ControlResult:  # fmt: skip
        result = ControlResult(
            control=control.name, what=control.what, seen=control.seen, resampled=control.resampled,
            benchmark=self._benchmarks[index].name, items=len(made.originals), left_out=made.left_out,
        )  # fmt: skip
        if made.benchmark is None:
            return result
        scored = score_originals(made, answers[made.benchmark.name])
        graded = [metric.name for metric in made.benchmark.metrics if metric.graded]
        write_scores(self._session.run.evaluate, scored, run=self._session.run.folder, graded=graded)
        level = self._session.settings.evaluate.level
        metrics = results(made, own_part(made, own), scored, level=level)
        return replace(result, protocol=made.benchmark.protocol(), metrics=metrics)

    def _controlled(self, index: int, control: Control) -> Controlled:
        """The benchmark under the control, made once for all models; what is left out is said once."""
        if (index, control.name) not in self._made:
            benchmark = self._benchmarks[index]
            made = controlled(benchmark, control, self._session.settings.evaluate.control_items)
            self._made[index, control.name] = made
            if made.left_out:
                self._session.progress.log(_left_out(benchmark, control, made))
        return self._made[index, control.name]


def _of_all(on_progress: OnProgress, before: int, total: int, done: int, asked: int) -> None:
    on_progress(before + done, total)


def controls_of(session: Session) -> list[Control]:
    """The controls of the settings.

    Args:
        session: the settings, and the run folder that pictures are written to.

    Raises:
        DataError: a file that one names cannot be used.
    """
    settings, folder = session.settings, session.world / "controls"
    return [make_control(spec, folder, settings.seed) for spec in settings.evaluate.controls]


def plain_controls(
    metrics: Mapping[str, Mapping[str, Any]], controls: Mapping[str, Sequence[ControlResult]]
) -> dict[str, Any]:
    """What every control changed, as plain data that a table can be made of.

    Args:
        metrics: what every metric is, by its name.
        controls: results by name of the model.
    """
    return {
        "metrics": {name: {key: one[key] for key in ("label", "axis", "better")} for name, one in metrics.items()},
        "models": {name: [asdict(result) for result in found] for name, found in controls.items()},
    }


def planned_controls(session: Session, benchmarks: Sequence[Benchmark]) -> list[Benchmark]:
    """The items that controls will ask a model, in benchmarks of their own; no picture is made.

    Args:
        session: the settings.
        benchmarks: what the models are asked without controls.

    Raises:
        DataError: a file that a control names cannot be used.
        SettingsError: the settings name a benchmark that there is not.
    """
    settings = session.settings
    if not settings.evaluate.controls:
        return []
    _check_names(settings, benchmarks, closed=[spec.name for spec in settings.evaluate.benchmarks])
    controls = controls_of(session)
    made = [
        planned(benchmark, control, settings.evaluate.control_items)
        for benchmark in benchmarks if gets_controls(settings, benchmark) for control in controls
    ]  # fmt: skip
    return [benchmark for benchmark in made if benchmark is not None]


def gets_controls(settings: Settings, benchmark: Benchmark) -> bool:
    """Whether the settings want the controls on a benchmark.

    Args:
        settings: of the run.
        benchmark: one that is asked.
    """
    named = settings.evaluate.control_benchmarks
    return not named or benchmark.name in named


def _check_names(settings: Settings, benchmarks: Sequence[Benchmark], *, closed: Sequence[str] = ()) -> None:
    """Refuse names of no benchmark; one that is listed and could not be opened was told already."""
    there = [benchmark.name for benchmark in benchmarks]
    unknown = [name for name in settings.evaluate.control_benchmarks if name not in {*there, *closed}]
    if unknown:
        raise SettingsError(
            f"No benchmark is called {listed(unknown, '`')}", where="evaluate.control_benchmarks",
            try_=f"there is {listed(there, '`')}",
        )  # fmt: skip


def _left_out(benchmark: Benchmark, control: Control, made: Controlled) -> str:
    """Says which items do without a control."""
    reasons = ", ".join(f"{plural(count, 'item')}: {reason}" for reason, count in made.left_out.items())
    if made.benchmark is None:
        return f"control {control.name} does not apply to {benchmark.name} ({reasons})"
    return f"control {control.name} of {benchmark.name} is partial ({reasons})"
