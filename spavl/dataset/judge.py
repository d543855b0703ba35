"""Match → Judgment: one judge reads every match in both orders (SPA-VL §3.4)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from spavl.config.build import JudgeSettings
from spavl.dataset.ask import picture
from spavl.dataset.calls import Caller
from spavl.judging.compare import comparison_prompt, comparison_template, read_verdict
from spavl.models.base import Reply
from spavl.records import Judgment, Match, Order, Status

ORDERS: tuple[Order, Order] = ("ab", "ba")


def judge(matches: Sequence[Match], *, call: Caller, settings: JudgeSettings, folder: Path) -> list[Judgment]:
    """Two verdicts a match, `ab` then `ba`. An unreadable one is recorded as such: never a tie, never a loss."""
    template = comparison_template(settings.prompt)
    ballots = [(m, order) for m in matches for order in ORDERS]
    prompts = [comparison_prompt(m, order, template, picture(m.query.image, folder)) for m, order in ballots]
    replies = call("judge (both orders)", prompts)
    return [_judgment(m, order, reply, settings.model) for (m, order), reply in zip(ballots, replies, strict=True)]


def _judgment(match: Match, order: Order, reply: Reply, judge: str) -> Judgment:
    winner = read_verdict(reply.text, order) if reply.status == "ok" else None
    status: Status = reply.status if winner or reply.status != "ok" else "unreadable"
    return Judgment(
        match=match, judgment_id=f"{match.match_id}/{judge}/{order}", judge=judge, order=order, winner=winner,
        reason=reply.text.strip(), judgment_status=status, judgment_call=reply.key,
    )  # fmt: skip
