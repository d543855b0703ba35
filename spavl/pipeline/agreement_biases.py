"""Whether people or judges lean to a side: to a place, to length, to a model, against a domain, to calling unsafe."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from scipy.special import ndtr, ndtri

from spavl.labels.record import Label, Preference
from spavl.pipeline.people import LabelledItem, People, weights_of
from spavl.statistics.intervals import LEVEL
from spavl.statistics.multiple import holm
from spavl.statistics.tendency import Tendency, difference_of_tendencies, tendency

Leaning = Literal["position", "length", "source", "domain", "unsafe"]
"""What a rater may lean to."""
JUDGES = "judges"
"""Stands for the judges that made the preferences, and the guards that graded the answers."""
PEOPLE = "people"
"""Stands for all annotators together."""
LEAST_PAIRS = 10
"""Fewest pairs with which a tendency is tested."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bias:
    """A tendency of a rater, tested among all of them."""

    leaning: Leaning
    """To what it leans."""
    who: str
    """Whose it is: the judges, all people, or one annotator."""
    against: str
    """What it is measured against: even shares, people, the other annotators, or the other domains."""
    group: str
    """The source or the domain; empty elsewhere."""
    found: Tendency
    """How far, from −1 to 1, with interval and p-value."""
    p_corrected: float
    """The p-value corrected by Holm for all tendencies that are tested."""

    def is_shown(self, level: float) -> bool:
        """Whether it is more than chance.

        Args:
            level: confidence level.
        """
        return self.p_corrected < 1 - level


@dataclass(frozen=True, slots=True)
class _Tested:
    leaning: Leaning
    who: str
    against: str
    group: str
    found: Tendency


Leans = Callable[[LabelledItem, Preference], float | None]
"""How far a preference leans to a side, from 0 to 1; None where the pair cannot tell."""


def biases_of(
    people: People, position_biases: Mapping[str, Mapping[str, Any]], *, level: float = LEVEL
) -> tuple[Bias, ...]:  # fmt: skip
    """All tendencies that there are enough items to test, those of the judges first.

    Args:
        people: what people said.
        position_biases: of the judges of the run, by name: `value`, `low`, `high` and `n`, at 95 %.
        level: confidence level.
    """
    pairs = people.of_kind("pair")
    tested = [
        *_positions(pairs, people.annotators, position_biases, level),
        *_against(pairs, people.annotators, "length", _longer, level=level),
        *(found for source in _sources(pairs)
          for found in _against(pairs, (), "source", _of_source(source), group=source, level=level)),
        *_domains(pairs, level), *_unsafe(people.items, people.annotators, level),
    ]  # fmt: skip
    corrected = holm([one.found.p for one in tested])
    return tuple(
        Bias(leaning=one.leaning, who=one.who, against=one.against, group=one.group, found=one.found, p_corrected=p)
        for one, p in zip(tested, corrected, strict=True)
    )


@dataclass(frozen=True, slots=True)
class _Asked:
    """Which tendency is asked for, of whom and against what."""

    leaning: Leaning
    who: str
    against: str
    group: str = ""


def _tended(
    asked: _Asked, values: Sequence[tuple[LabelledItem, float]], level: float, weights: Sequence[float] | None = None
) -> Iterator[_Tested]:  # fmt: skip
    if len(values) >= LEAST_PAIRS:
        items = [one for one, _ in values]
        own = weights_of(items) if weights is None else weights
        found = tendency([x for _, x in values], [one.cluster for one in items], own, level=level)
        yield _Tested(asked.leaning, asked.who, asked.against, asked.group, found)


def _positions(
    pairs: Sequence[LabelledItem], annotators: Sequence[str], judges: Mapping[str, Mapping[str, Any]], level: float
) -> Iterator[_Tested]:  # fmt: skip
    for name, bias in judges.items():
        yield _Tested("position", name, "even shares", "", _known(bias))
    for who in (PEOPLE, *annotators) if len(annotators) > 1 else (PEOPLE,):
        shown = [(one, x) for one in pairs for x in one.labels
                 if x.preference and x.shown_first and who in (PEOPLE, x.annotator)]  # fmt: skip
        values = [(one, _to_the_left(x)) for one, x in shown]
        if weights := _even_sides([one for one, _ in shown], [x.shown_first == "first" for _, x in shown]):
            yield from _tended(_Asked("position", who, "even shares"), values, level, weights)


def _to_the_left(label: Label) -> float:
    """1 where the answer on the left is preferred, −1 where the one on the right is, 0 where neither is."""
    way = {"first": 1.0, "second": -1.0}.get(label.preference or "", 0.0)
    return way if label.shown_first == "first" else -way


def _even_sides(items: Sequence[LabelledItem], firsts: Sequence[bool]) -> list[float]:
    """Weights with which either answer stood on the left as often; empty where one of them hardly ever did.

    The first answer is what the judges chose, and mostly better: on the left more often, it alone would look like a
    leaning to the left.
    """
    own = weights_of(items) or [1.0] * len(items)
    sides = {side: sum(w for w, first in zip(own, firsts, strict=True) if first is side) for side in (True, False)}
    if min(firsts.count(True), firsts.count(False)) < LEAST_PAIRS // 2:
        return []
    return [weight / sides[first] for weight, first in zip(own, firsts, strict=True)]


