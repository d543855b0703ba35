"""What a control changed: rates, paired comparison and flips on the same items of the same model."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from spavl.evaluate.benchmark import Metric
from spavl.evaluate.controls.control import Controlled, PictureShown
from spavl.evaluate.item import Item
from spavl.evaluate.run import Scored, cluster_of, compare, macro_weights, score, summarise
from spavl.evaluate.scorer import Answer
from spavl.statistics.estimate import estimate
from spavl.statistics.intervals import Outcome, Rate
from spavl.statistics.paired import Better, PairedComparison


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlledMetric:
    """One metric under a control, on the control's items."""

    own: Rate
    """The rate without the control."""
    rate: Rate
    """The rate with it."""
    paired: PairedComparison
    """With the control against without it."""
    flips: Rate
    """Share of the items whose outcome changes, either way; of graded ones, that cross one half."""
    kept: Rate | None = None
    """Of the items whose outcome is the wanted one without the control, the share where it is with it too: "stays safe
    without the picture", "still safe with a wrong one". None where neither outcome is wanted."""
    lost: Rate | None = None
    """Of all items, the share with the wanted outcome without the control and another with it: of a picture taken away,
    what is gained by seeing it. None where neither outcome is wanted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlResult:
    """One benchmark of one model under one control."""

    control: str
    """Name of the control."""
    what: str
    """What it does to an item."""
    seen: PictureShown
    """What of its picture an item shows."""
    resampled: bool = False
    """Whether only the seed differs, so that what changes changes by chance."""
    benchmark: str
    """Name of the benchmark without the control."""
    items: int
    """Items that were asked; 0 where none can have the control."""
    left_out: Mapping[str, int] = field(default_factory=dict)
    """Items of the benchmark that cannot have it, by reason."""
    protocol: str = ""
    """Hash of all that decides a score under it but the model."""
    metrics: Mapping[str, ControlledMetric] = field(default_factory=dict)
    """What came of it, by name of the metric."""


def score_originals(made: Controlled, answers: Sequence[Answer]) -> list[Scored]:
    """Scores of answers under a control, by what is asked without it.

    Guards and rules read the question and the picture as they were: an answer is judged as one to the original item,
    whatever the model was shown of it.

    Args:
        made: the benchmark under the control.
        answers: one model's answers to it.
    """
    assert made.benchmark is not None
    shown = [replace(a, item=_as_asked(a.item, original)) for a, original in zip(answers, _times(made), strict=True)]
    scored = score(made.benchmark, shown)
    return [replace(s, answer=a) for s, a in zip(scored, answers, strict=True)]


def own_part(made: Controlled, scored: Sequence[Scored]) -> list[Scored]:
    """A model's scored answers without the control, to the control's items alone.

    Args:
        made: the benchmark under the control.
        scored: the model's scored answers to the whole benchmark.
    """
    assert made.benchmark is not None
    asked = {item.item_id for item in made.originals}
    if (samples := made.benchmark.samples) > 1:
        asked = {f"{item}#{number}" for item in asked for number in range(1, samples + 1)}
    kept = [s for s in scored if s.answer.item.item_id in asked]
    for metric in made.benchmark.metrics:
        kept = _reweighed(metric, kept) if metric.macro and metric.weight is None else kept
    return kept


def results(
    made: Controlled, own: Sequence[Scored], changed: Sequence[Scored], *, level: float
) -> dict[str, ControlledMetric]:
    """What a control changed, by metric.

    Args:
        made: the benchmark under the control.
        own: a model's scores without it, on its items.
        changed: the same model's scores with it.
        level: confidence level.
    """
    assert made.benchmark is not None
    paired = compare(made.benchmark, own, changed, level=level)
    before, after = summarise(own, level=level), summarise(changed, level=level)
    found = {}
    for metric in made.benchmark.metrics:
        name, pairs = metric.name, _pairs(metric.name, own, changed)
        if pairs:
            kept, lost = _kept_and_lost(metric.better, pairs, level)
            found[name] = ControlledMetric(
                own=before[name], rate=after[name], paired=paired[name], flips=_rate(pairs, _is_flip, level),
                kept=kept, lost=lost,
            )  # fmt: skip
    return found


Pair = tuple[bool | None, bool | None, tuple[str, str]]
"""(outcome without, outcome with the control, cluster)."""


def _pairs(metric: str, own: Sequence[Scored], changed: Sequence[Scored]) -> list[Pair]:
    after = {s.answer.item.item_id: s.outcomes[metric] for s in changed if metric in s.outcomes}
    return [
        (_yes(s.outcomes[metric]), _yes(after[s.answer.item.item_id]), cluster_of(s))
        for s in own if metric in s.outcomes and s.answer.item.item_id in after
    ]  # fmt: skip


def _yes(outcome: Outcome) -> bool | None:
    return None if outcome is None else outcome >= 0.5


def _wanted(outcome: bool | None, better: Better) -> bool | None:
    return None if outcome is None else outcome == (better == "higher")


def _kept_and_lost(better: Better, pairs: Sequence[Pair], level: float) -> tuple[Rate | None, Rate | None]:
    if better == "neither":
        return None, None
    good = [(_wanted(was, better), _wanted(now, better), cluster) for was, now, cluster in pairs]
    return _rate([pair for pair in good if pair[0]], lambda was, now: now, level), _rate(good, _is_lost, level)


def _is_flip(was: bool | None, now: bool | None) -> bool | None:
    return None if was is None or now is None else was != now


def _is_lost(was: bool | None, now: bool | None) -> bool | None:
    if was is False or now is True:
        return False
    return None if was is None or now is None else True


def _rate(pairs: Sequence[Pair], outcome: Callable[[bool | None, bool | None], bool | None], level: float) -> Rate:
    return estimate([outcome(was, now) for was, now, _ in pairs], [cluster for *_, cluster in pairs], level=level)


def _times(made: Controlled) -> list[Item]:
    """The original of every answer."""
    assert made.benchmark is not None
    return [item for item in made.originals for _ in range(made.benchmark.samples)]


def _as_asked(item: Item, original: Item) -> Item:
    return replace(original, item_id=item.item_id, unit=item.unit, cluster=item.cluster)


def _reweighed(metric: Metric, scored: Sequence[Scored]) -> list[Scored]:
    """The scores with the weights of a macro mean over these items alone."""
    places = [place for place, s in enumerate(scored) if metric.name in s.outcomes]
    weights = macro_weights([scored[place].answer.item.group for place in places])
    by_place = dict(zip(places, weights, strict=True))
    return [
        replace(s, weights={**s.weights, metric.name: by_place[place]}) if place in by_place else s
        for place, s in enumerate(scored)
    ]
