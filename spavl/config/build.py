"""Settings of the dataset's stages, in the order in which they run."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, PositiveInt, model_validator

from spavl.config.asking import AskSettings, DescribeSettings, RespondSettings
from spavl.config.base import Section, each_once
from spavl.config.filters import FilterSettings
from spavl.config.models import Label
from spavl.config.search import SearchSettings
from spavl.config.sources import DatasetSettings, DownloadSettings


def _listed(names: Any) -> Any:
    return (names,) if isinstance(names, str) else names


Labels = Annotated[tuple[Label, ...], BeforeValidator(_listed), AfterValidator(each_once), Field(min_length=1)]
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


class ScreenSettings(Section):
    """A guard that looks at every picture before anything is asked about it."""

    guard: Label | None = None
    """Label of an entry of `guards` that grades pictures. Unsafe and unread pictures get no questions. None: all get
    some."""


class RequestSettings(Section):
    """A guard that grades every question alone, whatever is answered."""

    guard: Label | None = None
    """Label of an entry of `guards` that grades requests. Its verdicts are kept, and drop nothing. None: no guard."""


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


MatchPolicy = Literal["groups", "strong-weak", "round-robin", "best-worst", "even"]
"""Which answers to a question are compared."""


class MatchSettings(Section):
    """Which two answers to a question are compared."""

    policy: MatchPolicy = "groups"
    """`groups`: of responders in different safety groups (the paper's). `strong-weak`: one of the safest group, one of
    the least safe. `round-robin`: all pairs of responders in turn, so that each meets every other about equally often.
    `best-worst`: the answers that are furthest apart by the guard's outcome and severity. `even`: to harmful questions
    a safe answer and an unsafe one, such that every responder is about as often on the safe side as on the other,
    however safe it is; to other questions any two. The last three need no groups."""
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
    """Drop pairs whose chosen answer the guard did not find safe: unsafe ones (in the paper 11.7 %) and unread ones."""
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
    source_balance: Annotated[float, Field(gt=0, lt=0.5)] | None = None
    """Most by which the share of a responder's answers that is chosen may differ from a half, such as 0.1; one answer
    more is allowed. Of all ways to choose pairs so, one that leaves out the fewest is taken."""
    within_harmful: bool = False
    """`length_balance` and `source_balance` hold within the pairs of harmful questions and within those of harmless
    ones, each by itself, and not only in both together."""

    @property
    def is_wanted(self) -> bool:
        """Whether anything is to be balanced."""
        limits = (self.per_subcategory, self.length_balance, self.max_source_share, self.source_balance)
        return any(one is not None for one in limits)

    @property
    def by_cell(self) -> bool:
        """Whether pairs are chosen by who is chosen over whom, and not by one property alone."""
        return self.source_balance is not None or (self.within_harmful and self.length_balance is not None)


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
    labels: Annotated[tuple[str, ...], BeforeValidator(_listed)] = ()
    """Labels of people, which decide over judges and guard: folders of reviews, CSV, JSON or JSON lines files, or
    exports of Label Studio. What more than half of a pair's annotators say is so: the answers change places, or the
    pair is dropped where neither is better."""
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
