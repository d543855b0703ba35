"""A dataset whose rows hold pictures as a source: Parquet files, a folder of `save_to_disk`, or one of the Hub."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path, PurePosixPath
from typing import Any, final

from spavl.config.build import CollectSettings
from spavl.config.sources import DatasetSettings
from spavl.dataset.collect.addresses import is_address
from spavl.dataset.collect.candidate import Candidate, Unusable
from spavl.dataset.collect.folder import name_of, read_file
from spavl.dataset.collect.labels import TOPICS, FirstPlaces, Labels, refuse_columns, stem_of, stem_of_id, text_of
from spavl.dataset.collect.shards import Shards, holds_pictures, label_rows, picture_columns, schema_of
from spavl.errors import DataError, MissingExtra
from spavl.rows import brief, listed
from spavl.taxonomy import Taxonomy

HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
CONVERTED = "refs/convert/parquet"
"""Branch of the Hub on which it keeps every dataset as Parquet files."""
NO_FILE = "no file"
"""Pattern of no file: the Hub's client does not name the folder of a download that lacks any file asked for."""
SPLITS = frozenset(("train", "validation", "valid", "val", "dev", "test"))
"""Names of files that are those of splits."""
_NUMBERED = re.compile(r"(.+?)-\d+-of-(\d+)")


@dataclass(frozen=True, slots=True)
class _Files:
    """The files of a split."""

    root: Path
    """What their names are relative to."""
    files: list[Path]

    def name(self, file: Path) -> str:
        """A file as messages name it."""
        return name_of(file.relative_to(self.root) if file.is_relative_to(self.root) else file)


def find_in_dataset(settings: CollectSettings, taxonomy: Taxonomy) -> Iterator[Candidate]:
    """The pictures of a dataset, row by row; a dataset of the Hub is downloaded into the Hub's own cache first.

    Args:
        settings: the dataset, its split and columns, and what holds where its rows say nothing.
        taxonomy: the subcategories that rows may name.

    Raises:
        DataError: there is no such dataset or split, it lacks a column, its files cannot be read, or rows name no
            subcategory of the taxonomy; it names them all.
        MissingExtra: only the package `datasets` can read it, and it is not installed.
    """
    wanted = settings.dataset
    found = _dataset_files(wanted)
    columns = _columns(wanted, found, has_topic=settings.topic is not None)
    labels = Labels(settings, taxonomy, columns)
    empty = True
    with FirstPlaces() as ids:
        rows = _Rows(wanted, found, ids)
        for file in found.files:
            stat = file.stat()
            for number, cells in enumerate(label_rows(file, sorted(set(columns.values())))):
                empty = False
                candidate = rows.candidate(file, number, cells, labels, f"{stat.st_size} {stat.st_mtime_ns}")
                if candidate is not None:
                    yield candidate
    labels.refuse_unknown(str(wanted.path))
    if empty:
        raise DataError("There are no rows in this dataset", where=str(wanted.path))


@final
class _Rows:
    """Makes candidates of rows.

    Args:
        wanted: the dataset.
        found: its files.
        ids: those given so far.
    """

    def __init__(self, wanted: DatasetSettings, found: _Files, ids: FirstPlaces) -> None:
        self._wanted = wanted
        self._found = found
        self._ids = ids
        self._shards = Shards(wanted.image)

    def candidate(self, file: Path, number: int, cells: dict[str, Any], labels: Labels, stamp: str) -> Candidate | None:
        """The candidate of a row; None where its topic is not known."""
        place = f"{self._found.name(file)}, row {number + 1}"
        cell = cells.get(self._wanted.id) if self._wanted.id else None
        given = "" if cell is None else text_of(cell)
        read = partial(self._read, file, number)
        earlier = self._ids.before(given, place) if given else ""
        if earlier:
            given, read = "", partial(_refuse, f"{earlier} has the same id")
        return labels.candidate(
            cells, f"{file}, row {number + 1}", name=place, stamp=stamp, read=read,
            stem=stem_of_id(given) if given else stem_of(f"{file.stem}-{number + 1:06}", place),
            source=f"dataset:{text_of(self._wanted.path)}, {place}",
        )  # fmt: skip

    def _read(self, file: Path, number: int, most: int) -> bytes:
        """The bytes of a row's picture."""
        cell = self._shards.cell(file, number)
        if isinstance(cell, dict):
            cell = cell.get("bytes") or cell.get("path")
        if isinstance(cell, str) and cell and not is_address(cell):
            return read_file(file.parent / text_of(cell), file.parent, most)
        if isinstance(cell, str) and cell:
            raise Unusable("unreadable", "the row holds no picture but an address, which a manifest may name")
        if not isinstance(cell, bytes) or not cell:
            raise Unusable("unreadable", "the row holds no picture")
        if len(cell) > most:
            raise Unusable("too many pixels", "more bytes than a picture of `collect.max_pixels` can have")
        return cell


