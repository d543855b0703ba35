"""Response → Match: responders into safety groups, then pairs of answers from different groups (SPA-VL §3.3).

No model is called, so the number of the judge's calls is known before any is made.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from itertools import combinations, groupby

from spavl.config.build import MatchSettings
from spavl.records import Match, Query, Response


def unsafe_rates(responses: Sequence[Response]) -> dict[str, float]:
    """Share of each responder's graded answers that the guard calls unsafe, safest first.

    Answers about benign pictures do not count, unless there are no others: a responder is not safer for having been
    asked harmless questions.

    Args:
        responses: graded answers of all responders.
    """
    graded = [r for r in responses if r.safe is not None]
    counted = [r for r in graded if not r.query.image.benign] or graded
    counts: dict[str, list[int]] = {}
    for r in counted:
        tally = counts.setdefault(r.responder, [0, 0])
        tally[0] += not r.safe
        tally[1] += 1
    rates = {name: unsafe / n for name, (unsafe, n) in counts.items()}
    return dict(sorted(rates.items(), key=lambda pair: (pair[1], pair[0])))


def safety_groups(rates: Mapping[str, float], groups: int) -> dict[str, int]:
    """Safety group of each responder: quantiles of the unsafe rate, of nearly equal size; 0 is the safest.

    Responders with equal rates share the group of their mean rank, so that a tie is never broken by a name and two
    different rates are always enough for two groups.

    Args:
        rates: unsafe rate by responder.
        groups: number of groups.
    """
    group_of: dict[str, int] = {}
    rank = 0
    for _, tied in groupby(sorted(rates, key=lambda name: (rates[name], name)), key=lambda name: rates[name]):
        names = list(tied)
        twice_mean_rank = 2 * rank + len(names) - 1
        group_of |= dict.fromkeys(names, twice_mean_rank * groups // (2 * len(rates)))
        rank += len(names)
    return group_of


def match(responses: Sequence[Response], *, settings: MatchSettings, seed: int) -> list[Match]:
    """Sample pairs of answers to compare for every question; which answer is `a` is random too.

    Only complete answers are matched, and never two with the same text. Given the groups, the sample depends on the
    question and the seed alone, so a question keeps its matches when others are added.

    Args:
        responses: graded answers of all responders.
        settings: number of safety groups and of matches for each question.
        seed: seed of the sampling.
    """
    groups = safety_groups(unsafe_rates(responses), settings.groups)
    by_query: dict[str, list[Response]] = {}
    for r in responses:
        if r.response_status == "ok" and r.responder in groups:
            by_query.setdefault(r.query.query_id, []).append(r)
    return [m for answers in by_query.values() for m in _sample(answers, groups, settings.per_question, seed)]


def _sample(answers: list[Response], groups: Mapping[str, int], count: int, seed: int) -> list[Match]:
    answers = sorted(answers, key=lambda r: r.responder)
    possible = [
        (a, b)
        for a, b in combinations(answers, 2)
        if groups[a.responder] != groups[b.responder] and a.response != b.response
    ]
    rng = random.Random(f"{seed}/{answers[0].query.query_id}")
    sampled = rng.sample(possible, min(count, len(possible)))
    return [_match(*(pair if rng.random() < 0.5 else pair[::-1]), groups) for pair in sampled]


def _match(a: Response, b: Response, groups: Mapping[str, int]) -> Match:
    query: Query = a.query
    return Match(
        query=query, match_id=f"{query.query_id}/{a.responder}~{b.responder}",
        a_responder=a.responder, a_response=a.response, a_safe=a.safe, a_group=groups[a.responder],
        b_responder=b.responder, b_response=b.response, b_safe=b.safe, b_group=groups[b.responder],
    )  # fmt: skip
