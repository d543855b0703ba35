"""Up close: one question of a run with all that came of it, or one picture before several models."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from spavl.config import LocalSpec, Settings, load_settings
from spavl.errors import DataError
from spavl.models import open_model
from spavl.models.base import BatchModel, ImageRef, Prompt, Reply, Sampling
from spavl.models.calls.engine import complete
from spavl.models.calls.store import CallStore
from spavl.pictures import PICTURE_FORMATS, file_sha256
from spavl.records import Judgment, PreferencePair, Query, Response
from spavl.run import Run
from spavl.tables import read_table


@dataclass(frozen=True, slots=True)
class QuestionDetails:
    """A question and everything made of it."""

    query: Query
    picture: Path
    responses: list[Response]
    judgments: list[Judgment]
    pairs: list[PreferencePair]
    others: int
    """Further questions whose id fits too."""


def find_question(folder: Path, part: str) -> QuestionDetails:
    """The first question whose id contains `part`; one that became a pair is preferred.

    Raises:
        DataError: none fits.
    """
    run = Run(folder).open()
    queries = read_table(run.queries, Query)
    pairs = read_table(run.pairs, PreferencePair) if run.pairs.exists() else []
    fitting = [q for q in queries if part.lower() in q.query_id.lower()]
    if not fitting:
        near = get_close_matches(part, {q.image.topic.class3 for q in queries}, n=1)
        raise DataError(
            f"No question of this run has `{part}` in its id", where=str(folder),
            try_=f"did you mean `{near[0]}`?" if near else f"ids look like `{queries[0].query_id}`",
        )  # fmt: skip
    paired = {p.query.query_id for p in pairs}
    query = next((q for q in fitting if q.query_id in paired), fitting[0])
    return QuestionDetails(
        query=query, picture=folder / query.image.image_file,
        responses=_of(read_table(run.responses, Response) if run.responses.exists() else [], query),
        judgments=[
            j for j in (read_table(run.judgments, Judgment) if run.judgments.exists() else [])
            if j.match.query.query_id == query.query_id
        ],
        pairs=[p for p in pairs if p.query.query_id == query.query_id], others=len(fitting) - 1,
    )  # fmt: skip


def try_models(picture: Path, question: str, *, run: Path, models: Sequence[str], seed: int) -> list[tuple[str, Reply]]:
    """The answers of the run's base and aligned models, and of `models`, to one question about one picture."""
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


def _of(responses: list[Response], query: Query) -> list[Response]:
    return sorted((r for r in responses if r.query.query_id == query.query_id), key=lambda r: r.responder)


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
    try:
        with Image.open(picture, formats=PICTURE_FORMATS) as opened:
            opened.load()
        return ImageRef(picture, file_sha256(picture))
    except FileNotFoundError:
        raise DataError("There is no such picture", where=str(picture)) from None
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise DataError(f"This is not a readable picture: {error}", where=str(picture)) from error
