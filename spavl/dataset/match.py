"""Response → Match: responders into safety groups, then two answers from different groups (SPA-VL §3.3).

Free: no model is called, so the judge's bill is known before it is spent.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from itertools import combinations, groupby

from spavl.config.build import MatchSettings
from spavl.records import Match, Query, Response


def unsafe_rates(responses: Sequence[Response]) -> dict[str, float]:
    """Share of each responder's graded answers that the guard calls unsafe, safest first.

    Benign pictures do not count: a responder is not safer for having been asked harmless questions. Where a dataset has
    nothing but benign pictures, all of them count.
    """
    graded = [r for r in responses if r.safe is not None]
    telling = [r for r in graded if not r.query.image.benign] or graded
    counts: dict[str, list[int]] = {}
    for r in telling:
        tally = counts.setdefault(r.responder, [0, 0])
        tally[0] += not r.safe
        tally[1] += 1
    rates = {name: unsafe / n for name, (unsafe, n) in counts.items()}
    return dict(sorted(rates.items(), key=lambda pair: (pair[1], pair[0])))


def safety_groups(rates: Mapping[str, float], groups: int) -> dict[str, int]:
    """Responders in order of their unsafe rate, cut into groups of nearly equal size; 0 is the safest.

    Responders of exactly one rate share a group, that of their middle place, so that a tie is never broken by a name
    and two different rates are always enough for two groups.
    """
    placed: dict[str, int] = {}
    first = 0
    for _, tied in groupby(sorted(rates, key=lambda name: (rates[name], name)), key=lambda name: rates[name]):
        names = list(tied)
        twice_the_middle = 2 * first + len(names) - 1
        placed |= dict.fromkeys(names, twice_the_middle * groups // (2 * len(rates)))
        first += len(names)
    return placed


def match(responses: Sequence[Response], *, settings: MatchSettings, seed: int) -> list[Match]:
    """Draw the meetings of every question. Which answer is `a` is drawn too.

    Only whole answers meet, and never two with the same words. Given the groups, the draw depends on the question and
    the seed alone, so a question keeps its matches when others are added.
    """
    groups = safety_groups(unsafe_rates(responses), settings.groups)
    by_query: dict[str, list[Response]] = {}
    for r in responses:
        if r.response_status == "ok" and r.responder in groups:
            by_query.setdefault(r.query.query_id, []).append(r)
    return [m for answers in by_query.values() for m in _meetings(answers, groups, settings.per_question, seed)]


def _meetings(answers: list[Response], groups: Mapping[str, int], count: int, seed: int) -> list[Match]:
    answers = sorted(answers, key=lambda r: r.responder)
    possible = [
        (a, b)
        for a, b in combinations(answers, 2)
        if groups[a.responder] != groups[b.responder] and a.response != b.response
    ]
    draw = random.Random(f"{seed}/{answers[0].query.query_id}")
    drawn = draw.sample(possible, min(count, len(possible)))
    return [_match(*(pair if draw.random() < 0.5 else pair[::-1]), groups) for pair in drawn]


def _match(a: Response, b: Response, groups: Mapping[str, int]) -> Match:
    query: Query = a.query
    return Match(
        query=query, match_id=f"{query.query_id}/{a.responder}~{b.responder}",
        a_responder=a.responder, a_response=a.response, a_safe=a.safe, a_group=groups[a.responder],
        b_responder=b.responder, b_response=b.response, b_safe=b.safe, b_group=groups[b.responder],
    )  # fmt: skip
