"""The records of the dataset pipeline, in the order they are made.

    Topic → ImageRecord → Query → Response → Match → Judgment → PreferencePair

Each record holds the one it came from, and every field name is unique along that chain, so a table row (see
`spavl.tables`) is all fields side by side and can be read alone, by any tool, without a join. A property of a record
is a column too, for other tools; it is derived, and not read back.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Literal

QuestionType = Literal["easy_question", "hard_question", "hard_statement"]
"""The three types of question about a picture (SPA-VL §3.2); the hard ones are rewritten from the easy one."""

QUESTION_TYPES: tuple[QuestionType, ...] = ("easy_question", "hard_question", "hard_statement")

Status = Literal[
    "ok", "refused", "filtered", "truncated", "empty", "invalid", "failed", "unreadable", "skipped"
]  # fmt: skip
"""What became of a model call. `ok`: a whole answer. `refused`: the API itself declined. `filtered`: cut by a content
filter. `truncated`: ran into the token limit. `empty`: an answer without a word. `invalid`: the server refuses this
very request (too long, too large, a picture it cannot read), so asking again cannot help. `failed`: no answer after all
attempts. `unreadable`: an answer that the parser of a verdict could not read. `skipped`: never asked, because what it
needs is not there. All of them are stored, counted and shown; none is dropped."""

TRIED_AGAIN: tuple[Status, ...] = ("failed", "empty")
"""Statuses of calls that the next run makes again, because they may succeed then."""
WEIGHTS_TRIED_AGAIN: tuple[Status, ...] = ("failed",)
"""Those of weights on this machine, which would give the same empty answer."""

Role = Literal["user", "assistant"]
"""Who speaks in a turn of a conversation."""

Outcome = Literal["refusal", "safe_completion", "unhelpful", "safe", "unsafe"]
"""What an answer is, by a guard. `refusal`: it declines. `safe_completion`: it helps as far as is safe. `unhelpful`: it
neither declines nor helps. `unsafe`: it does harm. `safe`: one of the first three, by a guard that tells no more."""

Order = Literal["ab", "ba"]
"""Order in which a judge reads the two answers of a match."""

Winner = Literal["a", "b", "tie"]
"""Which of the two answers of a match is better."""

Preferred = Literal["chosen", "rejected", "tie"]
"""Which of the two answers of a pair is better on one axis."""


@dataclass(frozen=True, slots=True)
class ImageRef:
    """A picture on disk."""

    path: Path
    """The file; in a table relative to the run folder. It is read when a call is made."""
    sha256: str
    """SHA-256 of its bytes, in hexadecimal digits; part of the key of every call that shows it."""

    @classmethod
    def of(cls, path: str | Path) -> ImageRef:
        """The reference to a file as it is now.

        Args:
            path: the file.
        """
        return cls(Path(path), sha256(Path(path).read_bytes()).hexdigest())


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn of a conversation."""

    role: Role
    """Who speaks."""
    text: str
    """What is said."""
    images: tuple[ImageRef, ...] = ()
    """Pictures of the turn, before its text."""


def is_safe(outcome: Outcome | None) -> bool | None:
    """Whether an answer of this outcome is safe; None where it is not known.

    Args:
        outcome: what a guard said; None where its verdict could not be read or was never asked for.
    """
    return None if outcome is None else outcome != "unsafe"


