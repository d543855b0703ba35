"""What only a judge can tell of pairs: whether its verdict needs the picture, and hangs on its prompt's words.

A probe asks a judge about the same pairs in several ways, each in both reading orders. What it says of a pair in one
way is `chosen`, `rejected` or `neither` (a tie, or another answer when they swap places), and None where a call failed
or a verdict cannot be read: that is never a tie.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from spavl.audit.finding import Finding, percent
from spavl.audit.probe_sample import Sampled, partners, with_grey_pictures, with_pictures_of, without_pictures
from spavl.config import AuditSettings
from spavl.errors import DataError, ModelError
from spavl.judging.exchange import Exchange
from spavl.judging.judge import TEMPLATES, Judge, Verdict, comparison_template
from spavl.models.base import Prompt, Reply
from spavl.plural import plural
from spavl.records import Order
from spavl.statistics.intervals import LEVEL, Rate, clustered_rate

ProbeKind = Literal["necessity", "wording"]
"""What is probed."""
Said = Literal["chosen", "rejected", "neither"]
"""What a judge says of a pair over both reading orders."""
Ask = Callable[[str, Sequence[Prompt]], Sequence[Reply]]
"""(what is done, prompts) → replies, through the call store."""
OWN = "own"
"""The way of asking in which a judge was, or would be, asked for the dataset."""
WORDINGS = (1, 2)
"""The built-in other wordings of every kind of judge: `prompts/wordings/NAME_1.md` and so on."""
MOST_UNASKED = 0.5
"""A way of asking in which more of the pairs have no verdict is left out, for the model cannot be asked so."""


@dataclass(frozen=True, slots=True)
class Way:
    """One way of asking about the pairs."""

    judge: Judge
    """With the words of its prompt."""
    show: Callable[[int], Exchange | None]
    """What it is sent of the pair at a place of the sample; None where there is nothing to send."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Replies:
    """What came back in one way of asking."""

    said: tuple[Said | None, ...]
    """What the judge says of each pair."""
    failed: int
    """Calls that brought no whole reply."""
    unreadable: int
    """Replies without a readable verdict."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Probed:
    """What one judge said of the sampled pairs, in every way of asking."""

    kind: ProbeKind
    """What was probed."""
    judge: str
    """Label of the judge."""
    sample: tuple[Sampled, ...]
    """The pairs."""
    replies: Mapping[str, Replies]
    """What came back by way of asking, `own` first."""
    left_out: Mapping[str, str]
    """Ways of asking that did not work, and why."""

    @property
    def marks(self) -> list[bool | None]:
        """Of every pair whether it is what the probe looks for; None where that is not known."""
        rule = _is_text_only if self.kind == "necessity" else _flips
        return [rule(said) for said in zip(*(one.said for one in self.replies.values()), strict=True)]

    @property
    def counted(self) -> list[int]:
        """Places of the pairs that count: of `necessity` those that the judge decides when it sees the picture."""
        own = self.replies[OWN].said
        return [place for place, said in enumerate(own) if self.kind == "wording" or said != "neither"]

    @property
    def pairs(self) -> list[int]:
        """Numbers of the pairs that are what the probe looks for."""
        marks = self.marks
        return [self.sample[place].number for place in self.counted if marks[place]]

    def rate(self, *, level: float = LEVEL) -> Rate:
        """Their share of those that count, with an interval for pairs that share pictures.

        Args:
            level: confidence level.
        """
        marks = self.marks
        clusters = [self.sample[place].cluster for place in self.counted]
        return clustered_rate([marks[place] for place in self.counted], clusters, level=level)


def probed(kind: ProbeKind, judge: Judge, sample: Sequence[Sampled], *, ask: Ask, pictures: Path) -> Probed:
    """Ask a judge about the pairs in every way of a probe.

    Args:
        kind: what is probed.
        judge: of the settings.
        sample: the pairs.
        ask: asks its model.
        pictures: folder that changed pictures are written to.

    Raises:
        DataError: the judge cannot be asked about the pairs as they are.
    """
    ways = _pictures_shown(judge, sample, pictures) if kind == "necessity" else _worded(judge, sample)
    replies: dict[str, Replies] = {}
    left_out: dict[str, str] = {}
    for name, way in ways.items():
        try:
            found = _replies(way, sample, ask, f"{kind} {judge.name}: {name}")
        except (DataError, ModelError) as error:
            if name == OWN:
                raise
            left_out[name] = str(error).splitlines()[0]
            continue
        missing = found.said.count(None)
        if name == OWN or missing <= MOST_UNASKED * len(sample):
            replies[name] = found
        else:
            left_out[name] = f"{missing:,} of {plural(len(sample), 'pair')} got no verdict"
    return Probed(kind=kind, judge=judge.name, sample=tuple(sample), replies=replies, left_out=left_out)


def calls_of(kind: ProbeKind, pairs: int) -> int:
    """How many calls a probe makes of one judge.

    Args:
        kind: what is probed.
        pairs: size of the sample.
    """
    return pairs * 2 * (4 if kind == "necessity" else 1 + len(WORDINGS))


def finding_of(found: Probed, settings: AuditSettings = AuditSettings()) -> Finding:
    """What a probe found, as a finding of the audit.

    Args:
        found: what the judge said.
        settings: of the audit.
    """
    rate = found.rate(level=settings.level)
    said = _text_only_words(found, rate) if found.kind == "necessity" else _flip_words(found, rate)
    kind = "text_only" if found.kind == "necessity" else "wording_flips"
    limit = settings.limits.of(kind) if len(found.replies) > 1 else None
    return Finding(
        kind=kind, what=f"{said}{_remarks(found)}", try_=_TRY[found.kind], rate=rate, limit=limit, subject=found.judge,
        pairs=len(found.pairs),
    )  # fmt: skip


_TRY: Mapping[ProbeKind, str] = {
    "necessity": "drop what needs no picture with `spavl clean`, or ask questions that say less than the picture does",
    "wording": "use several judges with `build.pair.quorum`, or a judge that holds to the answers",
}
_SHOWN = {"none": "without it", "blank": "with a grey one", "shuffled": "with another pair's"}


def _text_only_words(found: Probed, rate: Rate) -> str:
    undecided = len(found.sample) - len(found.counted)
    ways = [_SHOWN[name] for name in found.replies if name != OWN]
    if not ways or rate.value is None:
        return f"Whether the verdicts of the judge `{found.judge}` need the picture is not known."
    return (
        f"In {percent(rate)} of {rate.n:,} pairs the judge `{found.judge}` names the same answer {_listed(ways)} as "
        f"with the picture itself; {plural(undecided, 'pair')} more it does not decide."
    )  # fmt: skip


def _flip_words(found: Probed, rate: Rate) -> str:
    if len(found.replies) < 2 or rate.value is None:
        return f"Whether the verdicts of the judge `{found.judge}` hang on its prompt's words is not known."
    reversed_ = sum({"chosen", "rejected"} <= set(said) for said in zip(*(r.said for r in found.replies.values()),
                                                                          strict=True))  # fmt: skip
    return (
        f"In {percent(rate)} of {rate.n:,} pairs {len(found.replies)} wordings of its prompt do not lead the judge "
        f"`{found.judge}` to the same verdict; in {reversed_:,} of them it names the one answer and then the other."
    )


def _remarks(found: Probed) -> str:
    """What else must be known: calls without a verdict, and ways of asking that did not work."""
    failed = sum(one.failed for one in found.replies.values())
    unreadable = sum(one.unreadable for one in found.replies.values())
    lost = f" {plural(failed, 'call')} failed, and {plural(unreadable, 'verdict')} cannot be read."
    out = "".join(f" Left out is `{name}`: {why}." for name, why in found.left_out.items())
    return f"{lost if failed or unreadable else ''}{out}"


def _pictures_shown(judge: Judge, sample: Sequence[Sampled], pictures: Path) -> dict[str, Way]:
    """The pairs with their own pictures, with none, with grey ones, and with those of pairs of other subjects."""
    others = partners(sample)

    def shuffled(place: int) -> Exchange | None:
        other = others[place]
        return None if other is None else with_pictures_of(sample[place], other, pictures)

    return {
        OWN: Way(judge, lambda place: sample[place].exchange),
        "none": Way(judge, lambda place: without_pictures(sample[place])),
        "blank": Way(judge, lambda place: with_grey_pictures(sample[place], pictures)),
        "shuffled": Way(judge, shuffled),
    }


def _worded(judge: Judge, sample: Sequence[Sampled]) -> dict[str, Way]:
    """The judge with its own words, and with the built-in others of its kind."""
    names = {f"wording {n}": f"wordings/{TEMPLATES[judge.kind]}_{n}" for n in WORDINGS}
    judges = {name: replace(judge, template=comparison_template(name=file)) for name, file in names.items()}
    return {name: Way(one, lambda place: sample[place].exchange) for name, one in {OWN: judge, **judges}.items()}


def _replies(way: Way, sample: Sequence[Sampled], ask: Ask, doing: str) -> Replies:
    """Both reading orders of every pair, asked together."""
    orders: tuple[Order, Order] = ("ab", "ba")
    shown = [way.show(place) for place in range(len(sample))]
    prompts = [
        way.judge.prompt_between(exchange, one.rejected, order)
        for exchange, one in zip(shown, sample, strict=True) if exchange is not None for order in orders
    ]  # fmt: skip
    verdicts = [way.judge.verdict(reply, orders[n % 2]) for n, reply in enumerate(ask(doing, prompts))]
    two = iter(zip(verdicts[::2], verdicts[1::2], strict=True))
    said = tuple(None if exchange is None else _over_both(*next(two)) for exchange in shown)
    unreadable = sum(verdict.status == "unreadable" for verdict in verdicts)
    failed = sum(verdict.status not in ("ok", "unreadable") for verdict in verdicts)
    return Replies(said=said, failed=failed, unreadable=unreadable)


def _over_both(ab: Verdict, ba: Verdict) -> Said | None:
    if ab.winner is None or ba.winner is None:
        return None
    if ab.winner != ba.winner or ab.winner == "tie":
        return "neither"
    return "chosen" if ab.winner == "a" else "rejected"


def _is_text_only(said: Sequence[Said | None]) -> bool | None:
    """Whether every other way of showing the picture leads to the verdict that the picture itself leads to."""
    own, *others = said
    if own is None or not others:
        return None
    if any(one is not None and one != own for one in others):
        return False
    return None if None in others else True


def _flips(said: Sequence[Said | None]) -> bool | None:
    """Whether not all wordings lead to the same."""
    if len(said) < 2:
        return None
    if len({one for one in said if one is not None}) > 1:
        return True
    return None if None in said else False


def _listed(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
