"""Run a benchmark: a model's answers (through the call store), scores, rates with intervals, paired comparison."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from spavl.errors import DataError
from spavl.evaluate.benchmark import Benchmark, Metric
from spavl.evaluate.item import Item
from spavl.evaluate.scorer import DECLINED, FAILED, Answer
from spavl.models.base import Model, Reply
from spavl.models.calls.engine import complete
from spavl.models.calls.oversight import Oversight
from spavl.models.calls.store import CallStore
from spavl.statistics.intervals import LEVEL, Outcome, Rate, clustered_rate
from spavl.statistics.paired import PairedComparison, compare_paired


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """An answer with its outcomes."""

    answer: Answer
    """The answer with its item and call."""
    outcomes: Mapping[str, Outcome]
    """Outcome of every metric that the item counts in, by name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Changed:
    """Ids of the items whose outcome for a metric differs between base and aligned model."""

    fixed: tuple[str, ...]
    """Bad under the base, good under the aligned model; where neither is better: False, then True."""
    broken: tuple[str, ...]
    """Good under the base, bad under the aligned model; where neither is better: True, then False."""


def answer(
    benchmark: Benchmark,
    model: Model,
    *,
    store: CallStore,
    on_progress: Callable[[int, int], None] | None = None,
    oversight: Oversight | None = None,
) -> list[Answer]:
    """The model's answer to every item, in the order of the items; a failed call is an answer with its status.

    An item that lacks a picture is not asked, and its answer is `skipped`.

    Args:
        benchmark: the items and how they are asked.
        model: the model.
        store: where calls are looked up and kept.
        on_progress: called with (answered, all).
        oversight: the command's ceilings. None: there are none.
    """
    prompts = [benchmark.prompt_for(item) for item in benchmark.items if not item.missing]
    replies = iter(
        complete(model, prompts, sampling=benchmark.sampling, store=store, on_progress=on_progress, oversight=oversight)
    )
    given = (_skipped(item) if item.missing else next(replies) for item in benchmark.items)
    return [_answer(benchmark, model, item, reply) for item, reply in zip(benchmark.items, given, strict=True)]


def _skipped(item: Item) -> Reply:
    return Reply("", status="skipped", detail=item.missing)


def _answer(benchmark: Benchmark, model: Model, item: Item, reply: Reply) -> Answer:
    return Answer(
        item=item,
        benchmark=benchmark.name,
        model=model.name,
        text=reply.text,
        thought=reply.thought,
        status=reply.status,
        detail=reply.detail,
        call=reply.key,
        tokens=reply.completion_tokens,
    )


def score(benchmark: Benchmark, answers: Sequence[Answer]) -> list[Scored]:
    """Outcomes of every answer, by the scorers of the benchmark's metrics.

    Complete and truncated answers are scored; of one without a word no rule says anything. Where the call failed every
    outcome is None; where the service declined it is `Metric.when_declined`.

    Args:
        benchmark: the benchmark that was asked.
        answers: answers to its items.

    Raises:
        TypeError: a scorer gave an outcome that is not True, False or None.
    """
    outcomes: list[dict[str, Outcome]] = [{} for _ in answers]
    for metric in benchmark.metrics:
        for place, outcome in _outcomes(metric, answers).items():
            outcomes[place][metric.name] = outcome
    return [Scored(answer=a, outcomes=found) for a, found in zip(answers, outcomes, strict=True)]


def _outcomes(metric: Metric, answers: Sequence[Answer]) -> dict[int, Outcome]:
    """Outcome of a metric by place of the answer, for those that count in it."""
    counted = [place for place, a in enumerate(answers) if metric.counts(a.item)]
    found = {place: metric.when_declined if answers[place].status in DECLINED else None for place in counted}
    scored = [place for place in counted if answers[place].status not in (*DECLINED, *FAILED)]
    outcomes = metric.scorer.score([answers[place] for place in scored])
    return found | {place: _checked(o, metric) for place, o in zip(scored, outcomes, strict=True)}


