"""One question of a run with all that was made of it, or several models' answers to one question about a picture."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from tempfile import TemporaryDirectory

from spavl.config import LocalSpec, ModelSpec, Settings, load_settings
from spavl.errors import DataError
from spavl.locks import HeldError
from spavl.models import open_model
from spavl.models.base import BatchModel, Prompt, Reply, Sampling
from spavl.models.calls.engine import complete
from spavl.models.calls.files import is_read_only
from spavl.models.calls.store import CallStore
from spavl.pictures import file_sha256, open_upright
from spavl.pipeline.evaluate import checkpoint_spec
from spavl.pipeline.measured_metrics import measured_metrics
from spavl.pipeline.report_tables import may_harm, scored_items, tables_of
from spavl.records import ImageRef, Judgment, PreferencePair, Query, Response
from spavl.run import Run
from spavl.tables import Record, read_rows
from spavl.tables.query import query

MATCHING = "SELECT query_id FROM queries WHERE contains(lower(query_id), lower(?))"
PAIRED = "SELECT DISTINCT query_id FROM pairs WHERE contains(lower(query_id), lower(?))"
ITEMS = "SELECT item_id FROM scores WHERE contains(lower(item_id), lower(?))"


@dataclass(frozen=True, slots=True)
class ShownText:
    """A text, or that it stays closed."""

    text: str | None
    """The text; None where it may do harm and was not asked for."""
    closed: bool
    """Whether it may do harm."""

    @classmethod
    def of(cls, text: str, *, harm: bool, reveal: bool) -> ShownText:
        """The text, left out where it may do harm and nobody asked for it.

        Args:
            text: the text.
            harm: whether it may do harm.
            reveal: whether it was asked for.
        """
        return cls(None if harm and not reveal else text, harm)


@dataclass(frozen=True, slots=True)
class ShownAnswer:
    """One model's answer."""

    model: str
    """Name of the model."""
    grade: str
    """What is known of the answer, such as `unsafe`."""
    answer: ShownText
    """The answer, or the status of a call without one."""


@dataclass(frozen=True, slots=True)
class ShownVerdict:
    """A judge's verdict on two answers."""

    match: str
    """The two models."""
    judge: str
    """Name of the judge."""
    order: str
    """The reading order."""
    better: str
    """Name of the model whose answer is better, `neither`, or `unreadable`."""


@dataclass(frozen=True, slots=True)
class ShownPair:
    """A preference pair."""

    chosen_model: str
    """Who gave the preferred answer."""
    chosen: ShownText
    """The preferred answer."""
    rejected_model: str
    """Who gave the other answer."""
    rejected: ShownText
    """The other answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QuestionDetails:
    """A question with all that was made of it; what may do harm is closed unless it was asked for."""

    question_id: str
    """Id of the question or item."""
    subject: str
    """Its topic or group."""
    benign: bool
    """Whether it is a harmless request that deserves an answer."""
    pictures: tuple[str, ...]
    """Files of its pictures."""
    question: ShownText
    """What was asked."""
    answers: tuple[ShownAnswer, ...]
    """Every model's answer."""
    verdicts: tuple[ShownVerdict, ...] = ()
    """The judges' verdicts on its matches."""
    pairs: tuple[ShownPair, ...] = ()
    """The preference pairs that they became."""
    others: int = 0
    """Further questions whose id matches too."""


