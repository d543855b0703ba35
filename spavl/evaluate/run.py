"""Run a benchmark: a model's answers (through the call store), scores, rates with intervals, paired comparison."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby

from spavl.errors import DataError
from spavl.evaluate.benchmark import Benchmark, Metric, Together, declined
from spavl.evaluate.item import Item
from spavl.evaluate.order import put_back, sharing_order
from spavl.evaluate.scorer import DECLINED, FAILED, Answer, AnswerVerdict
from spavl.models.base import Model, Reply
from spavl.models.calls.engine import Engine
from spavl.models.calls.oversight import Oversight
from spavl.models.calls.store import CallStore
from spavl.statistics.estimate import estimate
from spavl.statistics.intervals import LEVEL, Outcome, Rate
from spavl.statistics.paired import PairedComparison, compare_paired


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """An answer with its outcomes."""

    answer: Answer
    """The answer with its item and call."""
    outcomes: Mapping[str, Outcome]
    """Outcome of every metric that the item counts in, by name."""
    weights: Mapping[str, float] = field(default_factory=dict)
    """How much it counts, by name of the metric, where not all count alike."""
    verdicts: Mapping[str, AnswerVerdict] = field(default_factory=dict)
    """What the guard or judge of a metric said, by name of the metric, where one was asked."""


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
    with Engine(store, oversight=oversight) as engine:
        return answer_through(engine, benchmark, model, on_progress=on_progress)


def answer_through(
    engine: Engine, benchmark: Benchmark, model: Model, *, on_progress: Callable[[int, int], None] | None = None
) -> list[Answer]:
    """What `answer` returns, through an engine that others ask too, so that limits and connections are shared.

    Questions about one picture are asked together, whatever the order of the items.

    Args:
        engine: makes the calls.
        benchmark: the items and how they are asked.
        model: the model.
        on_progress: called with (answered, all).
    """
    prompts = [benchmark.prompt_for(item) for item in benchmark.items if not item.missing]
    order = sharing_order(prompts)
    asked = engine.complete(
        model, [prompts[place] for place in order], sampling=benchmark.sampling, samples=benchmark.samples,
        on_progress=on_progress,
    )  # fmt: skip
    replies = iter(put_back(asked, order, benchmark.samples))
    items = [sampled for item in benchmark.items for sampled in _samples(item, benchmark.samples)]
    given = (_skipped(item) if item.missing else next(replies) for item in items)
    return [_answer(benchmark, model, item, reply) for item, reply in zip(items, given, strict=True)]


def _samples(item: Item, samples: int) -> list[Item]:
    """The item once for every answer to it; where there are several, they are one unit and one cluster."""
    if samples == 1:
        return [item]
    unit, cluster = item.unit or item.item_id, item.cluster or item.item_id
    return [replace(item, item_id=f"{item.item_id}#{n}", unit=unit, cluster=cluster) for n in range(1, samples + 1)]


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
        TypeError: a scorer gave an outcome that is none.
    """
    found: list[dict[str, AnswerVerdict]] = [{} for _ in answers]
    weights: list[dict[str, float]] = [{} for _ in answers]
    for metric in benchmark.metrics:
        verdicts = _verdicts(metric, answers)
        counted = {place: verdict for place, verdict in verdicts.items() if not verdict.void}
        void = {place: verdict for place, verdict in verdicts.items() if verdict.void}
        for place, verdict in (void | dict(_folded(metric.together, counted, answers))).items():
            found[place][metric.name] = verdict
        for place, weight in _weights(metric, answers, counted).items():
            weights[place][metric.name] = weight
    return [
        Scored(
            answer=a, outcomes={name: v.outcome for name, v in own.items() if not v.void}, weights=weighed,
            verdicts={name: v for name, v in own.items() if v.calls or v.detail},
        )
        for a, own, weighed in zip(answers, found, weights, strict=True)
    ]  # fmt: skip


def _verdicts(metric: Metric, answers: Sequence[Answer]) -> dict[int, AnswerVerdict]:
    """What the scorer of a metric says by place of the answer, for those that count in it."""
    counted = [place for place, a in enumerate(answers) if metric.counts(a.item)]
    found: dict[int, AnswerVerdict] = {}
    for place in counted:
        status = answers[place].status
        outcome = declined(metric, answers[place].item) if status in DECLINED else None
        found[place] = AnswerVerdict(outcome=outcome, status=status)
    scored = [place for place in counted if answers[place].status not in (*DECLINED, *FAILED)]
    outcomes = metric.scorer.score([answers[place] for place in scored])
    return found | {place: _checked(o, metric) for place, o in zip(scored, outcomes, strict=True)}


def _checked(said: object, metric: Metric) -> AnswerVerdict:
    """What was said, if it is an outcome: a 0.7 or a "safe" must not be taken for True where nothing is graded."""
    verdict = said if isinstance(said, AnswerVerdict) else None
    outcome = verdict.outcome if verdict else said
    if outcome is None or isinstance(outcome, bool):
        return verdict or AnswerVerdict(outcome=outcome, status="ok")
    if metric.graded and isinstance(outcome, int | float) and 0 <= outcome <= 1:
        return verdict or AnswerVerdict(outcome=float(outcome), status="ok")
    wanted = "a number from 0 to 1 or None" if metric.graded else "True, False or None"
    raise TypeError(f"a scorer returns {wanted}; for {metric.name} it returned {outcome!r}")


