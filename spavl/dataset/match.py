"""Response → Match: responders into safety groups, then pairs of answers by a policy (SPA-VL §3.3: different groups).

No model is called, so the number of the judge's calls is known before any is made.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from types import MappingProxyType

from spavl.config.build import MatchSettings
from spavl.dataset.policies import POLICIES, Candidates, candidates
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
    responses: Sequence[Response], *, groups: Mapping[str, int], settings: MatchSettings, seed: int,
    rates: Mapping[str, float] = MappingProxyType({}),
) -> list[Match]:  # fmt: skip
    """Pairs of answers to compare for every question, by the policy; which answer is `a` is random.

    Only complete answers are matched, and never two with the same text. Given the groups, the matches depend on the
    question and the seed alone, so a question keeps them when others are added.

    Args:
        responses: graded answers of all responders to some questions.
        groups: safety group of every responder, from `safety_groups`.
        settings: the policy, and the number of matches for each question.
        seed: seed of the sampling.
        rates: unsafe rate of every responder, from `unsafe_rates`, which the policy `even` needs.
    """
    by_query: dict[str, list[Response]] = {}
    for r in responses:
        if r.response_status == "ok":
            by_query.setdefault(r.query.query_id, []).append(r)
    return [m for answers in by_query.values() for m in _of_question(answers, groups, settings, seed, rates)]


def _of_question(
    answers: list[Response], groups: Mapping[str, int], settings: MatchSettings, seed: int, rates: Mapping[str, float]
) -> Iterator[Match]:
    known = [r for r in answers if r.responder in groups]
    pairs = candidates(known, same_responder=settings.same_responder)
    if not pairs:
        return
    asked = answers[0].query
    rng = random.Random(f"{seed}/{asked.query_id}")
    found = POLICIES[settings.policy](Candidates(pairs, groups, settings.per_question, rng, rates, asked.harmful))
    completions = sum(r.outcome == "safe_completion" for r in answers)
    for a, b in found:
        yield _match(*((a, b) if rng.random() < 0.5 else (b, a)), groups, completions)


def _match(a: Response, b: Response, groups: Mapping[str, int], completions: int) -> Match:
    asked: Query = a.query
    first, second = (r.response_id.removeprefix(f"{asked.query_id}/") for r in (a, b))
    return Match(
        query=asked, match_id=f"{asked.query_id}/{first}~{second}",
        a_response_id=a.response_id, a_responder=a.responder, a_response=a.response, a_thought=a.thought,
        a_outcome=a.outcome, a_severity=a.severity, a_group=groups[a.responder],
        b_response_id=b.response_id, b_responder=b.responder, b_response=b.response, b_thought=b.thought,
        b_outcome=b.outcome, b_severity=b.severity, b_group=groups[b.responder], safe_completions=completions,
    )  # fmt: skip
