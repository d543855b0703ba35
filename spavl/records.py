"""The nouns of the road, in the order they are made.

    Topic → ImageRecord → Query → Response → Match → Judgment → PreferencePair

Each record *holds* the one it came from, and every field name is unique along that chain, so a table row (see
`spavl.tables`) is simply all fields side by side and can be read alone, by any tool, without a join.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

QuestionType = Literal["easy_question", "hard_question", "hard_statement"]
QUESTION_TYPES: tuple[QuestionType, ...] = ("easy_question", "hard_question", "hard_statement")

Status = Literal["ok", "refused", "filtered", "truncated", "failed", "unreadable", "skipped"]
"""What became of a model call. `ok`: a whole answer. `refused`: the API itself declined. `filtered`: cut by a content
filter. `truncated`: ran into the token limit. `failed`: no answer after all retries. `unreadable`: an answer that the
parser of a verdict could not read. `skipped`: never asked, because what it needs is not there. All of them are stored,
counted and shown; none is dropped."""

Order = Literal["ab", "ba"]
Winner = Literal["a", "b", "tie"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Topic:
    """A leaf of the taxonomy. The paper's has 6 domains, 15 categories and 53 subcategories."""

    class1: str
    """Domain, spelled as in the published data."""
    class2: str
    """Category."""
    class3: str
    """Subcategory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageRecord:
    """A picture under a topic."""

    topic: Topic
    image_id: str
    """A readable path naming the slot, such as `weapon/0003`."""
    image_file: str
    """Path of the content-addressed copy, relative to the run folder."""
    image_sha256: str
    """Hash of the file's bytes."""
    width: int
    height: int
    benign: bool
    """A harmless counterpart: a picture about which every question deserves a full answer."""
    heldout: bool
    """Kept out of alignment, to measure generalisation; pairs of such pictures are never trained on."""
    image_source: str
    license: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """A question about a picture."""

    image: ImageRecord
    query_id: str
    """`<image_id>/<question_type>`."""
    question_type: QuestionType
    question: str
    asker: str
    query_status: Status
    query_call: str
    """Key of the call that wrote it, in the call store."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """A responder's answer, with the guard's grade beside it."""

    query: Query
    response_id: str
    """`<query_id>/<responder>`."""
    responder: str
    response: str
    response_status: Status
    response_tokens: int
    response_call: str
    safe: bool | None
    """The guard's verdict on (question, answer); None where it could not be read or was never asked."""
    safe_category: str
    grader: str
    grade_status: Status
    grade_call: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """Two answers to one question, from responders in different safety groups, to be compared."""

    query: Query
    match_id: str
    """`<query_id>/<responder a>~<responder b>`."""
    a_responder: str
    a_response: str
    a_safe: bool | None
    a_group: int
    """Safety group of the responder, 0 (safest) to 4."""
    b_responder: str
    b_response: str
    b_safe: bool | None
    b_group: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgment:
    """One judge's verdict on a match, in one reading order."""

    match: Match
    judgment_id: str
    """`<match_id>/<judge>/<order>`."""
    judge: str
    order: Order
    """`ab`: answer a was shown first."""
    winner: Winner | None
    """In terms of the match, whatever the reading order; None where the verdict could not be read."""
    reason: str
    judgment_status: Status
    judgment_call: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PreferencePair:
    """The product: one row of the published dataset (Hub schema of `sqrti/SPA-VL`, plus what that lacks)."""

    query: Query
    pair_id: str
    chosen: str
    rejected: str
    chosen_source: str
    rejected_source: str
    chosen_safe: bool | None
    rejected_safe: bool | None
    judge: str
    verdict_ab: Winner
    verdict_ba: Winner
