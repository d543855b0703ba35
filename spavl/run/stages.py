"""The stage table: the stages that make a preference dataset, in the order in which they run, and their tables.

Here stand the type of a stage and the names; `spavl.pipeline.stages` binds the functions. Whoever walks the stages (the
pipeline, `check`, the report, `show`) reads this table and knows no stage by its name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from spavl.config import SamplingSettings, Settings
from spavl.records import ImageRecord, Judgment, Match, PreferencePair, Query, Response


def _nothing() -> None:
    """Plain data that decides nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelUse:
    """A model that a stage asks."""

    label: str
    """Its name among the settings' `models`."""
    setting: str
    """Path of the setting that names it, for messages."""
    sampling: SamplingSettings
    """How its answers are sampled."""
    calls: float = 1.0
    """Most calls for each record that the stage reads."""
    name: str = ""
    """Who asks it, such as a guard, where two may ask one model; empty: the model's own name is enough."""
    decides: Callable[[], Any] = _nothing
    """Plain data that decides what it is asked, beside what the stage's own `decides` tells: a change makes the tables
    of this model anew, and leaves those of others. It may read files."""

    @property
    def key(self) -> str:
        """Name by which the stage's function knows it, and its table where the stage is `by_model`."""
        return self.name or self.label


@dataclass(frozen=True, slots=True)
class Made:
    """What a stage made of a batch."""

    records: Sequence[Any]
    """The records, in the order of those that they were made of."""
    counts: Mapping[str, int] = field(default_factory=dict)
    """What became of the batch; of a stage with a `status`, its values are counted and this is empty."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StageContext:
    """What a stage's function is given beside its batch."""

    settings: Settings
    """All settings of the run."""
    folder: Any
    """The run folder, to which the paths of pictures are relative."""
    model: str
    """Name of the model that is asked, or the `name` of its use; empty for a stage that asks none or several."""
    call: Callable[..., list[Any]]
    """The only door to that model: prompts in, one reply for each out, through the call store; of several the first."""
    calls: Mapping[str, Callable[..., list[Any]]] = field(default_factory=dict)
    """The doors to all models of the stage, by the keys of their uses."""
    shared: Any = None
    """What the stage's `barrier` found."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """A stage of the dataset: records of one kind in, records of the same or another kind out.

    A stage of your own is one of these, named in `build.stages`; what it writes is what the stages after it read. It
    may write the kind that it reads: then it leaves records out or changes them.
    """

    name: str
    """Name in messages, settings and reports."""
    reads: type[Any] | None
    """Kind of record that it reads, from the last stage before it that writes them; None for the source, which is
    the stage `collect`."""
    writes: type[Any]
    """Kind of record that it writes."""
    file: str = ""
    """Its table in the run folder; empty: `parts/<name>.parquet`."""
    after: str = ""
    """For a stage of your own: the stage that it comes after."""
    noun: str = ""
    """What it makes, in messages and in the report's funnel; empty: it is not in the funnel."""
    status: str = ""
    """Field of its records whose values are counted; empty: the records are."""
    id: str = ""
    """Field that is the id of its records; where it has a `status`, by it a record that failed is named."""
    detail: str = ""
    """Field that says why a record's call failed."""
    asked: str = ""
    """Field that names who was asked."""
    kept: str = "made"
    """Name of the count of records that the next stage goes on with."""
    by_model: bool = False
    """Its models work side by side, each on all records, and write a table each: `parts/<name>/<model>.parquet`. One
    model alone writes `file`, where that is set."""
    order: str = ""
    """Where the stage is `by_model`: dotted path, from its records, of the id of what a record was made of. The next
    stage reads together what was made of one, in the order of its models."""
    work: Callable[[Sequence[Any], StageContext], Sequence[Any] | Made] | None = None
    """The function: a batch and its context in, records out. It must not depend on how records fall into batches."""
    models: Callable[[Settings], Sequence[ModelUse]] = lambda settings: ()
    """The models that it asks. Where it is `by_model`, each works alone; else one function asks them all, in turn."""
    wanted: Callable[[Settings], bool] = lambda settings: True
    """Whether the settings want the stage at all."""
    decides: Callable[[Settings], Any] = lambda settings: None
    """Plain data that decides its records beside what it reads and its models' identities: settings, templates. For a
    stage of your own its file is counted in: when that changes, the stage's table is made anew."""
    makes: Callable[[Settings], float] = lambda settings: 1.0
    """Most records that it makes of one that it reads, by each of its models."""
    barrier: Callable[[Any, Settings], Any] | None = None
    """What must be known of the whole table that it reads before its first batch: a mapping of plain data, which is
    noted in `run.json` too."""
    nothing: tuple[str, str] | None = None
    """What is wrong where it made no record at all, and what to try; None: that is no error."""
    why_nothing: Callable[[Mapping[str, Any]], str] = lambda manifest: ""
    """Why it made none, as the rest of that sentence, from what `run.json` holds of the stages before."""

    def tables(self, folder: Path, settings: Settings) -> tuple[Path, ...]:
        """Its tables: one for each of several models where it is `by_model`, else one.

        Args:
            folder: the run folder.
            settings: name its models.
        """
        uses = self.models(settings) if self.by_model else ()
        if self.by_model and not (self.file and len(uses) == 1):
            return tuple(folder / "parts" / self.name / f"{use.key}.parquet" for use in uses)
        return (folder / (self.file or f"parts/{self.name}.parquet"),)

    def described(self) -> dict[str, str]:
        """What `run.json` says of it, by which counts are shown: name, noun, and which count goes on."""
        return {"name": self.name, "noun": self.noun, "kept": self.kept}


