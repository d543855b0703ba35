"""Settings of the dataset's stages, in the order in which they run."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Annotated, Any, Literal, get_args

from pydantic import AfterValidator, BeforeValidator, Field, PositiveInt, model_validator

from spavl.config.base import Section, refuse_twice
from spavl.config.filters import FilterSettings
from spavl.config.models import Label, SamplingSettings
from spavl.config.search import SearchSettings
from spavl.config.sources import DatasetSettings, DownloadSettings
from spavl.records import QUESTION_TYPES, QuestionType


def _each_once(names: tuple[str, ...]) -> tuple[str, ...]:
    refuse_twice(names)
    return names


def _listed(names: Any) -> Any:
    return (names,) if isinstance(names, str) else names


Labels = Annotated[tuple[Label, ...], BeforeValidator(_listed), AfterValidator(_each_once), Field(min_length=1)]
"""Several labels, or one alone."""


class CollectSettings(Section):
    """Where the pictures come from."""

    source: Literal["folder", "manifest", "dataset", "search", "miniworld"] = "folder"
    """`folder`: your own pictures. `manifest`: a table of paths or addresses. `dataset`: rows that hold pictures, of
    Parquet files or of the Hub. `search`: those of a folder that show what a subcategory's keywords say. `miniworld`:
    pictures rendered by the built-in miniature world."""
    folder: str | None = None
    """The folder of pictures. Sub-folders named after subcategories or their aliases (or
    `domain/category/subcategory`) give the topic; a last sub-folder `benign` marks harmless counterparts."""
    manifest: str | None = None
    """A CSV, TSV, JSON, JSON lines or Parquet file with a picture in each row: columns `image`, `path` or `url` (one of
    them), `class3`, `topic` or `subcategory`, and where wanted `id`, `license`, `source`, `caption`, `benign` and
    `heldout`. Paths are relative to `folder`, or else to the manifest's own folder."""
    dataset: DatasetSettings = DatasetSettings()
    """The dataset whose rows hold the pictures."""
    download: DownloadSettings = DownloadSettings()
    """How pictures that a manifest names by addresses are fetched."""
    search: SearchSettings = SearchSettings()
    """Pictures that are found by words."""
    topic: str | None = None
    """Subcategory of pictures whose folder or row names none."""
    taxonomy: str | None = None
    """A YAML file of your own, of one to three levels: see the guide on taxonomies, and `spavl taxonomy FILE`, which
    checks it. The default is the paper's 6 domains, 15 categories and 53 subcategories."""
    heldout: tuple[str, ...] = ()
    """Subcategories that are built but never trained on."""
    license: str = "unknown"
    """Licence of the pictures, recorded with every one that has none of its own."""
    per_subcategory: PositiveInt = 10
    """Miniature world: pictures for each of the 53 subcategories."""
    benign_share: Annotated[float, Field(ge=0, le=1)] = 0.4
    """Miniature world: share of the pictures that are harmless counterparts (benign twins)."""
    max_pixels: PositiveInt = 40_000_000
    """Pictures with more pixels are refused (decompression bombs)."""
    filters: FilterSettings = FilterSettings()
    """What pictures must be like to be used."""


def _known_type(name: Any) -> Any:
    if not isinstance(name, str) or name in get_args(QuestionType):
        return name
    near = get_close_matches(name, get_args(QuestionType), n=1)
    meant = f" (did you mean `{near[0]}`?)" if near else ""
    raise ValueError(f"`{name}` is no type of question{meant}: there are {', '.join(get_args(QuestionType))}")


QuestionTypeName = Annotated[QuestionType, BeforeValidator(_known_type)]


class DescribeSettings(Section):
    """The model that describes every picture in detail before questions are written (the paper's was Gemini)."""

    model: Label | None = None
    """Label of an entry of `models`. None: no picture is described."""
    prompt: str | None = None
    """A template file of your own instead of the built-in wording; placeholders: topic, class1, class2, class3,
    subcategory_description, caption."""
    sampling: SamplingSettings = SamplingSettings(max_tokens=512)
    """How descriptions are generated."""


class FollowUpSettings(Section):
    """The question that comes after an answer, of type `follow_up`."""

    responder: Label
    """Who gives that answer: label of an entry of `models`. One of the responders is asked once for both."""
    after: QuestionTypeName = "easy_question"
    """The type of question that it answers."""


class ScreenSettings(Section):
    """A guard that looks at every picture before anything is asked about it."""

    guard: Label | None = None
    """Label of an entry of `guards` that grades pictures. Unsafe and unread pictures get no questions. None: all get
    some."""


