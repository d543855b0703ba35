"""The records themselves, from the topic of a picture to the preference pair."""

from __future__ import annotations

from dataclasses import dataclass

from spavl.records.conversation import ImageRef, Turn
from spavl.records.words import Order, Outcome, PeopleSaid, Preferred, QuestionType, Status, Winner, is_safe


@dataclass(frozen=True, slots=True, kw_only=True)
class Topic:
    """A leaf of the taxonomy of harms, which in SPA-VL has 6 domains, 15 categories and 53 subcategories."""

    class1: str
    """Domain, spelled as in the published data of SPA-VL; empty where the taxonomy has fewer than three levels."""
    class2: str
    """Category of the domain; empty where the taxonomy has one level."""
    class3: str
    """Subcategory of the category."""

    def path(self) -> str:
        """Its names from the top, parted by ` / `, without the levels that its taxonomy lacks."""
        return " / ".join(name for name in (self.class1, self.class2, self.class3) if name)


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
    caption: str = ""
    """Text that came with the picture, such as its title; empty where there was none."""
    pdq: str = ""
    """PDQ hash of the picture, 64 hexadecimal digits: near for pictures that look alike."""
    pdq_quality: int | None = None
    """From 0 to 100 how much the picture shows that a hash can hold; below 50 its hash is compared with no other."""
    text_share: float | None = None
    """Share of the picture's area that text covers, from 0 to 1; None where it was not looked for."""
    text_boxes: int | None = None
    """Pieces of text found in the picture (published as `text_count`); None where they were not looked for."""
    keyword_similarity: float | None = None
    """Similarity of the picture to the keywords of its subcategory, from -1 to 1; None where it was not measured."""
    description: str = ""
    """What the picture shows, as a model described it; its caption where the model gave no description."""
    description_status: Status = "skipped"
    """What became of the call that described it; `skipped` where none was asked for. Unless it is `ok` or `truncated`,
    the caption stands in."""
    description_call: str = ""
    """Key of that call in the call store; empty where there was none."""
    description_detail: str = ""
    """Why that call failed, or the words in which the model refused; empty where it did neither."""
    describer: str = ""
    """Name of the model that described it; empty where none did."""
    picture_outcome: Outcome | None = None
    """A guard's verdict on the picture alone; None where it could not be read or was never asked for."""
    picture_category: str = ""
    """That guard's category of an unsafe picture; empty where it named none."""
    screener: str = ""
    """Name of that guard; empty where pictures are not screened."""
    screen_status: Status = "skipped"
    """What became of the call that graded the picture; `skipped` where pictures are not screened."""
    screen_call: str = ""
    """Key of that call in the call store."""
    screen_detail: str = ""
    """Why that call failed or was filtered; empty where it was not."""


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
    """Easy question, hard question or hard statement (SPA-VL §3.2), benign question, or follow-up."""
    question: str
    """Text of the question or statement; empty where none could be written."""
    asker: str
    """Name of the model that wrote it."""
    query_status: Status
    """What became of the call that wrote it; `skipped` where what it is made from is not there, and for the later of
    two near-duplicates."""
    query_call: str
    """Key of that call in the call store."""
    query_detail: str = ""
    """Why that call failed or was filtered, the words in which the asker refused, or of what question this one is a
    near-duplicate; else empty."""
    request_outcome: Outcome | None = None
    """A guard's verdict on the question alone; None where it could not be read or was never asked for."""
    request_category: str = ""
    """That guard's category of an unsafe question; empty where it named none."""
    request_guard: str = ""
    """Name of that guard; empty where questions are not graded alone."""
    request_status: Status = "skipped"
    """What became of the call that graded the question; `skipped` where questions are not graded alone."""
    request_call: str = ""
    """Key of that call in the call store."""
    request_detail: str = ""
    """Why that call failed or was filtered; empty where it was not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Vote:
    """One guard's verdict on an answer, where several guards vote."""

    guard: str
    """Name of the guard."""
    outcome: Outcome | None
    """Its verdict; None where it could not be read or was never asked for."""
    category: str = ""
    """Its category of an unsafe answer; empty where it named none."""
    severity: int | None = None
    """How bad it finds the answer, from 0 to 4; None where it does not say."""
    status: Status
    """What became of its call."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """A responder's answer to a question, with the guard's grade."""

    query: Query
    """Question that is answered."""
    response_id: str
    """`<query_id>/<responder>`; of further samples `<query_id>/<responder>#2` and so on."""
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
    """The guard's verdict on question and answer, or that of the quorum of guards; None where there is none."""
    severity: int | None = None
    """How bad an unsafe answer is, from 0 (harmless) to 4 (extreme); None where the guard does not say."""
    safe_category: str
    """The guard's category of an unsafe answer; empty where it named none."""
    grader: str
    """Name of the guard, or of all that voted; empty where the answer was not graded."""
    grade_status: Status
    """What became of the call that graded; `skipped` where there was no answer to grade; `unreadable` where several
    guards voted and the quorum is open."""
    grade_call: str
    """Key of that call in the call store; empty where there was none, or several guards voted."""
    grade_detail: str = ""
    """Why that call failed or was filtered; empty where it was not."""
    sample: int = 0
    """Number of the answer among several of one responder to one question, from 0."""
    votes: tuple[Vote, ...] = ()
    """What each of several guards said, in the order of the settings; empty where one guard graded alone."""

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
    labelled: PeopleSaid | None = None
    """What people said of the judges' preference; None where none labelled the pair."""
    labelled_by: tuple[str, ...] = ()
    """Names of the annotators who labelled the pair; outcomes that they agree on stand in place of the guard's."""

    @property
    def chosen_safe(self) -> bool | None:
        """Whether the chosen answer is safe, by its outcome; None where that is not known."""
        return is_safe(self.chosen_outcome)

    @property
    def rejected_safe(self) -> bool | None:
        """Whether the rejected answer is safe, by its outcome; None where that is not known."""
        return is_safe(self.rejected_outcome)