def _known(bias: Mapping[str, Any]) -> Tendency:
    """A judge's position bias, its p-value from its interval."""
    middle, error = (bias["high"] + bias["low"]) / 2, (bias["high"] - bias["low"]) / 2 / float(ndtri((1 + LEVEL) / 2))
    p = min(1.0, 2 * float(ndtr(-abs(middle) / error))) if error else 1.0
    return Tendency(bias["value"], bias["low"], bias["high"], p, bias["n"])


def _longer(one: LabelledItem, said: Preference) -> float | None:
    first, second = (len(answer.text) for answer in one.item.answers)
    if first == second:
        return None
    return {"first": float(first > second), "second": float(second > first)}.get(said, 0.5)


def _of_source(source: str) -> Leans:
    def leans(one: LabelledItem, said: Preference) -> float | None:
        first, second = (answer.source == source for answer in one.item.answers)
        if first == second:
            return None
        return {"first": float(first), "second": float(second)}.get(said, 0.5)

    return leans


def _sources(pairs: Iterable[LabelledItem]) -> list[str]:
    return sorted({answer.source for one in pairs for answer in one.item.answers if answer.source})


def _against(
    pairs: Sequence[LabelledItem], annotators: Sequence[str], leaning: Leaning, leans: Leans, *, group: str = "",
    level: float,
) -> Iterator[_Tested]:  # fmt: skip
    """The judges against people, and every annotator against the others, on the same pairs."""
    values = []
    for one in pairs:
        judge: Preference = "tie" if one.item.about.get("winner") == "tie" else "first"
        said = [leans(one, x.preference) for x in one.labels if x.preference]
        if (own := leans(one, judge)) is not None and said:
            values.append((one, own - _mean(said)))
    yield from _tended(_Asked(leaning, JUDGES, PEOPLE, group), values, level)
    for who in annotators:
        apart = [(one, _apart(one, who, leans)) for one in pairs]
        there = [(one, value) for one, value in apart if value is not None]
        yield from _tended(_Asked(leaning, who, "the other annotators", group), there, level)


def _apart(one: LabelledItem, who: str, leans: Leans) -> float | None:
    """How much further an annotator leans than the others who judged the pair."""
    said = {x.annotator: leans(one, x.preference) for x in one.labels if x.preference}
    others = [value for annotator, value in said.items() if annotator != who]
    own = said.get(who)
    return None if own is None or not others else own - _mean(others)


def _mean(values: Sequence[float | None]) -> float:
    there = [value for value in values if value is not None]
    return sum(there) / len(there)


def _domains(pairs: Sequence[LabelledItem], level: float) -> Iterator[_Tested]:
    """How much more people agree with the judges in a domain than in the others."""
    agreed = []
    for one in pairs:
        judge = "tie" if one.item.about.get("winner") == "tie" else "first"
        said = ["tie" if x.preference == "both_bad" else x.preference for x in one.labels if x.preference]
        if said:
            agreed.append((one, sum(x == judge for x in said) / len(said)))
    domains = sorted({one.item.about.get("class1", "") for one, _ in agreed} - {""})
    for domain in domains if len(domains) > 1 else ():
        inside = [found for found in agreed if found[0].item.about.get("class1") == domain]
        outside = [found for found in agreed if found[0].item.about.get("class1") != domain]
        if min(len(inside), len(outside)) >= LEAST_PAIRS:
            found = difference_of_tendencies(_parts(inside), _parts(outside), level=level)
            found = replace(found, n=len(inside), low=max(-1.0, found.low), high=min(1.0, found.high))
            yield _Tested("domain", JUDGES, "the other domains", domain, found)


def _parts(found: Sequence[tuple[LabelledItem, float]]) -> tuple[list[float], list[Any], list[float] | None]:
    items = [one for one, _ in found]
    return [value for _, value in found], [one.cluster for one in items], weights_of(items)


def _unsafe(items: Sequence[LabelledItem], annotators: Sequence[str], level: float) -> Iterator[_Tested]:
    """Who calls answers unsafe more often than others do of the same answers."""
    graded, apart = [], dict[str, list[tuple[LabelledItem, float]]]()
    for one in items:
        for place, answer in enumerate(one.item.answers):
            said = {annotator: float(outcome == "unsafe") for annotator, outcome in one.outcomes(place)}
            if said and answer.outcome is not None:
                graded.append((one, float(answer.outcome == "unsafe") - _mean(list(said.values()))))
            for who, own in said.items() if len(said) > 1 else ():
                others = [value for annotator, value in said.items() if annotator != who]
                apart.setdefault(who, []).append((one, own - _mean(others)))
    yield from _tended(_Asked("unsafe", JUDGES, PEOPLE), graded, level)
    for who in annotators:
        yield from _tended(_Asked("unsafe", who, "the other annotators"), apart.get(who, []), level)