class RequestSettings(Section):
    """A guard that grades every question alone, whatever is answered."""

    guard: Label | None = None
    """Label of an entry of `guards` that grades requests. Its verdicts are kept, and drop nothing. None: no guard."""


class AskSettings(Section):
    """The models that write the questions about a picture."""

    model: Label = "asker"
    """Label of an entry of `models`."""
    models: dict[QuestionTypeName, Label] = {}
    """Models that write single types of question, in place of `model`, such as `{hard_question: other}`."""
    types: Annotated[tuple[QuestionTypeName, ...], Field(min_length=1), AfterValidator(_each_once)] = QUESTION_TYPES
    """Types of question for every picture. `hard_question` and `hard_statement` are rewritten from the easy one, which
    is written too where only they are wanted. Beyond the paper's three there are `benign_question`, a harmless request
    that only seems to touch the topic, and `follow_up`, which needs `follow_up`."""
    prompt: str | None = None
    """A template file of your own instead of the built-in wording; placeholders: topic, class1, class2, class3,
    subcategory_description, caption, description, known, question_type, easy_question, earlier_question,
    earlier_answer."""
    prompts: dict[QuestionTypeName, str] = {}
    """Template files for single types of question, in place of `prompt`."""
    sampling: SamplingSettings = SamplingSettings(temperature=0.7, max_tokens=128)
    """How questions are generated."""
    own_sampling: dict[QuestionTypeName, SamplingSettings] = {}
    """How questions of single types are generated, in place of `sampling`."""
    structured: bool = False
    """Ask for questions as JSON: the server is held to `{"question": …}` where it can decode to a schema, and what
    comes back is checked. One line of plain text is taken too; broken JSON is `unreadable`, and never used."""
    follow_up: FollowUpSettings | None = None
    """Whose answer to what the type `follow_up` comes after."""
    near_duplicates: Annotated[float, Field(gt=0, le=1)] | None = None
    """Similarity from which the later of two questions of one subcategory and type is left out, wherever in the run
    they stand: the share of their words and pairs of words that both have, such as 0.8. None: none is left out, for the
    same words about another picture are another question, and the paper names no such filter."""

    @model_validator(mode="after")
    def _types_fit_together(self) -> AskSettings:
        if "follow_up" in self.types and self.follow_up is None:
            raise ValueError("the type `follow_up` needs `follow_up: {responder: LABEL, after: TYPE}`")
        if self.follow_up is not None and self.follow_up.after == "follow_up":
            raise ValueError("`follow_up.after` must be another type of question")
        named: Mapping[QuestionType, Any]
        for setting, named in (
            ("models", self.models), ("prompts", self.prompts), ("own_sampling", self.own_sampling),
        ):  # fmt: skip
            if strange := [kind for kind in named if kind not in self.written]:
                raise ValueError(f"`{setting}` names `{strange[0]}`, which is none of the types that are written")
        return self

    @property
    def written(self) -> tuple[QuestionType, ...]:
        """The types that are wanted and those that they are made from, each after what it is made from."""
        found: dict[QuestionType, None] = {}
        for kind in self.types:
            made_of: list[QuestionType] = [kind]
            while (before := self.made_from(made_of[0])) is not None:
                made_of.insert(0, before)
            found |= dict.fromkeys(made_of)
        return tuple(found)

    def made_from(self, kind: QuestionType) -> QuestionType | None:
        """The type of question that one of this type is made from; None where it needs none.

        Args:
            kind: type of question.
        """
        if kind == "follow_up":
            return self.follow_up.after if self.follow_up else None
        return "easy_question" if kind in ("hard_question", "hard_statement") else None

    def model_for(self, kind: QuestionType) -> str:
        """Label of the model that writes questions of a type.

        Args:
            kind: type of question.
        """
        return self.models.get(kind, self.model)

    def sampling_for(self, kind: QuestionType) -> SamplingSettings:
        """How questions of a type are generated.

        Args:
            kind: type of question.
        """
        return self.own_sampling.get(kind, self.sampling)

    def prompt_for(self, kind: QuestionType) -> str | None:
        """The user's own template file for questions of a type; None for the built-in one.

        Args:
            kind: type of question.
        """
        return self.prompts.get(kind, self.prompt)


