"""A task that lmms-eval scored, as a benchmark of ours: the same questions, and its verdicts as outcomes.

So its per-sample scores stand in the tables of a run, with intervals and paired comparison. A metric is taken over only
where the mean of its sample scores is the number that lmms-eval reports; others (F1, precision) are kept as reported.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import isclose, isfinite
from typing import Any

from spavl.evaluate.benchmark import Axis, Benchmark, Metric
from spavl.evaluate.item import Item
from spavl.evaluate.scorer import Answer
from spavl.models.base import Prompt, Sampling
from spavl.statistics.intervals import Outcome

NOT_SCORES = frozenset(
    {
        "doc_id",
        "doc",
        "target",
        "arguments",
        "resps",
        "filtered_resps",
        "token_counts",
        "doc_hash",
        "input_media",
        "input",
    }
)
"""Fields of a logged sample that are no metric."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a model was asked for a document of a task."""

    prompt: Prompt
    """The prompt; its `item` is the id."""
    sampling: Sampling
    """How the answer was sampled."""
    text: str
    """The answer, as it is stored."""


@dataclass(slots=True)
class ScoredTask:
    """A task as lmms-eval scored it for every model."""

    name: str
    """Name of the task."""
    version: str
    """Version of lmms-eval."""
    asked: dict[str, dict[str, Asked]] = field(default_factory=dict)
    """What was asked by id of the item, by name of the model."""
    samples: dict[str, list[Mapping[str, Any]]] = field(default_factory=dict)
    """lmms-eval's records by name of the model."""
    reported: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    """Its results by name of the model."""
    higher: Mapping[str, bool] = field(default_factory=dict)
    """Whether higher is better, by metric."""


@dataclass(frozen=True, slots=True)
class LoggedScorer:
    """Gives the outcomes that lmms-eval gave, to the answers that it scored and to no others."""

    id: str
    """Names lmms-eval's version, task and metric."""
    outcomes: Mapping[tuple[str, str], tuple[str, float]]
    """(model, id of the item) → (answer that was scored, score)."""

    def score(self, answers: Sequence[Answer]) -> list[Outcome]:
        """One outcome an answer, in order; None for one that lmms-eval did not see.

        Args:
            answers: the answers.
        """
        found = [self.outcomes.get((a.model, a.item.item_id)) for a in answers]
        return [
            (bool(one[1]) if one[1] in (0, 1) else one[1]) if one and one[0] == a.text else None
            for one, a in zip(found, answers, strict=True)
        ]


def task_benchmark(task: ScoredTask, axis: Axis) -> Benchmark | None:
    """The task as a benchmark; None where none of its metrics is a mean over its samples.

    Args:
        task: as lmms-eval scored it, for every model.
        axis: what it measures.
    """
    metrics = tuple(_metric(task, name, axis) for name in sample_metrics(task))
    if not metrics:
        return None
    first = next(iter(task.asked.values()))
    targets = {str(one["doc_id"]): str(one["target"]) for one in next(iter(task.samples.values()))}
    return Benchmark(
        name=task.name, items=tuple(_item(asked, targets.get(key, ""), task.name) for key, asked in first.items()),
        metrics=metrics, sampling=next(iter(first.values())).sampling, source=f"lmms-eval {task.version}",
    )  # fmt: skip


def sample_metrics(task: ScoredTask) -> list[str]:
    """Names of the metrics whose reported number is the mean of their sample scores, for every model.

    Args:
        task: as lmms-eval scored it.
    """
    samples = [one for found in task.samples.values() for one in found]
    names = [name for name in (samples[0] if samples else {}) if name not in NOT_SCORES]
    return [name for name in names if all(_is_mean(task, model, name) for model in task.samples)]


def sample_score(sample: Mapping[str, Any], metric: str) -> float | None:
    """What lmms-eval gave a sample: a number from 0 to 1, or the `score` of a record; None where it is neither.

    Args:
        sample: the sample's record.
        metric: name of the metric.
    """
    value = sample.get(metric)
    value = value.get("score") if isinstance(value, Mapping) else value
    if isinstance(value, bool | int | float) and isfinite(value) and 0 <= value <= 1:
        return float(value)
    return None


def reported_numbers(results: Mapping[str, Any]) -> dict[str, float]:
    """The numbers that lmms-eval reports by metric, without standard errors.

    Args:
        results: of one task; a key is a metric and a filter, as in `pope_accuracy,none`.
    """
    found = {key.split(",")[0]: value for key, value in results.items() if "," in key}
    return {
        name: float(value) for name, value in found.items() if "_stderr" not in name and isinstance(value, int | float)
    }


def _is_mean(task: ScoredTask, model: str, metric: str) -> bool:
    scores = [sample_score(sample, metric) for sample in task.samples[model]]
    reported = reported_numbers(task.reported[model]).get(metric)
    if reported is None or not scores or any(score is None for score in scores):
        return False
    mean = sum(score for score in scores if score is not None) / len(scores)
    return any(isclose(reported, scale * mean, abs_tol=1e-9) for scale in (1, 100))


def _metric(task: ScoredTask, name: str, axis: Axis) -> Metric:
    outcomes = {
        (model, str(sample["doc_id"])): (task.asked[model][str(sample["doc_id"])].text, score)
        for model, samples in task.samples.items()
        for sample in samples
        if (score := sample_score(sample, name)) is not None
    }
    scorer = LoggedScorer(f"lmms-eval:{task.version}/{task.name}/{name}", outcomes)
    return Metric(
        name=name, axis=axis, better="higher" if task.higher.get(name, True) else "lower", label=f"{task.name}: {name}",
        what=f"that lmms-eval scores by `{name}`", scorer=scorer,
        graded=any(score not in (0, 1) for _, score in outcomes.values()),
    )  # fmt: skip


def _item(asked: Asked, target: str, task: str) -> Item:
    prompt = asked.prompt
    shown = prompt.pictures
    return Item(
        item_id=prompt.item, subset=task, question=prompt.text, images=prompt.images, earlier=prompt.earlier,
        system=prompt.system, shown="picture" if shown else "none", expected=target,
        cluster=" ".join(image.sha256 for image in shown),
    )  # fmt: skip


def without_score(task: ScoredTask) -> list[str]:
    """Names of the metrics that are only kept as reported.

    Args:
        task: as lmms-eval scored it.
    """
    known = sample_metrics(task)
    reported = dict.fromkeys(name for found in task.reported.values() for name in reported_numbers(found))
    return [name for name in reported if name not in known]