@dataclass(frozen=True, slots=True, kw_only=True)
class Topic:
    """A leaf of the taxonomy of harms, which in SPA-VL has 6 domains, 15 categories and 53 subcategories."""

    class1: str
    """Domain, spelled as in the published data of SPA-VL."""
    class2: str
    """Category of the domain."""
    class3: str
    """Subcategory of the category."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageRecord:
    """A picture of the dataset, under a topic."""

    topic: Topic
    """Leaf of the taxonomy that the picture belongs to."""
    image_id: str
    """Readable name, unique in the run, such as `weapon/0003`."""
    image_file: str
    """Path of the copy, named by the hash of its bytes, relative to the run folder."""
    image_sha256: str
    """SHA-256 of the file's bytes, in hexadecimal digits."""
    width: int
    """Width in pixels, upright."""
    height: int
    """Height in pixels, upright."""
    benign: bool
    """Harmless counterpart: every question about the picture deserves a full answer; refusing is over-refusal."""
    heldout: bool
    """Of a subcategory kept out of alignment to measure generalisation; its pairs are never trained on."""
    image_source: str
    """Where the picture came from, such as `folder:weapon/one.png`."""
    license: str
    """Licence of the picture, as the settings or its source state it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """A question about a picture, as the asker wrote it."""

    image: ImageRecord
    """Picture that the question was written for."""
    images: tuple[ImageRef, ...]
    """Pictures that are shown with the question: most often that one alone; none for a question of text only."""
    earlier: tuple[Turn, ...] = ()
    """Turns of the conversation before the question; their pictures come first."""
    system: str = ""
    """Text of the conversation's system turn; empty: none."""
    harmful: bool
    """Whether the question asks for harm, so that a full answer would be unsafe."""
    query_id: str
    """`<image_id>/<question_type>`."""
    question_type: QuestionType
    """Easy question, hard question or hard statement (SPA-VL §3.2)."""
    question: str
    """Text of the question or statement; empty where none could be written."""
    asker: str
    """Name of the model that wrote it."""
    query_status: Status
    """What became of the call that wrote it."""
    query_call: str
    """Key of that call in the call store."""
    query_detail: str = ""
    """Why that call failed or was filtered; empty where it was not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """A responder's answer to a question, with the guard's grade."""

    query: Query
    """Question that is answered."""
    response_id: str
    """`<query_id>/<responder>`."""
    responder: str
    """Name of the model that answered."""
    response: str
    """Text of the answer, without the thought; empty where there is none."""
    thought: str = ""
    """The model's reasoning before its answer; empty where it gave none."""
    response_status: Status
    """What became of the call that answered."""
    response_tokens: int
    """Tokens of the answer, as its model counts them."""
    response_call: str
    """Key of that call in the call store."""
    response_detail: str = ""
    """Why that call failed or was filtered; empty where it was not."""
    outcome: Outcome | None
    """The guard's verdict on question and answer; None where it could not be read or was never asked for."""
    severity: int | None = None
    """How bad an unsafe answer is, from 0 (harmless) to 4 (extreme); None where the guard does not say."""
    safe_category: str
    """The guard's category of an unsafe answer; empty where it named none."""
    grader: str
    """Name of the guard; empty where the answer was not graded."""
    grade_status: Status
    """What became of the call that graded; `skipped` where there was no answer to grade."""
    grade_call: str
    """Key of that call in the call store; empty where there was none."""
    grade_detail: str = ""
    """Why that call failed or was filtered; empty where it was not."""

    @property
    def safe(self) -> bool | None:
        """Whether the answer is safe, by its outcome; None where that is not known."""
        return is_safe(self.outcome)


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """Two answers to one question, to be compared by a judge: in the paper of responders of different safety groups."""

    query: Query
    """Question that both answers answer."""
    match_id: str
    """`<query_id>/<responder a>~<responder b>`, each with its `#` and number where it is a further sample."""
    a_response_id: str
    """Id of the response that is answer a."""
    a_responder: str
    """Name of the model that gave answer a."""
    a_response: str
    """Text of answer a."""
    a_thought: str = ""
    """The model's reasoning before answer a; empty where it gave none."""
    a_outcome: Outcome | None
    """The guard's verdict on answer a; None where there is none."""
    a_severity: int | None = None
    """How bad answer a is, from 0 to 4; None where the guard does not say."""
    a_group: int
    """Safety group of answer a's responder, by its unsafe rate; 0 is the safest."""
    b_response_id: str
    """Id of the response that is answer b."""
    b_responder: str
    """Name of the model that gave answer b."""
    b_response: str
    """Text of answer b."""
    b_thought: str = ""
    """The model's reasoning before answer b; empty where it gave none."""
    b_outcome: Outcome | None
    """The guard's verdict on answer b; None where there is none."""
    b_severity: int | None = None
    """How bad answer b is, from 0 to 4; None where the guard does not say."""
    b_group: int
    """Safety group of answer b's responder, by its unsafe rate; 0 is the safest."""
    safe_completions: int = 0
    """How many of all whole answers to the question the guard calls a safe completion."""

    @property
    def a_safe(self) -> bool | None:
        """Whether answer a is safe, by its outcome; None where that is not known."""
        return is_safe(self.a_outcome)

    @property
    def b_safe(self) -> bool | None:
        """Whether answer b is safe, by its outcome; None where that is not known."""
        return is_safe(self.b_outcome)


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgment:
    """A judge's verdict on a match, in one reading order."""

    match: Match
    """The two answers that were compared."""
    judgment_id: str
    """`<match_id>/<judge>/<order>`."""
    judge: str
    """Name of the model that compared them."""
    order: Order
    """Reading order: `ab` showed answer a first, `ba` answer b."""
    winner: Winner | None
    """The better answer, in terms of the match whatever the reading order; None where the verdict could not be read."""
    harmless: Winner | None = None
    """The more harmless answer, by a judge of kind `two-axis`; None for others, or where it could not be read."""
    helpful: Winner | None = None
    """The more helpful answer, by a judge of kind `two-axis`; None for others, or where it could not be read."""
    reason: str
    """All that the judge said, its verdict included."""
    judgment_status: Status
    """What became of the call that compared; `unreadable` where no verdict could be parsed."""
    judgment_call: str
    """Key of that call in the call store."""
    judgment_detail: str = ""
    """Why that call failed or was filtered; empty where it was not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PreferencePair:
    """A preference pair: one row of the dataset (Hub schema of `sqrti/SPA-VL`, with what that lacks added)."""

    query: Query
    """Question that both answers answer."""
    pair_id: str
    """Id of the match that the pair came from."""
    chosen: str
    """Text of the preferred answer."""
    rejected: str
    """Text of the other answer."""
    chosen_source: str
    """Name of the responder that gave the chosen answer."""
    rejected_source: str
    """Name of the responder that gave the rejected answer."""
    chosen_id: str
    """Id of the response that is the chosen answer."""
    rejected_id: str
    """Id of the response that is the other answer."""
    chosen_thought: str = ""
    """The model's reasoning before the chosen answer; empty where it gave none."""
    rejected_thought: str = ""
    """The model's reasoning before the rejected answer; empty where it gave none."""
    chosen_outcome: Outcome | None
    """The guard's verdict on the chosen answer; None where there is none."""
    rejected_outcome: Outcome | None
    """The guard's verdict on the rejected answer; None where there is none."""
    chosen_severity: int | None = None
    """How bad the chosen answer is, from 0 to 4; None where the guard does not say."""
    rejected_severity: int | None = None
    """How bad the other answer is, from 0 to 4; None where the guard does not say."""
    judge: str
    """Name of the first judge that preferred it."""
    verdict_ab: Winner
    """That judge's verdict in the order `ab`, in terms of the match: the answer that became chosen, unless
    `build.pair.prefer_safe_completion` decided otherwise."""
    verdict_ba: Winner
    """Its verdict in the order `ba`, in terms of the match."""
    reason_ab: str = ""
    """All that it said in the order `ab`."""
    reason_ba: str = ""
    """All that it said in the order `ba`."""
    more_harmless: Preferred | None = None
    """The more harmless answer, where that judge is of kind `two-axis` and says the same in both orders."""
    more_helpful: Preferred | None = None
    """The more helpful answer, where that judge is of kind `two-axis` and says the same in both orders."""
    judges_for: tuple[str, ...] = ()
    """Names of the judges that preferred the chosen answer in both orders."""
    judges_against: tuple[str, ...] = ()
    """Names of the judges that preferred the other answer in both orders."""

    @property
    def chosen_safe(self) -> bool | None:
        """Whether the chosen answer is safe, by its outcome; None where that is not known."""
        return is_safe(self.chosen_outcome)

    @property
    def rejected_safe(self) -> bool | None:
        """Whether the rejected answer is safe, by its outcome; None where that is not known."""
        return is_safe(self.rejected_outcome)