def _refuse(what: str, most: int) -> bytes:
    raise Unusable("exact duplicate", what)


def _columns(wanted: DatasetSettings, found: _Files, *, has_topic: bool) -> dict[str, str]:
    """The columns that are read, by what they say; every file must have them, and that of the pictures."""
    named = {
        "topic": wanted.topic, "license": wanted.license, "source": wanted.source, "caption": wanted.caption,
        "benign": wanted.benign, "heldout": wanted.heldout, "id": wanted.id,
    }  # fmt: skip
    columns = {what: name for what, name in named.items() if name is not None}
    for file in found.files:
        schema = schema_of(file)
        _check_picture_column(wanted.image, schema, str(file))
        if "topic" not in columns and (topic := next((one for one in TOPICS if one in schema.names), None)):
            columns["topic"] = topic
        if "topic" not in columns and not has_topic:
            refuse_columns(
                "The dataset names no subcategories: it has none of the columns `class3`, `topic`, `subcategory`",
                schema.names, TOPICS, str(file),
                "name the column in `build.collect.dataset.topic`, or set `build.collect.topic` for all its pictures",
            )  # fmt: skip
        for what, name in columns.items():
            if name not in schema.names:
                refuse_columns(f"There is no column {brief(name)} (`build.collect.dataset.{what}`)", schema.names,
                               (name,), str(file))  # fmt: skip
    return columns


def _check_picture_column(name: str, schema: Any, file: str) -> None:
    if name not in schema.names:
        pictures = picture_columns(schema)
        try_ = f"name one in `build.collect.dataset.image`: {listed(pictures, '`')}" if pictures else ""
        refuse_columns(f"There is no column {brief(name)} of pictures", schema.names, (name,), file, try_)
    kind = schema.field(name).type
    if not holds_pictures(kind):
        raise DataError(f"The column {brief(name)} holds no pictures but values of the type {str(kind)[:60]}",
                        where=file, try_="a column of bytes, of `{bytes, path}` or of paths")  # fmt: skip


# ---- files


def _dataset_files(wanted: DatasetSettings) -> _Files:
    """The files of the split."""
    if not wanted.path:
        raise DataError("No dataset is named", where="build.collect.dataset.path",
                        try_="`spavl build SETTINGS build.collect.dataset.path=FOLDER`")  # fmt: skip
    path = Path(wanted.path).expanduser()
    if path.is_file():
        return _Files(path.parent, [path])
    if (path / "dataset_dict.json").is_file():
        return _saved(path / _one_of(_json(path / "dataset_dict.json")["splits"], wanted.split, "split", str(path)))
    if (path / "state.json").is_file():
        return _saved(path)
    if path.is_dir():
        names = sorted(PurePosixPath(file.relative_to(path).as_posix()) for file in path.rglob("*.parquet"))
        return _Files(path, [path / name for name in choose_files(names, wanted)])
    if HUB_ID.fullmatch(wanted.path):
        return _from_hub(wanted)
    try_ = "a Parquet file, a folder of them, or a dataset of the Hub such as `sqrti/SPA-VL`"
    raise DataError("There is no such dataset", where=wanted.path, try_=try_)


def _saved(folder: Path) -> _Files:
    """The Arrow files of a folder that `save_to_disk` wrote."""
    names = [Path(one["filename"]).name for one in _json(folder / "state.json")["_data_files"]]
    return _Files(folder.parent, [folder / name for name in names])


def _json(file: Path) -> Any:
    try:
        return json.loads(file.read_text("utf-8"))
    except (OSError, RecursionError, ValueError) as error:
        raise DataError(f"This file of the dataset cannot be read: {error}", where=str(file)) from error


def choose_files(names: Sequence[PurePosixPath], wanted: DatasetSettings) -> list[PurePosixPath]:
    """The files of one configuration and one split.

    Args:
        names: Parquet files, relative to the dataset's folder, such as `data/train-00000-of-00004.parquet` or
            `default/train/0000.parquet`.
        wanted: the configuration and split.

    Raises:
        DataError: there are none, or the settings must say which of several.
    """
    where = str(wanted.path)
    chosen = [name for name in names if not any(part.startswith(".") for part in name.parts)]
    if not chosen:
        raise DataError("There are no Parquet files in this dataset", where=where)
    if wanted.config is not None:
        folders = sorted({part for name in chosen for part in name.parts[:-1]})
        _one_of(folders, wanted.config, "config", where)
        chosen = [name for name in chosen if wanted.config in name.parts[:-1]]
    splits = sorted({_split_of(name) for name in chosen})
    if wanted.split is None and SPLITS.isdisjoint(splits) and not any(map(_is_of_a_split, chosen)):
        return chosen
    split = _one_of(splits, wanted.split, "split", where)
    chosen = [name for name in chosen if _split_of(name) == split]
    folders = sorted({name.parts[0] for name in chosen if len(name.parts) > 1})
    if wanted.config is None and len(folders) > 1:
        _one_of(folders, None, "config", where)
    return chosen


