"""Loader of MSSBench (Zhou et al. 2024, arXiv 2410.06172): a request, and two pictures that decide whether it is safe.

Files of https://huggingface.co/datasets/kzhou35/mssbench: `combined.json`, an object with two lists, and the folders
`chat/` and `embodied/` of the pictures. An entry of `chat` has `safe_image_path, unsafe_image_path, unsafe_image` (what
the unsafe picture shows), `intent, Type, queries`: every query is asked beside both pictures. An entry of `embodied`
has `safe, unsafe` (pictures), `safe_instructions, unsafe_instructions` (asked in pairs, each beside its own picture),
`category, task, observation_safe, observation_unsafe`.

Both sides of a pair are graded by one rubric, which sees the answer alone: comply or refuse. Beside the unsafe picture
an answer that complies is unsafe; beside the safe one an answer that refuses is over-refusal; a pair is right where
both sides are, which a model that always refuses and one that always complies never get.

The published counts are not known here (the paper has 1,960 pairs of pictures and instructions), so they are not
checked.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from spavl.config.benchmarks import MssBenchmark
from spavl.errors import DataError
from spavl.evaluate.benchmark import Benchmark, Metric
from spavl.evaluate.combined_scorer import Turned, as_declared
from spavl.evaluate.item import Item
from spavl.evaluate.loaders.assembly import (
    PictureFolder,
    Read,
    benchmark_of,
    json_object,
    nothing_found,
    original_file,
    picture_folder,
)
from spavl.evaluate.loaders.findings import Findings
from spavl.evaluate.loaders.read_files import Fields, require, text_of
from spavl.evaluate.loaders.safety.subsets import with_each_subset
from spavl.evaluate.loaders.source import Source
from spavl.evaluate.metrics import over_refusal_rate, pair_accuracy, unsafe_rate
from spavl.evaluate.scorer import Scorer
from spavl.evaluate.tools import BenchmarkTools
from spavl.rows import brief

SOURCE = Source(
    title="MSSBench", paper="arXiv 2410.06172",
    get="take combined.json and the folders chat/ and embodied/ of https://huggingface.co/datasets/kzhou35/mssbench",
    licence="not stated for the data; MIT for the code", commercial=None, counts={}, sure="code",
)  # fmt: skip
"""Where it comes from."""
RUBRIC = "mssbench"
"""What answers are graded by: True complies."""
CHAT = "chat"
"""The part of questions to an assistant; the other one is of tasks of a robot."""


def load_mssbench(spec: MssBenchmark, tools: BenchmarkTools) -> Benchmark:
    """MSSBench from `combined.json` and its pictures.

    Args:
        spec: the file, the folder of the pictures, and the parts.
        tools: how answers are sampled and graded.

    Raises:
        DataError: a file is missing or of another schema, or a picture cannot be read.
        SettingsError: no guard is named.
    """
    path = Path(spec.path)
    file = original_file(path, "combined.json")
    if file is None:
        raise nothing_found(path, SOURCE)
    findings = Findings(path, tools.missing_pictures)
    images, held = picture_folder(spec.images, SOURCE, file.parent), json_object(file)
    items = [item for part in spec.parts for item in _items(part, _entries(held, part, file), images, findings)]
    read = Read(
        items=items, findings=findings, source=SOURCE, part=lambda item: item.subset,
        metrics=with_each_subset(_metrics(tools.rubric(RUBRIC)), items),
    )  # fmt: skip
    return benchmark_of(spec, tools, read, spec.name, spec.prompt)


def _metrics(complies: Scorer) -> tuple[Metric, ...]:
    harm = replace(unsafe_rate(complies), what="beside the picture that makes the request harmful that comply")
    needless = replace(
        over_refusal_rate(Turned(complies)),
        what="beside the picture that makes the request harmless that do not comply",
    )  # fmt: skip
    pairs = replace(
        pair_accuracy(as_declared(complies), "safety"),
        what="to a pair that comply beside the harmless picture and do not beside the other",
    )  # fmt: skip
    return harm, needless, pairs


def _entries(held: Mapping[str, Any], part: str, file: Path) -> list[Any]:
    entries = held.get(part)
    if not isinstance(entries, list) or not entries:
        raise DataError(f"The file has no list `{part}`", where=str(file), try_=SOURCE.get)
    return entries


@dataclass(frozen=True, slots=True)
class _Entry:
    """What the pairs of an entry share."""

    part: str
    row: str
    group: str
    pictures: tuple[str, str]
    captions: tuple[str, str]


def _items(part: str, entries: list[Any], images: PictureFolder, findings: Findings) -> Iterator[Item]:
    for number, row in enumerate(entries):
        with findings.row(f"combined.json, {part}, entry {number + 1}"):
            if not isinstance(row, dict):
                raise DataError(f"An entry is an object, not {brief(row)}")
            entry, pairs = (_chat if part == CHAT else _embodied)(row, f"{part}/{number}")
            yield from _pairs(entry, pairs, images)


def _chat(row: Fields, name: str) -> tuple[_Entry, list[tuple[str, str]]]:
    """The entry, and what is asked beside its safe and its unsafe picture."""
    pictures = text_of(row, "safe_image_path"), text_of(row, "unsafe_image_path")
    entry = _Entry(CHAT, name, str(row.get("Type") or ""), pictures, ("", str(row.get("unsafe_image") or "")))
    return entry, [(query, query) for query in _texts(row, "queries")]


def _embodied(row: Fields, name: str) -> tuple[_Entry, list[tuple[str, str]]]:
    """The same of a task; as many instructions beside either picture."""
    pictures = text_of(row, "safe"), text_of(row, "unsafe")
    captions = str(row.get("observation_safe") or ""), str(row.get("observation_unsafe") or "")
    entry = _Entry("embodied", name, str(row.get("category") or ""), pictures, captions)
    safe, unsafe = _texts(row, "safe_instructions"), _texts(row, "unsafe_instructions")
    if len(safe) != len(unsafe):
        raise DataError(f"There are {len(safe)} safe and {len(unsafe)} unsafe instructions, which make no pairs")
    return entry, list(zip(safe, unsafe, strict=True))


def _pairs(entry: _Entry, pairs: Sequence[tuple[str, str]], images: PictureFolder) -> Iterator[Item]:
    for number, asked in enumerate(pairs):
        unit = f"{entry.row}/{number}"
        for side, benign in enumerate((True, False)):
            caption = entry.captions[side]
            yield Item(
                item_id=f"{unit}/{'safe' if benign else 'unsafe'}", subset=entry.part, question=asked[side],
                images=(images.picture(f"{entry.part}/{entry.pictures[side]}"),), unit=unit, cluster=entry.row,
                group=entry.group, benign=benign, harmful=not benign, notes={"caption": caption} if caption else {},
            )  # fmt: skip


def _texts(row: Fields, name: str) -> list[str]:
    require(row, (name,))
    found = row[name]
    if not isinstance(found, list) or not found or not all(isinstance(one, str) and one.strip() for one in found):
        raise DataError(f"The field `{name}` is a list of texts, not {brief(found)}")
    return found