STAGES: tuple[Stage, ...] = (
    Stage(name="collect", reads=None, writes=ImageRecord, file="1-images.parquet", noun="pictures"),
    Stage(name="screen", reads=ImageRecord, writes=ImageRecord, noun="pictures that passed the guard",
          status="screen_status", id="image_id", detail="screen_detail", asked="screener", kept="safe",
          wanted=lambda settings: settings.build.screen.guard is not None),
    Stage(name="describe", reads=ImageRecord, writes=ImageRecord, noun="described pictures",
          status="description_status", id="image_id", detail="description_detail", asked="describer", kept="ok"),
    Stage(name="ask", reads=ImageRecord, writes=Query, file="2-queries.parquet", noun="questions",
          status="query_status", id="query_id", detail="query_detail", asked="asker", kept="ok"),
    Stage(name="distinct", reads=Query, writes=Query, noun="distinct questions", kept="distinct"),
    Stage(name="requests", reads=Query, writes=Query, status="request_status", id="query_id", detail="request_detail",
          asked="request_guard", kept="safe",
          wanted=lambda settings: settings.build.requests.guard is not None),
    Stage(name="respond", reads=Query, writes=Response, by_model=True, order="query.query_id", noun="answers",
          status="response_status", id="response_id", detail="response_detail", asked="responder", kept="ok"),
    Stage(name="grade", reads=Response, writes=Response, by_model=True, order="response_id",
          file="3-responses.parquet", status="grade_status", id="response_id", detail="grade_detail", asked="grader",
          kept="ok"),
    Stage(name="vote", reads=Response, writes=Response, file="3-responses.parquet", status="grade_status",
          id="response_id", detail="grade_detail", asked="grader", kept="ok",
          wanted=lambda settings: len(settings.build.grade.guards) > 1),
    Stage(name="match", reads=Response, writes=Match, file="4-matches.parquet", noun="matches"),
    Stage(name="judge", reads=Match, writes=Judgment, by_model=True, order="match.match_id",
          file="5-judgments.parquet", noun="verdicts", status="judgment_status", id="judgment_id",
          detail="judgment_detail", asked="judge", kept="ok"),
    Stage(name="pair", reads=Judgment, writes=PreferencePair, file="6-pairs.parquet", noun="pairs", kept="pair"),
    Stage(name="labels", reads=PreferencePair, writes=PreferencePair, file="6-labelled.parquet",
          noun="pairs as people labelled them", kept="kept", wanted=lambda settings: bool(settings.build.labels)),
    Stage(name="balance", reads=PreferencePair, writes=PreferencePair, file="7-balanced.parquet",
          noun="balanced pairs", kept="kept"),
)  # fmt: skip
"""The stages of the dataset, in their order."""
