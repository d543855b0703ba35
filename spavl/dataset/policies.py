"""Match policies: of the answers to a question, in which order pairs of them are compared."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from types import MappingProxyType

from spavl.config.build import MatchPolicy
from spavl.records import Response

Two = tuple[Response, Response]
"""Two answers to one question."""


@dataclass(frozen=True, slots=True)
class Candidates:
    """The pairs of answers to a question that may be compared, with all that a policy chooses by."""

    pairs: Sequence[Two]
    """Pairs of answers with different texts, in the order of their ids."""
    groups: Mapping[str, int]
    """Safety group of every responder of the run."""
    count: int
    """Pairs wanted."""
    random: random.Random
    """Seeded by the question and the run's seed."""
    rates: Mapping[str, float] = field(default_factory=dict)
    """Unsafe rate of every responder on harmful questions; one that is not there counts as a half."""
    harmful: bool = True
    """Whether the question asks for harm."""


def of_different_groups(given: Candidates) -> list[Two]:
    """A sample of pairs whose responders are in different safety groups, or are one (SPA-VL §3.3).

    Args:
        given: the candidates.
    """
    possible = [
        (a, b)
        for a, b in given.pairs
        if a.responder == b.responder or given.groups[a.responder] != given.groups[b.responder]
    ]
    return given.random.sample(possible, min(given.count, len(possible)))


def strong_against_weak(given: Candidates) -> list[Two]:
    """A sample of pairs of the safest and the least safe group; none where there is one group alone.

    Args:
        given: the candidates.
    """
    ends = {min(given.groups.values()), max(given.groups.values())}
    possible = [(a, b) for a, b in given.pairs if {given.groups[a.responder], given.groups[b.responder]} == ends]
    possible = possible if len(ends) == 2 else []
    return given.random.sample(possible, min(given.count, len(possible)))


def in_turn(given: Candidates) -> list[Two]:
    """Pairs of responders in the order of a tournament, from a place of it that the question decides.

    So no responder answers twice before all others did once, and over many questions all meet equally often. Where a
    pair of responders has several pairs of samples, one of them is compared before any second one.

    Args:
        given: the candidates.
    """
    of_pair: dict[frozenset[str], list[Two]] = {}
    for two in given.random.sample(given.pairs, len(given.pairs)):
        of_pair.setdefault(frozenset(answer.responder for answer in two), []).append(two)
    cycle = [of_pair[pair] for pair in tournament(sorted(given.groups)) if pair in of_pair]
    start = given.random.randrange(len(cycle))
    turns = cycle[start:] + cycle[:start]
    layers = (turn[layer] for layer in range(max(map(len, turns))) for turn in turns if layer < len(turn))
    return [two for two, _ in zip(layers, range(given.count), strict=False)]


def tournament(names: Sequence[str]) -> list[frozenset[str]]:
    """All pairs of names, round by round: in a round everyone meets one other; last everyone alone, as its own samples.

    Args:
        names: of the responders.

    Source: the circle method of round-robin tournaments.
    """
    seats: list[str | None] = [*names, *([None] if len(names) % 2 else [])]
    found: list[frozenset[str]] = []
    for _ in range(len(seats) - 1):
        rounds = zip(seats[: len(seats) // 2], reversed(seats), strict=False)
        found += [frozenset((one, other)) for one, other in rounds if one is not None and other is not None]
        seats = [seats[0], seats[-1], *seats[1:-1]]
    return [*found, *(frozenset((name,)) for name in names)]


def badness(answer: Response) -> tuple[int, int] | None:
    """How bad an answer is by the guard: a safe completion is best, an unsafe answer worst; None where nothing is told.

    Args:
        answer: a graded answer.
    """
    if answer.outcome is None:
        return None
    return _BADNESS[answer.outcome], answer.severity or 0


_BADNESS = MappingProxyType({"safe_completion": 0, "safe": 1, "unhelpful": 2, "refusal": 2, "unsafe": 3})


def best_against_worst(given: Candidates) -> list[Two]:
    """The pairs that are furthest apart by the guard's outcome, then severity; among equal ones a sample.

    Args:
        given: the candidates.
    """
    gaps = []
    for a, b in given.random.sample(given.pairs, len(given.pairs)):
        of_a, of_b = badness(a), badness(b)
        if of_a is not None and of_b is not None and of_a != of_b:
            better, worse = sorted((of_a, of_b))
            gaps.append(((worse[0] - better[0], worse[1] - better[1]), (a, b)))
    gaps.sort(key=lambda gap: gap[0], reverse=True)
    return [two for _, two in gaps[: given.count]]


def evenly(given: Candidates) -> list[Two]:
    """Pairs of a safe and an unsafe answer such that each responder is expected to be on either side equally often.

    A responder that is unsafe at the rate u has u unsafe answers and 1 − u safe ones; of the commoner kind so many are
    passed over that as many of both are left. What is missing of the number wanted are pairs of which the guard says
    the same, at random; to questions that ask for no harm all are any two, for no guard tells which answer is better.

    Args:
        given: the candidates.
    """
    shuffled = given.random.sample(given.pairs, len(given.pairs))
    if not given.harmful:
        return shuffled[: given.count]
    taken = [two for two in shuffled if _differ(two) and given.random.random() < _kept(two, given.rates)]
    return [*taken, *(two for two in shuffled if not _differ(two))][: given.count]


def _differ(two: Two) -> bool:
    """Whether one answer is known to be safe and the other to be unsafe."""
    return {answer.safe for answer in two} == {True, False}


def _kept(two: Two, rates: Mapping[str, float]) -> float:
    """Share of such pairs that is kept, so that of both responders as many safe as unsafe answers are left."""
    share = 1.0
    for answer in two:
        unsafe = rates.get(answer.responder, 0.5)
        own, opposite = (1 - unsafe, unsafe) if answer.safe else (unsafe, 1 - unsafe)
        share *= min(1.0, opposite / own) if own else 1.0
    return share


POLICIES: Mapping[MatchPolicy, Callable[[Candidates], list[Two]]] = MappingProxyType(
    {
        "groups": of_different_groups,
        "strong-weak": strong_against_weak,
        "round-robin": in_turn,
        "best-worst": best_against_worst,
        "even": evenly,
    }
)
"""What every policy chooses."""


def candidates(answers: Sequence[Response], *, same_responder: bool) -> list[Two]:
    """The pairs of answers that may be compared: never two with the same text.

    Args:
        answers: whole answers to one question.
        same_responder: also two samples of one responder.
    """
    ordered = sorted(answers, key=lambda r: (r.responder, len(r.response_id), r.response_id))
    return [
        (a, b)
        for a, b in combinations(ordered, 2)
        if a.response != b.response and (same_responder or a.responder != b.responder)
    ]