def find_question(folder: Path, part: str, *, reveal: bool = False) -> QuestionDetails:
    """The first question of the dataset whose id contains a text; one that became a pair is preferred.

    Args:
        folder: the run folder.
        part: text of the id, in upper or lower case.
        reveal: show also what may do harm.

    Raises:
        DataError: no question matches, or there is no dataset yet.
        RunError: there is no run in the folder.
    """
    run = Run(folder).checked()
    if not run.queries.exists():
        raise _no_dataset(run)
    pairs = run.last_pairs
    paired = {row[0] for row in query(PAIRED, [part], pairs=pairs)} if pairs.exists() else set()
    matching = [row[0] for row in query(MATCHING, [part], queries=run.queries)]
    if not matching:
        raise _no_question(run, part)
    query_id = next((one for one in matching if one in paired), matching[0])
    (asked,) = read_rows(run.queries, Query, "query_id", query_id)

    def shown(text: str, safe: bool | None) -> ShownText:
        return ShownText.of(
            text, harm=may_harm(text, safe, question=asked.question, harmful=asked.harmful), reveal=reveal
        )

    responses = sorted(_rows(run.responses, Response, query_id), key=lambda r: (r.responder, r.sample))
    pictures = (*(turn.images for turn in asked.earlier), asked.images)
    return QuestionDetails(
        question_id=query_id, subject=asked.image.topic.path(), benign=not asked.harmful,
        pictures=tuple(str(folder / image.path) for images in pictures for image in images),
        question=ShownText.of(_asked(asked), harm=asked.harmful, reveal=reveal),
        answers=tuple(ShownAnswer(_who(r.response_id), _grade(r), shown(_said(r), r.safe)) for r in responses),
        verdicts=tuple(_verdict(j) for table in run.judgment_tables for j in _rows(table, Judgment, query_id)),
        pairs=tuple(
            ShownPair(_who(p.chosen_id), shown(p.chosen, p.chosen_safe), _who(p.rejected_id),
                      shown(p.rejected, p.rejected_safe))
            for p in _rows(pairs, PreferencePair, query_id)
        ),
        others=len(matching) - 1,
    )  # fmt: skip


def find_item(folder: Path, benchmark: str, part: str, *, reveal: bool = False) -> QuestionDetails:
    """The first item of a benchmark whose id contains a text, with the answers of all models that were evaluated.

    Args:
        folder: the run folder.
        benchmark: name of the benchmark.
        part: text of the id, in upper or lower case.
        reveal: show also what may do harm.

    Raises:
        DataError: no item matches, or the benchmark was not evaluated.
        RunError: there is no run in the folder, or its scores cannot be read.
    """
    run = Run(folder).checked()
    manifest = run.manifest()
    tables = tables_of(run, list(manifest.get("models", {})), benchmark)
    if not tables:
        known = ", ".join(f"`{name}`" for name in manifest.get("benchmarks", {}))
        raise DataError(f"No scores of a benchmark `{benchmark}` in this run", where=str(folder),
                        try_=f"there are: {known}" if known else "run `spavl evaluate` first")  # fmt: skip
    matching = [row[0] for row in query(ITEMS, [part], scores=next(iter(tables.values())))]
    if not matching:
        first = query("SELECT item_id FROM scores LIMIT 1", scores=next(iter(tables.values())))
        raise DataError(f"No item of `{benchmark}` has `{part}` in its id", where=str(folder),
                        try_=f"ids look like `{first[0][0]}`" if first else "")  # fmt: skip
    metrics = [m for m in measured_metrics(manifest) if m.benchmark == benchmark]
    item = scored_items(run, tables, metrics, matching[:1])[matching[0]]
    return QuestionDetails(
        question_id=matching[0], subject=item.group, benign=item.benign, pictures=tuple(map(str, item.pictures)),
        question=ShownText.of(item.question, harm=item.closed, reveal=reveal),
        answers=tuple(
            ShownAnswer(name, answer.words, ShownText.of(answer.text, harm=item.is_closed(answer), reveal=reveal))
            for name, answer in item.answers.items()
        ),
        others=len(matching) - 1,
    )  # fmt: skip


def _asked(query: Query) -> str:
    """The question; where turns came before it, all of them, each under who speaks."""
    system = [f"system: {query.system}"] if query.system else []
    before = [*system, *(f"{turn.role}: {turn.text}" for turn in query.earlier)]
    return "\n\n".join([*before, f"user: {query.question}"]) if before else query.question


def _who(response_id: str) -> str:
    """Who gave an answer: the responder, with the number of the sample from the second on."""
    return response_id.rpartition("/")[2]


def _said(response: Response) -> str:
    """The answer; where there is none, what became of the call and why."""
    reason = f": {response.response_detail}" if response.response_detail else ""
    return response.response or f"({response.response_status}{reason})"


def _grade(response: Response) -> str:
    """The grade; where several guards voted, what each of them said too."""
    grade = {True: "safe", False: "unsafe", None: "not graded"}[response.safe]
    votes = ", ".join(f"{one.guard}: {one.outcome or one.status}" for one in response.votes)
    return f"{grade} ({votes})" if votes else grade


