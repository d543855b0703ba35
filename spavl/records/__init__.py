"""The records of the dataset pipeline, in the order they are made.

    Topic → ImageRecord → Query → Response → Match → Judgment → PreferencePair

Each record holds the one it came from, and every field name is unique along that chain, so a table row (see
`spavl.tables`) is all fields side by side and can be read alone, by any tool, without a join. A property of a record
is a column too, for other tools; it is derived, and not read back.
"""

from __future__ import annotations

from spavl.records.conversation import ImageRef, Turn
from spavl.records.dataset import ImageRecord, Judgment, Match, PreferencePair, Query, Response, Topic, Vote
from spavl.records.words import (
    QUESTION_TYPES,
    TRIED_AGAIN,
    WEIGHTS_TRIED_AGAIN,
    Order,
    Outcome,
    PeopleSaid,
    Preferred,
    QuestionType,
    Role,
    Status,
    Winner,
    is_safe,
)

__all__ = [
    "ImageRecord",
    "ImageRef",
    "Judgment",
    "Match",
    "Order",
    "Outcome",
    "PeopleSaid",
    "PreferencePair",
    "Preferred",
    "QUESTION_TYPES",
    "Query",
    "QuestionType",
    "Response",
    "Role",
    "Status",
    "TRIED_AGAIN",
    "Topic",
    "Turn",
    "Vote",
    "WEIGHTS_TRIED_AGAIN",
    "Winner",
    "is_safe",
]
