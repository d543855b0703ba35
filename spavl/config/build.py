"""Settings of the dataset's stages, in the order in which they run."""

from __future__ import annotations

from typing import Annotated, Any, Literal

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


class AskSettings(Section):
    """The model that writes the questions about a picture."""

    model: Label = "asker"
    """Label of an entry of `models`."""
    types: Annotated[tuple[QuestionType, ...], Field(min_length=1), AfterValidator(_each_once)] = QUESTION_TYPES
    """Kinds of question for every picture. The hard ones are rewritten from the easy one."""
    prompt: str | None = None
    """A template file of your own instead of the built-in wording; placeholders: class1, class2, class3, question_type,
    easy_question."""
    sampling: SamplingSettings = SamplingSettings(temperature=0.7, max_tokens=128)
    """How questions are generated."""


class RespondSettings(Section):
    """The models that answer the questions."""

    models: Annotated[tuple[Label, ...], AfterValidator(_each_once)] = ()
    """Responders, by their labels in `models`. The paper used twelve."""
    sampling: SamplingSettings = SamplingSettings(temperature=1.0, max_tokens=256)
    """How answers are generated."""
    own_sampling: dict[Label, SamplingSettings] = {}
    """How single responders generate theirs, by their labels, in place of `sampling`."""

    @model_validator(mode="after")
    def _knows_every_responder(self) -> RespondSettings:
        if strange := [name for name in self.own_sampling if name not in self.models]:
            raise ValueError(f"`own_sampling` names `{strange[0]}`, which is none of the responders in `models`")
        return self

    def sampling_for(self, responder: str) -> SamplingSettings:
        """How a responder generates its answers.

        Args:
            responder: its label.
        """
        return self.own_sampling.get(responder, self.sampling)


class GradeSettings(Section):
    """The guards that grade every answer (the paper's one was MD-Judge)."""

    guards: Labels = ("guard",)
    """Labels of entries of `guards`; or of models, which then grade by the built-in rubric."""


class MatchSettings(Section):
    """Which two answers to a question are compared."""

    groups: Annotated[int, Field(ge=2, le=12)] = 5
    """Safety groups that responders are put into by their unsafe rate (the paper's five). Two answers are compared
    only if their responders are in different groups."""
    per_question: PositiveInt = 1
    """Pairs of answers compared for each question (the paper's one)."""


class JudgeSettings(Section):
    """The judges that compare two answers, in both orders."""

    judges: Labels = ("judge",)
    """Labels of entries of `judges`; or of models, which then give one verdict by the built-in prompt."""


class PairSettings(Section):
    """Which judged comparisons become preference pairs."""

    chosen_must_be_safe: bool = False
    """Drop pairs whose chosen answer the guard graded unsafe (in the paper 11.7 % are)."""


class BuildSettings(Section):
    """The stages of the preference dataset, from pictures to pairs."""

    batch_size: PositiveInt = 256
    """Pictures whose questions, answers and verdicts are worked on together. Larger needs more memory, and never
    changes a record."""
    stages: tuple[str, ...] = ()
    """Stages of your own, each as `package.module:NAME` of a `spavl.Stage`. Needs `--allow-code`."""
    collect: CollectSettings = CollectSettings()
    """Where the pictures come from."""
    ask: AskSettings = AskSettings()
    """The model that writes the questions."""
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
