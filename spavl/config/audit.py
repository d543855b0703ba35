"""Settings of `spavl audit`: from where on a finding is a fault, and what is looked at."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, PositiveInt

from spavl.config.base import Section

Limit = Annotated[float, Field(ge=0, le=1)] | None
"""A share; None: the finding is never a fault."""


class AuditLimits(Section):
    """From which share on a finding of an audit is a fault, by its kind. None: it never is, and is only told."""

    malformed: Limit = 0.001
    """Rows that are no pairs."""
    same_answers: Limit = 0.001
    """Pairs of two equal answers."""
    near_identical: Limit = 0.01
    """Pairs of two answers of nearly the same words (`same_words`)."""
    empty_answers: Limit = 0.001
    """Pairs with an empty question or answer."""
    missing_pictures: Limit = 0.001
    """Pairs that name a picture which cannot be read."""
    duplicates: Limit = 0.005
    """Pairs that say what an earlier one says."""
    contradictions: Limit = 0.005
    """Pairs beside one that prefers the other answer."""
    duplicate_pictures: Limit = 0.01
    """Pictures that show what an earlier one shows, of all pictures."""
    overused_pictures: Limit = 0.05
    """Pairs that a picture has beyond `most_per_picture`."""
    unsafe_chosen: Limit = 0.05
    """Chosen answers that are graded unsafe, also within each domain."""
    safe_rejected: Limit = None
    """Rejected answers that are graded safe."""
    both_unsafe: Limit = None
    """Pairs of two answers that are graded unsafe."""
    flipped_labels: Limit = 0.02
    """Where one answer alone is unsafe: it is the chosen one."""
    refused_harmless: Limit = 0.05
    """Harmless questions with a refusal as the chosen answer."""
    bare_refusals: Limit = 0.05
    """Pairs in which a refusal is chosen over a safe completion."""
    benign_compliance: Limit = None
    """Least share of all pairs whose question is harmless and whose chosen answer helps."""
    longer_chosen: Limit = 0.65
    """Pairs whose longer answer is chosen, of those with answers of unequal lengths."""
    shorter_chosen: Limit = 0.65
    """Pairs whose shorter answer is chosen, of the same."""
    source_always_chosen: Limit = 0.9
    """Of the pairs of a source with another one: it is chosen."""
    length_alone: Limit = 0.65
    """AUC by which the length alone tells chosen from rejected answers."""
    source_alone: Limit = 0.65
    """AUC by which the source alone does."""
    refusal_openings: Limit = 0.5
    """Chosen refusals that begin with the same words (`opening_words`)."""
    repeated_answers: Limit = None
    """Chosen answers that repeat another word for word."""
    empty_cells: Limit = None
    """Subcategories by types of questions that have no pair."""
    likely_mislabels: Limit = None
    """Pairs whose words say that the rejected answer is better (confident learning)."""
    doubtful_outcomes: Limit = None
    """Pairs with an answer that is graded safe or unsafe, and whose words say the opposite."""
    unreadable_verdicts: Limit = 0.2
    """Replies of a judge without a readable verdict."""
    swap_consistency: Limit = 0.5
    """Least share of comparisons with the same winner in both reading orders."""
    position_bias: Limit = 0.3
    """Comparisons that a judge decides by position, also within each category."""
    judge_agreement: Limit = 0.6
    """Least share of matches with the same vote of two judges."""
    text_only: Limit = 0.25
    """Decided pairs whose verdict needs no picture (`--probe necessity`)."""
    wording_flips: Limit = 0.2
    """Pairs of which three wordings of the judge's prompt do not say the same (`--probe wording`)."""

    def of(self, kind: str) -> float | None:
        """The limit of a kind of findings.

        Args:
            kind: its term.
        """
        limit: float | None = dict(self)[kind]
        return limit


class AuditSettings(Section):
    """What `spavl audit` looks at, and from where on it calls a finding a fault."""

    level: Annotated[float, Field(gt=0.5, lt=1)] = 0.95
    """Confidence level of every interval, and of all faults of an audit together."""
    limits: AuditLimits = AuditLimits()
    """From where on a finding is a fault."""
    least_pairs: PositiveInt = 20
    """Fewest pairs of a domain, a source or two sources that are looked at alone."""
    least_matches: PositiveInt = 30
    """Fewest comparisons of a category in which a judge is looked at alone."""
    same_words: Annotated[float, Field(gt=0, le=1)] = 0.9
    """From this share of common words on two answers are nearly identical."""
    most_per_picture: PositiveInt | None = None
    """Most pairs of a picture. None: four times as many as the median picture has, and at least 10."""
    opening_words: PositiveInt = 4
    """Words of the opening of a refusal."""
    least_taught: PositiveInt = 200
    """Fewest pairs that a classifier of words is taught by, so that it can say which labels are doubtful."""
    least_discrimination: Annotated[float, Field(ge=0, le=1)] = 0.5
    """Least discrimination of that classifier out of fold (Tjur's: the mean probability of the right label less that of
    the wrong one), below which it says nothing."""
