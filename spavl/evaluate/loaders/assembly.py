"""What loaders of published benchmarks share: where files lie, and how items become a benchmark."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from spavl.config.benchmarks.published import PublishedBenchmark
from spavl.errors import DataError
from spavl.evaluate.benchmark import Benchmark, Metric, counted
from spavl.evaluate.item import Item
from spavl.evaluate.loaders.findings import Findings
from spavl.evaluate.loaders.read_files import Fields, picture_at, picture_of
from spavl.evaluate.loaders.source import Source, check_counts
from spavl.evaluate.spread import Stratum, by_group, spread
from spavl.evaluate.tools import BenchmarkTools
from spavl.records import ImageRef
from spavl.rows import Row, rows_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """What a loader read: items, with what is wrong with them, and how they are counted and measured."""

    items: Sequence[Item]
    """All items, before any limit."""
    findings: Findings
    """What is wrong with rows and pictures."""
    source: Source
    """Where they come from, with the counts of these parts."""
    metrics: Sequence[Metric]
    """What is measured."""
    part: Callable[[Item], str]
    """The part that an item is of, a key of the source's counts."""
    stratum: Stratum = by_group
    """What an item is one of, where only a part of them is taken."""


def benchmark_of(spec: PublishedBenchmark, tools: BenchmarkTools, read: Read, name: str, prompt: str) -> Benchmark:
    """The benchmark of what was read: rows, counts and pictures are checked, in this order.

    Args:
        spec: its settings.
        tools: how answers are sampled.
        read: items and metrics.
        name: of the benchmark.
        prompt: of an item.

    Raises:
        DataError: rows are wrong, the counts are not the published ones, pictures are missing, or the limit is smaller
            than any unit.
    """
    read.findings.refuse_rows()
    check_counts(read.items, read.source, read.part, Path(spec.path), partial=spec.partial)
    taken = spread(read.items, spec.limit, read.stratum)
    if read.items and not taken:
        raise DataError(
            f"`limit: {spec.limit}` is fewer items than belong together, such as the two sides of a pair",
            where=f"benchmark {name}", try_="a larger `limit`",
        )  # fmt: skip
    kept = read.findings.resolve(taken)
    return Benchmark(
        name=name, items=tuple(map(_clustered, kept)),
        metrics=counted(read.metrics, kept) if spec.limit else tuple(read.metrics), sampling=tools.sampling,
        prompt=prompt, source=f"{read.source.title}, {read.source.paper}",
    )  # fmt: skip


def _clustered(item: Item) -> Item:
    """The item with its first picture for a cluster, by its hash, where the loader names none."""
    return replace(item, cluster=item.images[0].sha256) if item.images and not item.cluster else item


def hub_files(path: Path, split: str, folder: str = "") -> list[Path]:
    """The Parquet files of a split, as they lie in a copy of a Hub repository.

    Args:
        path: one of them, or a folder above them.
        split: beginning of their names, as in `test-00000-of-00002.parquet`.
        folder: the folder that they lie in, where other folders have files of the same names.
    """
    if path.suffix == ".parquet":
        return [path]
    found = sorted(path.rglob(f"{split}-*.parquet")) if path.is_dir() else []
    in_folder = [file for file in found if folder in file.absolute().parts]
    return in_folder or found


def original_file(path: Path, *patterns: str) -> Path | None:
    """The file of a benchmark in its original layout: the path itself, or the first of a folder that has such a name.

    Args:
        path: the file or its folder.
        patterns: what it may be called.
    """
    if path.is_file():
        return path
    return next((file for pattern in patterns for file in sorted(path.glob(pattern))), None)


def nothing_found(path: Path, source: Source) -> DataError:
    """The error where a folder has neither the original files nor those of the Hub.

    Args:
        path: the folder.
        source: the benchmark.
    """
    what = "This path does not exist" if not path.exists() else f"There are no files of {source.title} here"
    return DataError(what, where=str(path), try_=source.get)


def rows_in(files: Iterable[Path]) -> Iterator[tuple[int, Row]]:
    """The rows of all files with their places, counted through from 0.

    Args:
        files: the files, in order.
    """
    yield from enumerate(row for file in files for row in rows_of(file))


def json_object(path: Path) -> dict[str, Any]:
    """A JSON file that holds one object.

    Args:
        path: the file.

    Raises:
        DataError: it cannot be read, or holds something else.
    """
    try:
        found = json.loads(path.read_text("utf-8-sig"))
    except (OSError, RecursionError, ValueError) as error:
        raise DataError("This file is no JSON", where=str(path)) from error
    if not isinstance(found, dict):
        raise DataError("This file holds no JSON object", where=str(path))
    return found


def inline_picture(row: Fields, tools: BenchmarkTools, name: str = "image") -> ImageRef:
    """A picture whose bytes stand in the row.

    Args:
        row: the row.
        tools: the folder for such pictures.
        name: of the field.

    Raises:
        DataError: there are none.
    """
    cell = row.get(name)
    found = picture_of(cell.get("bytes") if isinstance(cell, dict) else cell, tools.pictures, tools.pictures)
    if found is None:
        raise DataError("The picture's bytes are not in the table", try_="use the Parquet files of the Hub")
    return found


@dataclass(frozen=True, slots=True)
class PictureFolder:
    """The folder of a benchmark's pictures; a picture that several items show is one reference."""

    folder: Path
    """The folder."""
    known: dict[str, ImageRef]
    """References by name, filled as they are asked for."""

    def picture(self, name: str) -> ImageRef:
        """The picture of a name.

        Args:
            name: its path relative to the folder.

        Raises:
            DataError: it is no path in this folder.
        """
        if name not in self.known:
            self.known[name] = picture_at(self.folder, name)
        return self.known[name]


def picture_folder(images: str | None, source: Source, otherwise: Path | None = None) -> PictureFolder:
    """The folder of pictures that the settings name.

    Args:
        images: the setting.
        source: the benchmark, for the message.
        otherwise: the folder where none is named.

    Raises:
        DataError: none is named, and there is no other.
    """
    if images is None and otherwise is None:
        raise DataError(
            f"The pictures of {source.title} are not in its JSON files", where="images",
            try_="name their folder by `images` in the benchmark's entry",
        )  # fmt: skip
    return PictureFolder(Path(images) if images is not None else otherwise or Path(), {})
