"""Match → Judgment: one judge compares the answers of every match in both reading orders (SPA-VL §3.4)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from spavl.config.build import JudgeSettings
from spavl.dataset.ask import picture
from spavl.dataset.caller import Caller
from spavl.judging.judge import comparison_prompt, comparison_template, read_verdict
from spavl.models.base import Reply
from spavl.records import Judgment, Match, Order, Status

ORDERS: tuple[Order, Order] = ("ab", "ba")


def judge(matches: Sequence[Match], *, call: Caller, settings: JudgeSettings, folder: Path) -> list[Judgment]:
    """Two verdicts for every match, `ab` then `ba`; an unreadable one is never a tie and never a loss.

    Args:
        matches: pairs of answers to compare.
        call: the judge.
        settings: name of the judge and the comparison prompt.
        folder: the run folder, to which `image_file` is relative.

    Raises:
        DataError: the prompt template is unusable.
    """
    template = comparison_template(settings.prompt)
    comparisons = [(m, order) for m in matches for order in ORDERS]
    prompts = [comparison_prompt(m, order, template, picture(m.query.image, folder)) for m, order in comparisons]
    replies = call(prompts)
    return [_judgment(m, order, reply, settings.model) for (m, order), reply in zip(comparisons, replies, strict=True)]


def _judgment(match: Match, order: Order, reply: Reply, judge: str) -> Judgment:
    winner = read_verdict(reply.text, order) if reply.status == "ok" else None
    status: Status = reply.status if winner or reply.status != "ok" else "unreadable"
    return Judgment(
        match=match, judgment_id=f"{match.match_id}/{judge}/{order}", judge=judge, order=order, winner=winner,
        reason=reply.text.strip(), judgment_status=status, judgment_call=reply.key,
    )  # fmt: skip
