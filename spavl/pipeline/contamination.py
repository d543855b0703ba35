"""`spavl contamination`: what a preference dataset shares with benchmarks, questions, pictures or another dataset."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from spavl import __version__
from spavl.atomic import write_json
from spavl.config import Settings, load_settings
from spavl.config.benchmarks import MiniworldBenchmark
from spavl.contamination.open_other import open_other
from spavl.contamination.other import Other, OtherItem
from spavl.contamination.other_pictures import OtherPictures, hashed_pictures
from spavl.contamination.pictures import shared_pictures
from spavl.contamination.table import KINDS, SCHEMA, Counts, Shared, counted, flagged, tables_of
from spavl.contamination.texts import THRESHOLD, shared_texts
from spavl.errors import SettingsError
from spavl.evaluate.benchmark import Benchmark
from spavl.evaluate.item import Item
from spavl.evaluate.loaders import open_benchmark
from spavl.evaluate.loaders.catalogue import source_of
from spavl.evaluate.loaders.source import Source
from spavl.evaluate.parse import REFUSES
from spavl.evaluate.tools import BenchmarkTools
from spavl.pictures import Picture
from spavl.pipeline.exports import CACHE, dataset_folder
from spavl.pipeline.session import Session
from spavl.preferences.clean import Cleaned, check_free, write_clean
from spavl.preferences.dataset import PreferenceDataset, open_dataset
from spavl.preferences.picture_hashes import hashes_of, picture_hashes, picture_keypoints
from spavl.progress import Progress
from spavl.run import Run
from spavl.similarity.pdq import NEAR
from spavl.tables import write_batches
from spavl.tables.query import query

TABLE, SUMMARY = "contamination.parquet", "contamination.json"
"""Files of the folder."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ContaminationRequest:
    """What is compared with what."""

    source: str
    """A preference dataset of any public form, or a run folder."""
    against: Sequence[str] = ()
    """Other datasets, files of questions, folders of pictures."""
    out: Path | None = None
    """Folder of what is found; None: beside the run, or named after the source."""
    clean: Path | None = None
    """Folder of the pairs that are kept; None: it is not written."""
    drop: Sequence[str] = KINDS
    """Kinds of what is shared whose pairs are not kept."""
    threshold: float = THRESHOLD
    """Least Jaccard similarity of texts that are nearly the same."""
    distance: int = NEAR
    """Most bits by which the PDQ hashes of nearly equal pictures differ."""
    crops: bool = True
    """Whether pictures of which one is a part of the other are looked for."""
    cache: Path = CACHE
    """Folder of converted pairs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contamination:
    """What a dataset shares with others."""

    folder: Path
    """Folder of what was found."""
    pairs: int
    """Pairs of the dataset."""
    shared: int
    """Pairs that share something."""
    by_other: tuple[Counts, ...]
    """What it shares with each."""
    unread: int
    """Pictures of the dataset that cannot be read."""
    not_compared: tuple[str, ...] = ()
    """Benchmarks of the settings that were not compared: their items are drawn when they are evaluated."""
    cleaned: Cleaned | None = None
    """The clean dataset, where it was asked for."""


def contamination(request: ContaminationRequest, progress: Progress, session: Session | None = None) -> Contamination:
    """Compare a dataset with others, and write what is shared.

    Args:
        request: what is compared with what.
        progress: shows bars.
        session: settings whose benchmarks are compared too; None: none are.

    Raises:
        SettingsError: there is nothing to compare with, two others have one name, or a folder holds something else.
        DataError: a dataset or another cannot be read.
        RunError: a folder cannot be written.
    """
    _check(request)
    others = _others(request, session)
    dataset = open_dataset(dataset_folder(request.source), cache=request.cache)
    out = request.out or _out_of(request.source)
    unread: dict[str, tuple[int, int]] = {}
    found = (shared for other in others for shared in _shared(dataset, other, request, progress, unread))
    write_batches(out / TABLE, SCHEMA, tables_of(found))
    counts = tuple(_counts(out / TABLE, other, *unread[other.name]) for other in others)
    made = Contamination(
        folder=out, pairs=len(dataset.pairs), shared=len(flagged(out / TABLE)), by_other=counts,
        unread=_unread(dataset), not_compared=_not_compared(session),
    )  # fmt: skip
    write_json(out / SUMMARY, _summary(made, request))
    if request.clean is not None:
        made = replace(made, cleaned=_clean(dataset, out / TABLE, request, others))
        write_json(out / SUMMARY, _summary(made, request))
    return made


def _check(request: ContaminationRequest) -> None:
    if request.clean is not None:
        check_free(request.clean, dataset_folder(request.source))
    if strange := sorted(set(request.drop) - set(KINDS)):
        raise SettingsError(f"Nothing that is shared is of the kind {', '.join(strange)}", where="--drop",
                            try_=f"some of {', '.join(KINDS)}")  # fmt: skip


def _shared(
    dataset: PreferenceDataset, other: Other, request: ContaminationRequest, progress: Progress,
    unread: dict[str, tuple[int, int]],
) -> Iterator[Shared]:  # fmt: skip
    """What a dataset shares with one other; its items and unreadable pictures are noted."""
    with progress.bar(f"{other.name}: texts") as on_progress:
        yield from shared_texts(dataset, other, on_progress, threshold=request.threshold)
    with OtherPictures(request.distance) as pictures:
        with progress.bar(f"{other.name}: hashing pictures") as on_progress:
            items = hashed_pictures(other, pictures, on_progress, parts=request.crops)
        unread[other.name] = items, pictures.unread
        if len(pictures):
            hashes = picture_keypoints(dataset, progress) if request.crops else picture_hashes(dataset, progress)
            with progress.bar(f"{other.name}: pictures") as on_progress:
                yield from shared_pictures(dataset, hashes, other.name, pictures, on_progress, parts=request.crops)


def _counts(table: Path, other: Other, items: int, unread: int) -> Counts:
    found = counted(table, other.name)
    return Counts(
        against=other.name, items=items, pairs=found["pairs"], pairs_both=found["both"],
        items_shared=min(items, found["items"]), pairs_by_kind={kind: found.get(kind, 0) for kind in KINDS},
        unread=unread, licence=other.licence, note=other.note,
    )  # fmt: skip


def _unread(dataset: PreferenceDataset) -> int:
    """Pictures of the dataset that cannot be read; none where nothing has pictures to compare them with."""
    hashes = hashes_of(dataset)
    if hashes is None:
        return 0
    ((count,),) = query("SELECT count(*) FROM hashes WHERE fault IS NOT NULL", hashes=hashes)
    return int(count)


def _clean(dataset: PreferenceDataset, table: Path, request: ContaminationRequest, others: Sequence[Other]) -> Cleaned:
    assert request.clean is not None
    why = f"text or picture is shared with {', '.join(other.name for other in others)}"
    drop = np.zeros(len(dataset.pairs), dtype=bool)
    drop[flagged(table, request.drop)] = True
    return write_clean(dataset, drop, request.clean, note={"why": why, "kinds": list(request.drop)})


def _summary(made: Contamination, request: ContaminationRequest) -> dict[str, Any]:
    cleaned = made.cleaned
    return {
        "spavl": __version__, "source": Path(request.source).name, "threshold": request.threshold,
        "distance": request.distance, "crops": request.crops, "not_compared": list(made.not_compared),
        "pairs": made.pairs, "shared": made.shared, "unread": made.unread,
        "against": [asdict(one) for one in made.by_other],
        "cleaned": None if cleaned is None else {**asdict(cleaned), "folder": str(cleaned.folder)},
    }  # fmt: skip


def _out_of(source: str) -> Path:
    path = Path(source)
    if path.is_dir() and Run(path).manifest():
        return path / "contamination"
    return Path(f"contamination-{(path.resolve() if path.exists() else path).name.removesuffix(path.suffix)}")


# ---- others


def _others(request: ContaminationRequest, session: Session | None) -> list[Other]:
    """All that the dataset is compared with."""
    found = [open_other(path, cache=request.cache) for path in request.against]
    found += [] if session is None else benchmarks_as_others(session)
    if not found:
        what = "There is nothing to compare the dataset with"
        raise SettingsError(what, where="--against, --settings",
                            try_="name a dataset, a file of questions or pictures by --against")  # fmt: skip
    names = [other.name for other in found]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise SettingsError(f"Two that the dataset is compared with are called `{twice}`", where="--against",
                            try_="rename one of them, or compare with one after the other")  # fmt: skip
    return found


def benchmarks_as_others(session: Session) -> list[Other]:
    """The benchmarks of the settings, with all their items; no guard or judge is needed.

    Args:
        session: the settings, open as long as the pictures are needed.

    Raises:
        SettingsError: none is named that is read from files.
        DataError: its files cannot be used.
    """
    specs = [spec for spec in session.settings.evaluate.benchmarks if not isinstance(spec, MiniworldBenchmark)]
    if not specs:
        raise SettingsError("No benchmark is named whose items are read from files", where="evaluate.benchmarks",
                            try_="name one: `spavl settings evaluate` explains them")  # fmt: skip
    opened = [(open_benchmark(spec, _tools(session, spec.name), allow_code=session.allow_code), spec) for spec in specs]
    return [_of_benchmark(benchmark, source_of(spec)) for benchmark, spec in opened]


def _not_compared(session: Session | None) -> tuple[str, ...]:
    """Benchmarks whose items come from no file."""
    specs = [] if session is None else session.settings.evaluate.benchmarks
    return tuple(spec.name for spec in specs if isinstance(spec, MiniworldBenchmark))


def _tools(session: Session, name: str) -> BenchmarkTools:
    """What a benchmark is made with whose answers nobody scores."""
    return BenchmarkTools(
        name=name, sampling=session.sampling(session.settings.evaluate.sampling), pictures=session.world,
        seed=session.settings.seed, missing_pictures="skip", unsafe=lambda: REFUSES, rubric=lambda _: REFUSES,
        graded=lambda _: REFUSES, preferred=lambda: REFUSES,
    )  # fmt: skip


def _of_benchmark(benchmark: Benchmark, source: Source | None) -> Other:
    licence = source.licence if source is not None else ""
    note = f"its licence forbids training on it ({licence})" if source is not None and not source.training else ""
    return Other(benchmark.name, partial(_items, benchmark.items), licence, note)


def _items(items: Sequence[Item]) -> Iterator[OtherItem]:
    for item in items:
        said = (item.question, *(turn.text for turn in item.earlier if turn.role == "user"))
        pictures = tuple(Picture(image.sha256, image.path) for image in item.pictures)
        yield OtherItem(item.item_id, tuple(filter(None, said)), pictures)


def settings_session(path: Path, progress: Progress, *, allow_code: bool = False) -> Session:
    """A session by a settings file that makes nothing: neither run folder nor call store.

    Args:
        path: the settings file.
        progress: shows bars.
        allow_code: run benchmarks of the user's own that the settings name.

    Raises:
        SettingsError: something in the settings is wrong.
    """
    return Session(load_settings(Settings, path), progress, allow_code=allow_code, look_only=True)
