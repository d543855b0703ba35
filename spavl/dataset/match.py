"""Response → Match: responders into safety groups, then pairs of answers from different groups (SPA-VL §3.3).

No model is called, so the number of the judge's calls is known before any is made.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from itertools import combinations, groupby
from pathlib import Path

from spavl.config.build import MatchSettings
from spavl.records import Match, Query, Response
from spavl.tables.query import query

UNSAFE_RATES = """
SELECT responder, harmful, count(*) FILTER (NOT safe) AS unsafe, count(*) AS graded
FROM responses WHERE safe IS NOT NULL GROUP BY responder, harmful
"""


def unsafe_rates(responses: Path) -> dict[str, float]:
    """Share of each responder's graded answers that the guard calls unsafe, safest first.

    Answers to harmless questions do not count, unless there are no others: a responder is not safer for having been
    asked them.

    Args:
        responses: table of the graded answers of all responders.
    """
    counts = query(UNSAFE_RATES, responses=responses)
    counted = [row for row in counts if row[1]] or counts
    rates = {responder: unsafe / graded for responder, _, unsafe, graded in counted}
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


def match(
    responses: Sequence[Response], *, groups: Mapping[str, int], settings: MatchSettings, seed: int
) -> list[Match]:
    """Sample pairs of answers to compare for every question; which answer is `a` is random too.

    Only complete answers are matched, and never two with the same text. Given the groups, the sample depends on the
    question and the seed alone, so a question keeps its matches when others are added.

    Args:
        responses: graded answers of all responders to some questions.
        groups: safety group of every responder, from `safety_groups`.
        settings: number of safety groups and of matches for each question.
        seed: seed of the sampling.
    """
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
    asked: Query = a.query
    return Match(
        query=asked, match_id=f"{asked.query_id}/{a.responder}~{b.responder}",
        a_response_id=a.response_id, a_responder=a.responder, a_response=a.response, a_thought=a.thought,
        a_outcome=a.outcome, a_group=groups[a.responder],
        b_response_id=b.response_id, b_responder=b.responder, b_response=b.response, b_thought=b.thought,
        b_outcome=b.outcome, b_group=groups[b.responder],
    )  # fmt: skip
