"""Loader of a benchmark of the user's own code: a function `make(tools, **options)` that returns a Benchmark."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from spavl.config.benchmarks import PythonBenchmark
from spavl.errors import DataError, SettingsError
from spavl.evaluate.benchmark import Benchmark, Metric
from spavl.evaluate.scorer import Answer, AnswerVerdict, Rule, Scorer
from spavl.evaluate.tools import BenchmarkTools
from spavl.own_code import import_own, own_errors
from spavl.statistics.intervals import Outcome


def load_own(spec: PythonBenchmark, tools: BenchmarkTools, *, allow_code: bool) -> Benchmark:
    """The benchmark that the user's function makes.

    Args:
        spec: the function and its options.
        tools: handed to the function.
        allow_code: run a function from outside spavl.

    Raises:
        SettingsError: the function is not allowed, not there, fails, or returns something else.
    """
    make = import_own(spec.target, name=spec.name, allow_code=allow_code)
    takes = "the function takes BenchmarkTools and the entry's `options` as keyword arguments"
    with own_errors(f"Benchmark `{spec.name}` cannot be made", spec.target, error=SettingsError, try_=takes):
        made = make(tools, **spec.options)
    if not isinstance(made, Benchmark):
        raise SettingsError(
            f"Benchmark `{spec.name}` is no Benchmark but a {type(made).__name__}", where=spec.target,
            try_="return spavl.evaluate.Benchmark(name=tools.name, items=…, metrics=…, sampling=tools.sampling)",
        )  # fmt: skip
    return replace(made, name=spec.name, metrics=tuple(_as_own(metric, spec) for metric in made.metrics))


@dataclass(frozen=True, slots=True)
class OwnScorer:
    """A scorer of the user's own: where it fails, that is a sentence with file and line."""

    id: str
    """Its id."""
    made: Scorer
    """The user's object."""
    metric: str
    """Name of its metric."""
    target: str
    """The function that made the benchmark."""
    graded: bool = False
    """Whether its outcomes are scores from 0 to 1."""

    def score(self, answers: Sequence[Answer]) -> list[Outcome | AnswerVerdict]:
        """One outcome an answer, in order.

        Args:
            answers: the answers.

        Raises:
            DataError: the scorer fails, or returns something else than True, False or None for each answer.
        """
        with own_errors(f"The scorer of `{self.metric}` failed", self.target):
            found = list(self.made.score(answers))
        wrong = [one for one in found if not self._is_outcome(one)]
        if wrong or len(found) != len(answers):
            returned = repr(wrong[0]) if wrong else f"{len(found)} outcomes for {len(answers)} answers"
            raise DataError(
                f"The scorer of `{self.metric}` returned {returned}", where=self.target,
                try_=f"return {'a number from 0 to 1' if self.graded else 'True, False'} or None for each, in order",
            )  # fmt: skip
        return found

    def _is_outcome(self, one: object) -> bool:
        outcome = one.outcome if isinstance(one, AnswerVerdict) else one
        if self.graded:
            return outcome is None or (isinstance(outcome, int | float) and 0 <= outcome <= 1)
        return outcome is None or isinstance(outcome, bool)


def _as_own(metric: Metric, spec: PythonBenchmark) -> Metric:
    """The metric, its scorer's failures told as those of the user's code, unless the scorer is one of spavl's."""
    made = metric.scorer
    code = made.outcome if isinstance(made, Rule) else type(made)
    if code.__module__.partition(".")[0] == "spavl":
        return metric
    if not isinstance(made, Scorer) or not isinstance(made.id, str):
        raise SettingsError(
            f"The scorer of `{metric.name}` in benchmark `{spec.name}` has no `id`, or no `score`", where=spec.target,
            try_="a scorer has `id`, a text that you change with it, and `score(answers)`; or use spavl.evaluate.Rule",
        )  # fmt: skip
    return replace(metric, scorer=OwnScorer(made.id, made, metric.name, spec.target, metric.graded))
