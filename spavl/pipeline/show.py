"""One question of a run with all that was made of it, or several models' answers to one question about a picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from spavl.config import LocalSpec, Settings, load_settings
from spavl.errors import DataError
from spavl.models import open_model
from spavl.models.base import BatchModel, Prompt, Reply, Sampling
from spavl.models.calls.engine import complete
from spavl.models.calls.store import CallStore
from spavl.pictures import file_sha256, open_upright
from spavl.records import ImageRef, Judgment, PreferencePair, Query, Response
from spavl.run import Run
from spavl.tables import Record, read_rows
from spavl.tables.query import query

MATCHING = "SELECT query_id FROM queries WHERE contains(lower(query_id), lower(?))"
PAIRED = "SELECT DISTINCT query_id FROM pairs WHERE contains(lower(query_id), lower(?))"


@dataclass(frozen=True, slots=True)
class QuestionDetails:
    """A question of a run and all that was made of it."""

    query: Query
    """The question."""
    picture: Path
    """File of its picture."""
    responses: list[Response]
    """Every responder's answer, with the guard's grades."""
    judgments: list[Judgment]
    """The judge's verdicts on its matches."""
    pairs: list[PreferencePair]
    """The preference pairs that they became."""
    others: int
    """Further questions whose id matches too."""


def find_question(folder: Path, part: str) -> QuestionDetails:
    """The first question whose id contains a text; one that became a pair is preferred.

    Args:
        folder: the run folder.
        part: text of the id, in upper or lower case.

    Raises:
        DataError: no question matches.
        RunError: there is no run in the folder.
    """
    run = Run(folder).open()
    paired = {row[0] for row in query(PAIRED, [part], pairs=run.pairs)} if run.pairs.exists() else set()
    matching = [row[0] for row in query(MATCHING, [part], queries=run.queries)]
    if not matching:
        raise _no_question(run, part)
    query_id = next((one for one in matching if one in paired), matching[0])
    (asked,) = read_rows(run.queries, Query, "query_id", query_id)
    return QuestionDetails(
        query=asked,
        picture=folder / asked.image.image_file,
        responses=sorted(_rows(run.responses, Response, query_id), key=lambda r: r.responder),
        judgments=_rows(run.judgments, Judgment, query_id),
        pairs=_rows(run.pairs, PreferencePair, query_id),
        others=len(matching) - 1,
    )


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
        run: a run folder, whose base and aligned models answer; it may be missing where `models` are given.
        models: further checkpoint folders or Hub ids.
        seed: of the sampling.

    Raises:
        DataError: the picture cannot be read, or there is neither a run nor a model.
        MissingExtra: torch is not installed.
        ModelError: a checkpoint is not there.
    """
    image = _image(picture)
    specs = _specs(run, models)
    answers = []
    with CallStore(_settings(run).store) as store:
        for spec in specs:
            model = open_model(spec)
            prompt = Prompt(question, images=(image,), item=str(picture))
            (reply,) = complete(model, [prompt], sampling=Sampling(max_tokens=256, seed=seed), store=store)
            answers.append((spec.name, reply))
            if isinstance(model, BatchModel):
                model.close()
    return answers


def _rows(path: Path, kind: type[Record], query_id: str) -> list[Record]:
    """The records of a table about a question; none where it was not made yet."""
    return read_rows(path, kind, "query_id", query_id) if path.exists() else []


def _settings(run: Path) -> Settings:
    kept = run / "settings.yaml"
    return load_settings(Settings, kept if kept.exists() else None)


def _specs(run: Path, models: Sequence[str]) -> list[LocalSpec]:
    named = [
        LocalSpec(name=f"model-{n}" if len(models) > 1 else "model", path=path) for n, path in enumerate(models, 1)
    ]
    if not (run / "settings.yaml").exists():
        if named:
            return named
        raise DataError(
            "There is no run here whose models could answer", where=str(run),
            try_="`spavl demo` makes one; or name a checkpoint with `--model`",
        )  # fmt: skip
    base = LocalSpec(name="base", path=_settings(run).align.model)
    return [base, *(LocalSpec(name=name, path=str(at)) for name, at in Run(run).aligned().items()), *named]


def _image(picture: Path) -> ImageRef:
    open_upright(picture)
    return ImageRef(picture, file_sha256(picture))