def _checked(outcome: object, metric: Metric) -> Outcome:
    """The outcome, if it is one: a 0.7 or a "safe" must not be taken for True."""
    if outcome is None or isinstance(outcome, bool):
        return outcome
    raise TypeError(f"a scorer returns True, False or None; for {metric.name} it returned {outcome!r}")


def summarise(scored: Sequence[Scored], *, level: float = LEVEL) -> dict[str, Rate]:
    """The rate of every metric by name, its interval widened where items share clusters.

    Args:
        scored: one model's scored answers.
        level: confidence level of the intervals.
    """
    names = dict.fromkeys(name for s in scored for name in s.outcomes)
    return {name: _rate([s for s in scored if name in s.outcomes], name, level) for name in names}


def by_group(scored: Sequence[Scored], metric: str, *, level: float = LEVEL) -> dict[str, Rate]:
    """The rate of one metric in every group (subcategory, scenario), in alphabetical order.

    Args:
        scored: one model's scored answers.
        metric: name of the metric.
        level: confidence level of the intervals.
    """
    asked = sorted((s for s in scored if metric in s.outcomes), key=_group)
    return {group: _rate(list(members), metric, level) for group, members in groupby(asked, key=_group)}


def _group(scored: Scored) -> str:
    return scored.answer.item.group


def _rate(asked: Sequence[Scored], metric: str, level: float) -> Rate:
    return clustered_rate([s.outcomes[metric] for s in asked], [_cluster(s) for s in asked], level=level)


def _cluster(scored: Scored) -> tuple[str, str]:
    """The item's cluster, or the item itself; tagged, since an item's id may equal a cluster's name."""
    item = scored.answer.item
    return ("cluster", item.cluster) if item.cluster else ("item", item.item_id)


def compare(
    benchmark: Benchmark, base: Sequence[Scored], aligned: Sequence[Scored], *, level: float = LEVEL
) -> dict[str, PairedComparison]:
    """Paired comparison of two models on the same items, for every metric by name.

    Args:
        benchmark: the benchmark that both were asked.
        base: scored answers of the base model.
        aligned: scored answers of the aligned model.
        level: confidence level of the intervals.

    Raises:
        DataError: the two were not asked the same items.
    """
    before, after = ({s.answer.item.item_id: s.outcomes for s in side} for side in (base, aligned))
    clusters = {s.answer.item.item_id: _cluster(s) for s in base}
    if before.keys() != after.keys():
        raise DataError("The two models were not asked the same items", where=f"benchmark {benchmark.name}")
    return {
        metric.name: compare_paired(
            {item: outcomes[metric.name] for item, outcomes in before.items() if metric.name in outcomes},
            {item: outcomes[metric.name] for item, outcomes in after.items() if metric.name in outcomes},
            better=metric.better,
            clusters=clusters,
            level=level,
        )
        for metric in benchmark.metrics
    }


def changed(benchmark: Benchmark, base: Sequence[Scored], aligned: Sequence[Scored]) -> dict[str, Changed]:
    """The items that each metric's comparison counts as fixed and as broken, by name of the metric.

    Args:
        benchmark: the benchmark that both were asked.
        base: scored answers of the base model.
        aligned: scored answers of the aligned model.
    """
    after = {s.answer.item.item_id: s.outcomes for s in aligned}
    found = {}
    for metric in benchmark.metrics:
        good = metric.better != "lower"
        moves = [
            (item, before[metric.name], after[item].get(metric.name))
            for item, before in ((s.answer.item.item_id, s.outcomes) for s in base)
            if metric.name in before and item in after
        ]
        found[metric.name] = Changed(
            fixed=tuple(item for item, was, now in moves if (was, now) == (not good, good)),
            broken=tuple(item for item, was, now in moves if (was, now) == (good, not good)),
        )
    return found