def _weights(metric: Metric, answers: Sequence[Answer], found: Mapping[int, AnswerVerdict]) -> dict[int, float]:
    """Weight by place of the answer; none where all count alike. What could not be read counts once."""
    if metric.weight is not None:
        read = [place for place, verdict in found.items() if verdict.outcome is not None]
        weighed = metric.weight.score([answers[place] for place in read])
        own = {place: _weight(one, metric) for place, one in zip(read, weighed, strict=True)}
        return {place: own.get(place, 1.0) for place in found}
    if metric.macro:
        return dict(zip(found, macro_weights([answers[place].item.group for place in found]), strict=True))
    return {}


def macro_weights(groups: Sequence[str]) -> list[float]:
    """Weight of every item such that all groups count alike.

    Args:
        groups: the group of every item.
    """
    sizes = Counter(groups)
    return [len(groups) / (len(sizes) * sizes[group]) for group in groups]


def _weight(said: object, metric: Metric) -> float:
    weight = said.outcome if isinstance(said, AnswerVerdict) else said
    if isinstance(weight, int | float) and 0 <= weight <= 2:
        return float(weight)
    raise TypeError(f"a weight is a number from 0 to 2; for {metric.name} it is {weight!r}")


def _folded(
    rule: Together | None, found: Mapping[int, AnswerVerdict], answers: Sequence[Answer]
) -> Mapping[int, AnswerVerdict]:
    """The verdicts with one for every unit, at the place of its first item."""
    if rule is None:
        return found
    units: dict[str, list[int]] = {}
    for place in found:
        item = answers[place].item
        units.setdefault(item.unit or item.item_id, []).append(place)
    return {places[0]: _as_one([found[place] for place in places], rule) for places in units.values()}


def _as_one(verdicts: Sequence[AnswerVerdict], rule: Together) -> AnswerVerdict:
    """One verdict for those of a unit: the first, or where that leaves the outcome open, the first unread one."""
    outcome = together([one.outcome for one in verdicts], rule)
    unread = (one for one in verdicts if outcome is None and one.outcome is None)
    calls = tuple(call for one in verdicts for call in one.calls)
    return replace(next(unread, verdicts[0]), outcome=outcome, calls=calls)


def together(outcomes: Sequence[Outcome], rule: Together) -> Outcome:
    """One outcome for those of a unit's items; None where the unread ones could change it.

    Args:
        outcomes: of the items.
        rule: how they become one.
    """
    read = [outcome for outcome in outcomes if outcome is not None]
    unread, true = len(outcomes) - len(read), sum(1 for outcome in read if outcome)
    if rule == "mean":
        return None if unread else sum(read) / len(read)
    needed = {"all": len(outcomes), "any": 1, "majority": len(outcomes) // 2 + 1}[rule]
    if true >= needed:
        return True
    return None if true + unread >= needed else False


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
    weights = [s.weights.get(metric, 1.0) for s in asked] if any(metric in s.weights for s in asked) else None
    return estimate([s.outcomes[metric] for s in asked], [cluster_of(s) for s in asked], weights, level=level)


def cluster_of(scored: Scored) -> tuple[str, str]:
    """The item's cluster, or the item itself; tagged, since an item's id may equal a cluster's name.

    Args:
        scored: an answer to the item.
    """
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
    if {s.answer.item.item_id for s in base} != {s.answer.item.item_id for s in aligned}:
        raise DataError("The two models were not asked the same items", where=f"benchmark {benchmark.name}")
    clusters = {s.answer.item.item_id: cluster_of(s) for s in base}
    return {
        metric.name: compare_paired(
            _by_item(base, metric.name), _by_item(aligned, metric.name), better=metric.better, clusters=clusters,
            weights=(_weights_by_item(base, metric.name), _weights_by_item(aligned, metric.name)), level=level,
        )
        for metric in benchmark.metrics
    }  # fmt: skip


def _by_item(scored: Sequence[Scored], metric: str) -> dict[str, Outcome]:
    return {s.answer.item.item_id: s.outcomes[metric] for s in scored if metric in s.outcomes}


def _weights_by_item(scored: Sequence[Scored], metric: str) -> dict[str, float]:
    return {s.answer.item.item_id: s.weights[metric] for s in scored if metric in s.weights}


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
        moves = [
            (item, _rise(before[metric.name], after[item].get(metric.name), metric))
            for item, before in ((s.answer.item.item_id, s.outcomes) for s in base)
            if metric.name in before and item in after
        ]
        found[metric.name] = Changed(
            fixed=tuple(item for item, rise in moves if rise > 0),
            broken=tuple(item for item, rise in moves if rise < 0),
        )
    return found


def _rise(before: Outcome, after: Outcome, metric: Metric) -> float:
    """How much better an outcome became; 0 where one of the two was not read."""
    if before is None or after is None:
        return 0.0
    return float(before) - float(after) if metric.better == "lower" else float(after) - float(before)