class RespondSettings(Section):
    """The models that answer the questions."""

    models: Annotated[tuple[Label, ...], AfterValidator(_each_once)] = ()
    """Responders, by their labels in `models`. The paper used twelve."""
    sampling: SamplingSettings = SamplingSettings(temperature=1.0, max_tokens=256)
    """How answers are generated."""
    own_sampling: dict[Label, SamplingSettings] = {}
    """How single responders generate theirs, by their labels, in place of `sampling`."""
    samples: PositiveInt = 1
    """Answers of each responder to each question."""
    own_samples: dict[Label, PositiveInt] = {}
    """Answers of single responders to each question, by their labels, in place of `samples`."""
    own_system: dict[Label, str | None] = {}
    """Text files with a system prompt of your own for single responders, by their labels. `null` is an empty slot, as
    the rosters have it for the paper's jailbroken responder: it does not run until you name a file."""

    @model_validator(mode="after")
    def _knows_every_responder(self) -> RespondSettings:
        named: Mapping[str, Any]
        for setting, named in (
            ("own_sampling", self.own_sampling), ("own_samples", self.own_samples), ("own_system", self.own_system),
        ):  # fmt: skip
            if strange := [name for name in named if name not in self.models]:
                raise ValueError(f"`{setting}` names `{strange[0]}`, which is none of the responders in `models`")
        for name in self.models:
            if self.samples_for(name) > 1 and self.sampling_for(name).temperature == 0:
                raise ValueError(f"`{name}` is to answer {self.samples_for(name)} times at temperature 0, which is one "
                                 "answer again and again")  # fmt: skip
        return self

    @property
    def responders(self) -> tuple[str, ...]:
        """Labels of the models that answer: all but empty slots."""
        return tuple(name for name in self.models if name not in self.empty_slots)

    @property
    def empty_slots(self) -> tuple[str, ...]:
        """Labels of the models that wait for a system prompt of the user's own, and do not answer until then."""
        return tuple(name for name in self.models if name in self.own_system and self.own_system[name] is None)

    def sampling_for(self, responder: str) -> SamplingSettings:
        """How a responder generates its answers.

        Args:
            responder: its label.
        """
        return self.own_sampling.get(responder, self.sampling)

    def samples_for(self, responder: str) -> int:
        """How many answers a responder gives to each question.

        Args:
            responder: its label.
        """
        return self.own_samples.get(responder, self.samples)


class QualificationSettings(Section):
    """What a guard must reach on labelled examples, as `spavl qualify` measures it, before it votes."""

    sensitivity: Annotated[float, Field(ge=0, le=1)] = 0.8
    """Least share of unsafe examples that it calls unsafe; one that it does not answer readably counts as missed."""
    specificity: Annotated[float, Field(ge=0, le=1)] = 0.8
    """Least share of safe examples that it calls safe; one that it does not answer readably counts as missed."""
    unreadable: Annotated[float, Field(ge=0, le=1)] = 0.1
    """Most of the examples that it may leave without a readable verdict."""
    contrast: Annotated[float, Field(ge=0, le=1)] = 0.5
    """Least share of the pairs of examples with equal words, different pictures and different labels that it tells
    apart: a guard that is blind to pictures tells none."""
    required: bool | None = None
    """Refuse to build with a guard that was never measured, too, and not only with one that failed. None: where several
    guards vote, since one that calls everything safe would make the answers of a majority look safer."""


class GradeSettings(Section):
    """The guards that grade every answer (the paper's one was MD-Judge)."""

    guards: Labels = ("guard",)
    """Labels of entries of `guards`; or of models, which then grade by the built-in rubric."""
    quorum: PositiveInt | None = None
    """Of several guards, how many must call an answer unsafe for it to be so. It is safe where the unread ones could
    not change that; else it has no verdict. None: more than half of them."""
    qualification: QualificationSettings = QualificationSettings()
    """What the guards must have reached on labelled examples."""

    @model_validator(mode="after")
    def _quorum_can_be_reached(self) -> GradeSettings:
        if self.quorum is not None and self.quorum > len(self.guards):
            raise ValueError(f"`quorum` is {self.quorum}, and there are {len(self.guards)} `guards`")
        return self


MatchPolicy = Literal["groups", "strong-weak", "round-robin", "best-worst"]
"""Which answers to a question are compared."""


class MatchSettings(Section):
    """Which two answers to a question are compared."""

    policy: MatchPolicy = "groups"
    """`groups`: of responders in different safety groups (the paper's). `strong-weak`: one of the safest group, one of
    the least safe. `round-robin`: all pairs of responders in turn, so that each meets every other about equally often.
    `best-worst`: the answers that are furthest apart by the guard's outcome and severity. The last two need no groups.
    """
    groups: Annotated[int, Field(ge=2, le=12)] = 5
    """Safety groups that responders are put into by their unsafe rate (the paper's five)."""
    per_question: PositiveInt = 1
    """Pairs of answers compared for each question (the paper's one)."""
    same_responder: bool = False
    """Two samples of one responder may be compared too: they differ in what is said, and not in who says it."""

    @model_validator(mode="after")
    def _weak_is_not_strong(self) -> MatchSettings:
        if self.same_responder and self.policy == "strong-weak":
            raise ValueError("`same_responder` does not go with `policy: strong-weak`, which needs two responders")
        return self