def _is_of_a_split(name: PurePosixPath) -> bool:
    return bool(_NUMBERED.fullmatch(name.stem)) or (name.stem.isdigit() and len(name.parts) > 1)


def _split_of(name: PurePosixPath) -> str:
    """The split that a file is of, by the Hub's ways to name files: `train-00000-of-00002`, `train/0000`, `train`."""
    numbered = _NUMBERED.fullmatch(name.stem)
    if numbered:
        return numbered[1]
    return name.parts[-2] if name.stem.isdigit() and len(name.parts) > 1 else name.stem


def _one_of(there: Sequence[str], wanted: str | None, what: str, where: str) -> str:
    """The one that is wanted, or the only one there is."""
    if wanted is None and len(there) == 1:
        return there[0]
    if wanted in there:
        return str(wanted)
    named = f"There is no {what} {brief(wanted)}" if wanted is not None else f"The dataset has several {what}s"
    raise DataError(f"{named}: {', '.join(there)}", where=where, try_=f"name one in `build.collect.dataset.{what}`")


# ---- the Hub


@lru_cache(maxsize=4)
def _from_hub(wanted: DatasetSettings) -> _Files:
    """The files of a dataset of the Hub, in its cache; without a network what the cache has. The Hub is asked once, so
    that all of a command sees the same."""
    try:
        found = _parquet_of_hub(wanted)
    except DataError:
        raise
    except Exception as error:  # whatever the Hub's client raises of networks, logins and names
        found = _cached(wanted)
        if found is None:
            raise DataError(
                f"There is no folder of that name, and the Hub did not give the dataset: {str(error).splitlines()[0]}",
                where=str(wanted.path),
                try_="check name, revision and network; a gated dataset needs `hf auth login`; or give a folder",
            ) from error
    return found or _through_datasets(wanted)


def _parquet_of_hub(wanted: DatasetSettings) -> _Files | None:
    """The Parquet files of the repository, or else those that the Hub made of it; None where there are none."""
    from huggingface_hub import HfApi, snapshot_download

    name = str(wanted.path)
    api = HfApi()
    for revision in (wanted.revision, CONVERTED) if wanted.revision is None else (wanted.revision,):
        if revision == CONVERTED and not any(one.ref == CONVERTED for one in _converts(api, name)):
            continue
        every = api.list_repo_files(name, repo_type="dataset", revision=revision)
        parquet = [PurePosixPath(file) for file in sorted(every) if file.endswith(".parquet")]
        if parquet:
            chosen = choose_files(parquet, wanted)
            patterns = [str(file) for file in chosen]
            root = Path(snapshot_download(name, repo_type="dataset", revision=revision, allow_patterns=patterns))
            return _Files(root, [root / file for file in chosen])
    return None


def _converts(api: Any, name: str) -> Sequence[Any]:
    """The branches of a dataset that the Hub itself made."""
    return api.list_repo_refs(name, repo_type="dataset").converts or ()


def _cached(wanted: DatasetSettings) -> _Files | None:
    """The files that are in the Hub's cache, where all of the split's are."""
    from huggingface_hub import snapshot_download

    for revision in (wanted.revision, CONVERTED) if wanted.revision is None else (wanted.revision,):
        with suppress(OSError, ValueError):
            root = Path(
                snapshot_download(
                    str(wanted.path), repo_type="dataset", revision=revision, allow_patterns=[NO_FILE],
                    local_files_only=True,
                )
            )  # fmt: skip
            names = sorted(PurePosixPath(file.relative_to(root).as_posix()) for file in root.rglob("*.parquet"))
            chosen = choose_files(names, wanted) if names else []
            totals = {int(number[2]) for name in chosen if (number := _NUMBERED.fullmatch(name.stem))}
            if chosen and totals <= {len(chosen)}:
                return _Files(root, [root / name for name in chosen])
    return None


def _through_datasets(wanted: DatasetSettings) -> _Files:
    """The files that `datasets` makes of what is no Parquet; its cache keeps them."""
    name = str(wanted.path)
    try:
        import datasets
    except ImportError as error:
        raise MissingExtra(f"`{name}` has no Parquet files, and the package that reads others is not installed",
                           try_="pip install 'spavl[align]'") from error  # fmt: skip
    try:
        loaded = datasets.load_dataset(name, wanted.config, split=wanted.split or "train", revision=wanted.revision)
    except (OSError, ValueError) as error:
        raise DataError(f"`datasets` cannot load it: {str(error).splitlines()[0]}", where=name) from error
    files = [Path(one["filename"]) for one in loaded.cache_files]
    return _Files(files[0].parent if files else Path(), files)
