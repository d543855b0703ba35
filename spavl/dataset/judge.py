"""Match → Judgment: one judge compares the answers of every match in both reading orders (SPA-VL §3.4)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from spavl.dataset.caller import NO_VERDICT, Caller
from spavl.judging.judge import Judge
from spavl.models.base import Reply
from spavl.records import Judgment, Match, Order

ORDERS: tuple[Order, Order] = ("ab", "ba")


def judge(matches: Sequence[Match], *, call: Caller, judge: Judge, folder: Path) -> list[Judgment]:
    """Two verdicts for every match, `ab` then `ba`; an unreadable one is never a tie and never a loss.

    Args:
        matches: pairs of answers to compare.
        call: the judge's model.
        judge: what it is sent, and what its reply means.
        folder: the run folder, to which paths of pictures are relative.
    """
    comparisons = [(m, order) for m in matches for order in ORDERS]
    replies = call([judge.prompt(m, order, folder=folder) for m, order in comparisons])
    return [_judgment(m, order, reply, judge) for (m, order), reply in zip(comparisons, replies, strict=True)]


def _judgment(match: Match, order: Order, reply: Reply, judge: Judge) -> Judgment:
    said = judge.verdict(reply, order)
    return Judgment(
        match=match, judgment_id=f"{match.match_id}/{judge.name}/{order}", judge=judge.name, order=order,
        winner=said.winner, harmless=said.harmless, helpful=said.helpful, reason=reply.text.strip(),
        judgment_status=said.status, judgment_call=reply.key,
        judgment_detail=reply.detail or (NO_VERDICT if said.status == "unreadable" else ""),
    )  # fmt: skip