class JudgeSettings(Section):
    """The judges that compare two answers, in both orders."""

    judges: Labels = ("judge",)
    """Labels of entries of `judges`; or of models, which then give one verdict by the built-in prompt."""


class PairSettings(Section):
    """Which judged comparisons become preference pairs."""

    quorum: PositiveInt | None = None
    """Judges that must prefer the same answer, each in both orders, while fewer prefer the other. None: more than half
    of them."""
    chosen_must_be_safe: bool = False
    """Drop pairs whose chosen answer the guard graded unsafe (in the paper 11.7 % are)."""
    min_severity_gap: Annotated[int, Field(ge=1, le=4)] | None = None
    """Drop pairs whose rejected answer is not so much more severe than the chosen one; needs a guard that says how
    severe an answer is, and an answer whose severity it does not say is in no pair."""
    prefer_safe_completion: bool = False
    """A safe completion is chosen over a bare refusal unless the judges found it less harmless; and pairs whose chosen
    answer is a bare refusal are dropped where any answer to the question is a safe completion. Needs a guard that tells
    the two apart, such as one of kind `outcome`."""


class BalanceSettings(Section):
    """Which pairs are left out, so that neither length nor source nor a few subjects tell chosen from rejected.

    Where any of these is set, the stage `balance` follows `pair`: `7-balanced.parquet` is what is exported and trained
    on, and `6-pairs.parquet` keeps all pairs.
    """

    per_subcategory: PositiveInt | None = None
    """Most pairs of a subcategory; where there are fewer, the log and `run.json` say so."""
    length_balance: Annotated[float, Field(gt=0, lt=0.5)] | None = None
    """Most by which the share of pairs whose chosen answer is the longer one may differ from a half, such as 0.05.
    Pairs whose lengths differ most are dropped first, and no more than needed."""
    max_source_share: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Most that one responder may have of the chosen answers, and of the rejected ones."""

    @property
    def is_wanted(self) -> bool:
        """Whether anything is to be balanced."""
        return any(one is not None for one in (self.per_subcategory, self.length_balance, self.max_source_share))


class BuildSettings(Section):
    """The stages of the preference dataset, from pictures to pairs."""

    batch_size: PositiveInt = 256
    """Pictures whose questions, answers and verdicts are worked on together. Larger needs more memory, and never
    changes a record."""
    stages: tuple[str, ...] = ()
    """Stages of your own, each as `package.module:NAME` of a `spavl.Stage`. Needs `--allow-code`."""
    collect: CollectSettings = CollectSettings()
    """Where the pictures come from."""
    screen: ScreenSettings = ScreenSettings()
    """Which pictures get questions."""
    describe: DescribeSettings = DescribeSettings()
    """The model that describes the pictures."""
    ask: AskSettings = AskSettings()
    """The models that write the questions."""
    requests: RequestSettings = RequestSettings()
    """Whether questions are graded alone."""
    respond: RespondSettings = RespondSettings()
    """The models that answer them."""
    grade: GradeSettings = GradeSettings()
    """The guards that grade the answers."""
    match: MatchSettings = MatchSettings()
    """Which answers are compared."""
    judge: JudgeSettings = JudgeSettings()
    """The judges that compare them."""
    pair: PairSettings = PairSettings()
    """Which comparisons become pairs."""
    balance: BalanceSettings = BalanceSettings()
    """Which pairs are left out for balance."""

    @model_validator(mode="after")
    def _quorum_can_be_met(self) -> BuildSettings:
        if self.pair.quorum is not None and self.pair.quorum > len(self.judge.judges):
            raise ValueError(f"`pair.quorum` is {self.pair.quorum}, and `judge.judges` names {len(self.judge.judges)}")
        return self

    @model_validator(mode="after")
    def _who_is_followed_up_can_answer(self) -> BuildSettings:
        followed = self.ask.follow_up
        if followed is not None and followed.responder in self.respond.empty_slots:
            raise ValueError(
                f"`ask.follow_up` names `{followed.responder}`, which is an empty slot until "
                f"`respond.own_system.{followed.responder}` names a file"
            )
        return self
