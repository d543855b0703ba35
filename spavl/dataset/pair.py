"""Judgment → PreferencePair: only what both reading orders agree on, and no ties."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from spavl.config.build import PairSettings
from spavl.judging.compare import agreed
from spavl.records import Judgment, PreferencePair, Winner


def pair(judgments: Sequence[Judgment], *, settings: PairSettings) -> tuple[list[PreferencePair], Counter[str]]:
    """The pairs, and what became of every match: `pair`, `tie`, `orders disagree`, `unreadable`, `chosen unsafe`."""
    by_match: dict[tuple[str, str], dict[str, Judgment]] = {}
    for j in judgments:
        by_match.setdefault((j.match.match_id, j.judge), {})[j.order] = j
    pairs: list[PreferencePair] = []
    fates: Counter[str] = Counter()
    for verdicts in by_match.values():
        fate, made = _decide(verdicts, settings)
        fates[fate] += 1
        pairs += [made] if made else []
    return pairs, fates


def _decide(verdicts: dict[str, Judgment], settings: PairSettings) -> tuple[str, PreferencePair | None]:
    if len(verdicts) < 2:
        return "unreadable", None
    ab, ba = verdicts["ab"].winner, verdicts["ba"].winner
    if ab is None or ba is None:
        return "unreadable", None
    winner = agreed(ab, ba)
    if winner is None:
        return "orders disagree", None
    if winner == "tie":
        return "tie", None
    made = _pair(verdicts["ab"], winner, ab, ba)
    if settings.chosen_must_be_safe and made.chosen_safe is not True:
        return "chosen unsafe", None
    return "pair", made


def _pair(judgment: Judgment, winner: Winner, ab: Winner, ba: Winner) -> PreferencePair:
    m = judgment.match
    a, b = (m.a_response, m.a_responder, m.a_safe), (m.b_response, m.b_responder, m.b_safe)
    chosen, rejected = (a, b) if winner == "a" else (b, a)
    return PreferencePair(
        query=m.query, pair_id=m.match_id, chosen=chosen[0], rejected=rejected[0], chosen_source=chosen[1],
        rejected_source=rejected[1], chosen_safe=chosen[2], rejected_safe=rejected[2], judge=judgment.judge,
        verdict_ab=ab, verdict_ba=ba,
    )  # fmt: skip


def swap_agreement(judgments: Sequence[Judgment]) -> float | None:
    """Share of matches whose two readable verdicts agree; None where no match has two."""
    orders: dict[tuple[str, str], dict[str, Winner]] = {}
    for j in judgments:
        if j.winner is not None:
            orders.setdefault((j.match.match_id, j.judge), {})[j.order] = j.winner
    both = [o for o in orders.values() if len(o) == 2]
    return sum(o["ab"] == o["ba"] for o in both) / len(both) if both else None
