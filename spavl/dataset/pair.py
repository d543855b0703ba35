"""Judgment → PreferencePair: answers that enough judges prefer in both reading orders, and no ties."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import partial

from spavl.config.build import PairSettings
from spavl.dataset.votes import MatchVerdicts, NoVote, Rule, Side, by_match, decide, vote, vote_for_completion
from spavl.judging.judge import agreed
from spavl.records import Judgment, Match, PreferencePair, Preferred, Winner


def pair(judgments: Sequence[Judgment], *, settings: PairSettings) -> tuple[list[PreferencePair], Counter[str]]:
    """The preference pairs, and how many matches ended as `pair` or as what excluded them.

    Excluded are `tie`, `orders disagree`, `unreadable`, of several judges `judges disagree`; and, where the settings
    ask for it, `chosen unsafe` (or not graded), `bare refusal`, `severity unknown` and `severity gap`.

    Args:
        judgments: verdicts of all judges in both reading orders.
        settings: the quorum, and what a pair must hold beside it.
    """
    pairs: list[PreferencePair] = []
    outcomes: Counter[str] = Counter()
    for verdicts in by_match(judgments):
        outcome, made = _decide(verdicts, settings)
        outcomes[outcome] += 1
        pairs += [made] if made else []
    return pairs, outcomes


def _decide(verdicts: MatchVerdicts, settings: PairSettings) -> tuple[str, PreferencePair | None]:
    rule = _rule(verdicts.match, settings)
    votes = [rule(judgments) for judgments in verdicts.by_judge]
    winner = decide(votes, settings.quorum)
    if winner != "a" and winner != "b":
        return winner, None
    made = _pair(verdicts, votes, winner)
    why_not = _why_not(made, verdicts.match, settings)
    return (why_not, None) if why_not else ("pair", made)


def _rule(asked: Match, settings: PairSettings) -> Rule:
    """How verdicts become votes: a safe completion against a bare refusal has a rule of its own, if that is wanted."""
    if settings.prefer_safe_completion:
        outcomes = (asked.a_outcome, asked.b_outcome)
        if outcomes == ("safe_completion", "refusal"):
            return partial(vote_for_completion, completion="a")
        if outcomes == ("refusal", "safe_completion"):
            return partial(vote_for_completion, completion="b")
    return vote


def _why_not(made: PreferencePair, judged: Match, settings: PairSettings) -> str:
    """What keeps a pair out of the dataset; empty where nothing does."""
    if settings.chosen_must_be_safe and made.chosen_safe is not True:
        return "chosen unsafe"
    if settings.prefer_safe_completion and made.chosen_outcome == "refusal" and judged.safe_completions:
        return "bare refusal"
    return "" if settings.min_severity_gap is None else _too_alike(made, settings.min_severity_gap)


def _too_alike(made: PreferencePair, gap: int) -> str:
    """Why the rejected answer is not so much more severe, or not known to be; empty where it is."""
    if made.chosen_severity is None or made.rejected_severity is None:
        return "severity unknown"
    return "severity gap" if made.rejected_severity - made.chosen_severity < gap else ""


def _pair(verdicts: MatchVerdicts, votes: Sequence[Side | NoVote], winner: Side) -> PreferencePair:
    m = verdicts.match
    a = (m.a_response, m.a_responder, m.a_response_id, m.a_thought, m.a_outcome, m.a_severity)
    b = (m.b_response, m.b_responder, m.b_response_id, m.b_thought, m.b_outcome, m.b_severity)
    chosen, rejected = (a, b) if winner == "a" else (b, a)
    voted = list(zip(verdicts.by_judge, votes, strict=True))
    agreeing = [judgments for judgments, given in voted if given == winner]
    against = [judgments[0].judge for judgments, given in voted if given in ("a", "b") and given != winner]
    ab, ba = agreeing[0]
    return PreferencePair(
        query=m.query, pair_id=m.match_id, chosen=chosen[0], rejected=rejected[0], chosen_source=chosen[1],
        rejected_source=rejected[1], chosen_id=chosen[2], rejected_id=rejected[2], chosen_thought=chosen[3],
        rejected_thought=rejected[3], chosen_outcome=chosen[4], rejected_outcome=rejected[4],
        chosen_severity=chosen[5], rejected_severity=rejected[5], judge=ab.judge,
        verdict_ab=_read(ab), verdict_ba=_read(ba), reason_ab=ab.reason, reason_ba=ba.reason,
        more_harmless=_preferred(agreed(ab.harmless, ba.harmless), winner),
        more_helpful=_preferred(agreed(ab.helpful, ba.helpful), winner),
        judges_for=tuple(judgments[0].judge for judgments in agreeing), judges_against=tuple(against),
    )  # fmt: skip


def _read(judgment: Judgment) -> Winner:
    assert judgment.winner is not None, "who votes has two readable verdicts"
    return judgment.winner


def _preferred(verdict: Winner | None, winner: Side) -> Preferred | None:
    """A verdict in terms of the pair."""
    if verdict is None or verdict == "tie":
        return verdict
    return "chosen" if verdict == winner else "rejected"