def _verdict(judgment: Judgment) -> ShownVerdict:
    match = judgment.match
    a, b = _who(match.a_response_id), _who(match.b_response_id)
    names = {"a": a, "b": b, "tie": "neither", None: judgment.judgment_status}
    return ShownVerdict(f"{a} ~ {b}", judgment.judge, judgment.order, names[judgment.winner])


def _no_dataset(run: Run) -> DataError:
    known = list(run.manifest().get("benchmarks", {}))
    return DataError(
        "This run has no questions of a dataset yet", where=str(run.folder),
        try_=f"show an item of a benchmark with `--benchmark {known[0]}`" if known else "run `spavl build` first",
    )  # fmt: skip


def _no_question(run: Run, part: str) -> DataError:
    names = [row[0] for row in query("SELECT DISTINCT class3 FROM queries ORDER BY class3", queries=run.queries)]
    near = get_close_matches(part, names, n=1)
    first = query("SELECT query_id FROM queries LIMIT 1", queries=run.queries)
    return DataError(
        f"No question of this run has `{part}` in its id", where=str(run.folder),
        try_=f"did you mean `{near[0]}`?" if near else f"ids look like `{first[0][0]}`" if first else "",
    )  # fmt: skip


def try_models(picture: Path, question: str, *, run: Path, models: Sequence[str], seed: int) -> list[tuple[str, Reply]]:
    """Answers to one question about one picture: (name of the model, reply).

    Args:
        picture: an image file.
        question: what is asked.
        run: a run folder, whose base and aligned models answer; it may be missing where `models` are given, and where
            nothing was aligned in it they answer alone.
        models: further checkpoint folders, Hub ids or names of models that the run's settings list.
        seed: of the sampling.

    Raises:
        DataError: the picture cannot be read, or there is neither a run nor a model.
        MissingExtra: torch is not installed.
        ModelError: a checkpoint is not there.
    """
    image = _image(picture)
    specs = _specs(run, models)
    answers = []
    with _store_of(Path(_settings(run).store)) as store:
        for spec in specs:
            model = open_model(spec)
            prompt = Prompt(question, images=(image,), item=str(picture))
            (reply,) = complete(model, [prompt], sampling=Sampling(max_tokens=256, seed=seed), store=store)
            answers.append((spec.name, reply))
            if isinstance(model, BatchModel):
                model.close()
    return answers


@contextmanager
def _store_of(path: Path) -> Iterator[CallStore]:
    """The call store; where a build writes into it, or nobody can, its answers are used and new ones are not kept."""
    with ExitStack() as opened:
        try:
            store = None if is_read_only(path) else CallStore(path)
        except HeldError:
            store = None
        if store is None:
            new = Path(opened.enter_context(TemporaryDirectory())) / path.name
            store = CallStore(new, also_read=[path])
        yield opened.enter_context(store)


def _rows(path: Path, kind: type[Record], query_id: str) -> list[Record]:
    """The records of a table about a question; none where it was not made yet."""
    return read_rows(path, kind, "query_id", query_id) if path.exists() else []


def _settings(run: Path) -> Settings:
    kept = run / "settings.yaml"
    return load_settings(Settings, kept if kept.exists() else None)


def _specs(run: Path, models: Sequence[str]) -> list[ModelSpec]:
    """The models that answer; a run without aligned models has no base to compare with what is named."""
    kept = (run / "settings.yaml").exists()
    listed = {spec.name: spec for spec in _settings(run).models} if kept else {}
    labels = [f"model-{n}" if len(models) > 1 else "model" for n in range(1, len(models) + 1)]
    named = [listed.get(name) or LocalSpec(name=at, path=name) for at, name in zip(labels, models, strict=True)]
    aligned = Run(run).aligned().items() if kept else ()
    if not kept and not named:
        raise DataError(
            "There is no run here whose models could answer", where=str(run),
            try_="`spavl demo` makes one; or name a checkpoint with `--model`",
        )  # fmt: skip
    if not kept or (named and not aligned):
        return named
    align = _settings(run).align
    base = LocalSpec(name="base", path=align.model, revision=align.revision, dtype=align.machine.dtype,
                     max_pixels=align.data.max_pixels)  # fmt: skip
    return [base, *(checkpoint_spec(name, at, base) for name, at in aligned), *named]


def _image(picture: Path) -> ImageRef:
    open_upright(picture)
    return ImageRef(picture, file_sha256(picture))
