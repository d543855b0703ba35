"""Judgment → PreferencePair: only verdicts that both reading orders agree on, and no ties."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from spavl.config.build import PairSettings
from spavl.judging.judge import agreed
from spavl.records import Judgment, PreferencePair, Winner


def pair(judgments: Sequence[Judgment], *, settings: PairSettings) -> tuple[list[PreferencePair], Counter[str]]:
    """The preference pairs, and how many matches ended as `pair` or as what excluded them.

    Excluded are `tie`, `orders disagree`, `unreadable` and, where the settings ask for it, `chosen unsafe`.

    Args:
        judgments: verdicts in both reading orders.
        settings: whether the chosen answer must be graded safe.
    """
    pairs: list[PreferencePair] = []
    outcomes: Counter[str] = Counter()
    for by_order in _by_match(judgments):
        outcome, made = _decide(by_order, settings)
        outcomes[outcome] += 1
        pairs += [made] if made else []
    return pairs, outcomes


def _by_match(judgments: Sequence[Judgment]) -> list[dict[str, Judgment]]:
    """For every match and judge the judgments by reading order."""
    found: dict[tuple[str, str], dict[str, Judgment]] = {}
    for j in judgments:
        found.setdefault((j.match.match_id, j.judge), {})[j.order] = j
    return list(found.values())


def _decide(by_order: dict[str, Judgment], settings: PairSettings) -> tuple[str, PreferencePair | None]:
    if len(by_order) < 2:
        return "unreadable", None
    ab, ba = by_order["ab"].winner, by_order["ba"].winner
    if ab is None or ba is None:
        return "unreadable", None
    winner = agreed(ab, ba)
    if winner is None:
        return "orders disagree", None
    if winner == "tie":
        return "tie", None
    made = _pair(by_order["ab"], winner, ab, ba)
    if settings.chosen_must_be_safe and made.chosen_safe is not True:
        return "chosen unsafe", None
    return "pair", made


def _pair(judgment: Judgment, winner: Winner, ab: Winner, ba: Winner) -> PreferencePair:
    m = judgment.match
    a = (m.a_response, m.a_responder, m.a_response_id, m.a_thought, m.a_outcome)
    b = (m.b_response, m.b_responder, m.b_response_id, m.b_thought, m.b_outcome)
    chosen, rejected = (a, b) if winner == "a" else (b, a)
    return PreferencePair(
        query=m.query, pair_id=m.match_id, chosen=chosen[0], rejected=rejected[0], chosen_source=chosen[1],
        rejected_source=rejected[1], chosen_id=chosen[2], rejected_id=rejected[2], chosen_thought=chosen[3],
        rejected_thought=rejected[3], chosen_outcome=chosen[4], rejected_outcome=rejected[4], judge=judgment.judge,
        verdict_ab=ab, verdict_ba=ba,
    )  # fmt: skip


def swap_agreement(outcomes: Mapping[str, int]) -> float | None:
    """Share of matches whose two readable verdicts agree; None where no match has two.

    Args:
        outcomes: how many matches ended as what, from `pair`.
    """
    both = sum(count for outcome, count in outcomes.items() if outcome != "unreadable")
    return 1 - outcomes.get("orders disagree", 0) / both if both else None
