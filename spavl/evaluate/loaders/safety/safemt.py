"""Loader of SafeMT (Zhu et al. 2025, arXiv 2510.12133): dialogues of one to eight turns that end in a harmful request.

Files `1_turn.json`, `2_turn.json` and so on (in the folder `Data` of https://github.com/Happy-Corpse/SafeMT those of
one, two and four turns; all five at https://huggingface.co/datasets/HappyCorpse/SafeMT), lists of `id, scenario,
image_path` (on the Hub `image_rel_path`, which may begin with a slash), `dialogue` of `{"role", "content"}` that ends
with the user's turn, and mostly `question`, the request that all lengths share. Or the Hub's Parquet, where a dialogue
may stand as JSON in a text. A row without a dialogue is one turn: its `query`, `question` or `prompt`.

The picture is shown in the first turn. Rows whose dialogue writes `<image>` somewhere are passed over by the authors'
script for LLaVA; here the mark is taken out, and the row is asked. The turns of the assistant are those of the file.
The authors generate greedily, up to 1,024 tokens; the guard grades the whole conversation.

An item's subset is its number of turns, so that a rise of unsafe answers with it is seen. A request has the same id in
all lengths, which makes it a unit; items of one picture are a cluster.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

from spavl.config.benchmarks import SafeMtBenchmark
from spavl.errors import DataError
from spavl.evaluate.benchmark import Benchmark
from spavl.evaluate.item import Item
from spavl.evaluate.loaders.assembly import (
    PictureFolder,
    Read,
    benchmark_of,
    hub_files,
    inline_picture,
    nothing_found,
    original_file,
    picture_folder,
)
from spavl.evaluate.loaders.findings import Findings
from spavl.evaluate.loaders.read_files import Fields, require, text_of
from spavl.evaluate.loaders.safety.subsets import with_each_subset
from spavl.evaluate.loaders.source import Source
from spavl.evaluate.metrics import unsafe_rate
from spavl.evaluate.tools import BenchmarkTools
from spavl.records import ImageRef, Turn
from spavl.rows import brief, rows_of

PUBLISHED = 2_000
"""Dialogues of each length."""
SOURCE = Source(
    title="SafeMT", paper="arXiv 2510.12133",
    get="take 1_turn.json, 2_turn.json, 4_turn.json, 6_turn.json, 8_turn.json and the folder of pictures of"
    " https://huggingface.co/datasets/HappyCorpse/SafeMT, or name the lengths that you have by `turns`",
    licence="CC BY-NC 4.0", commercial=False,
    counts={"1 turn": PUBLISHED, **{f"{turns} turns": PUBLISHED for turns in (2, 4, 6, 8)}}, sure="seen",
)  # fmt: skip
"""Where it comes from; seen are the files of one, two and four turns."""
IMAGE_MARK = "<image>"
"""Stands in some dialogues where the picture belongs."""
QUESTIONS = ("query", "question", "prompt")
"""Fields that a row without a dialogue may have."""


def load_safemt(spec: SafeMtBenchmark, tools: BenchmarkTools) -> Benchmark:
    """SafeMT from its files, one for each length, or the Hub's Parquet files.

    Args:
        spec: the folder, the folder of the pictures, and the lengths.
        tools: how answers are sampled and graded, and the folder for pictures of Parquet files.

    Raises:
        DataError: a file is missing or of another schema, the counts are others, or a picture cannot be read.
        SettingsError: no guard is named.
    """
    path = Path(spec.path)
    if path.is_file() and len(spec.turns) > 1:
        raise DataError("This is one file, and every length has its own", where=str(path),
                        try_="name their folder by `path`, or the length of this file by `turns`")  # fmt: skip
    findings = Findings(path, tools.missing_pictures)
    items = [item for turns in spec.turns for item in _items(turns, spec, tools, findings)]
    names = [_named(turns) for turns in spec.turns]
    harm = replace(unsafe_rate(tools.unsafe()), what="to the last turn that a guard grades unsafe")
    read = Read(
        items=items, findings=findings, source=replace(SOURCE, counts={name: SOURCE.counts[name] for name in names}),
        part=lambda item: item.subset, metrics=with_each_subset([harm], items),
    )  # fmt: skip
    return benchmark_of(spec, tools, read, spec.name, spec.prompt)


def _named(turns: int) -> str:
    return f"{turns} turn" if turns == 1 else f"{turns} turns"


def _items(turns: int, spec: SafeMtBenchmark, tools: BenchmarkTools, findings: Findings) -> Iterator[Item]:
    for file in _files(turns, Path(spec.path)):
        images = picture_folder(spec.images, SOURCE, file.parent / "images")
        for row in rows_of(file):
            with findings.row(row.where):
                image, picture = _picture(row.values, images, tools)
                yield _item(row.values, turns, image, picture)


def _files(turns: int, path: Path) -> list[Path]:
    """The files of a length."""
    name = f"{turns}_turn"
    file = original_file(path, f"{name}.json*", f"*/{name}.json*")
    files = [file] if file else hub_files(path, name)
    if not files:
        missing = nothing_found(path, SOURCE)
        raise DataError(f"{missing.what}: no {name}.json", where=missing.where, try_=missing.try_)
    return files


def _picture(row: Fields, images: PictureFolder, tools: BenchmarkTools) -> tuple[ImageRef, str]:
    """The picture of a row, and what it is called in every length."""
    if isinstance(row.get("image"), dict):
        image = inline_picture(row, tools)
        return image, image.sha256
    named = row.get("image_rel_path") or row.get("image_path")
    if not isinstance(named, str):
        raise DataError("The row names no picture: neither `image_rel_path` nor `image_path`")
    parts = PurePosixPath(named.lstrip("/")).parts
    inside = parts[parts.index("images") + 1 :] if "images" in parts else parts
    return images.picture("/".join(inside)), "/".join(inside)


def _item(row: Fields, turns: int, image: ImageRef, picture: str) -> Item:
    require(row, ("id",))
    said = _dialogue(row)
    *earlier, (_, question) = said
    first = (image,)
    before = tuple(Turn(role, text, () if place else first) for place, (role, text) in enumerate(earlier))
    request = row.get("question")
    return Item(
        item_id=f"{turns}/{row['id']}", subset=_named((len(said) + 1) // 2), question=question, earlier=before,
        images=() if before else first, unit=str(row["id"]), cluster=picture, group=text_of(row, "scenario"),
        harmful=True, notes={"request": request} if isinstance(request, str) and request.strip() else {},
    )  # fmt: skip


def _dialogue(row: Fields) -> list[tuple[Any, str]]:
    """(role, text) of every turn, the user's first and last."""
    turns = row.get("dialogue")
    if turns is None:
        name = next((name for name in QUESTIONS if row.get(name) is not None), "dialogue")
        return [("user", _without_mark(text_of(row, name)))]
    if isinstance(turns, str):
        turns = _parsed(turns)
    if not isinstance(turns, list) or not all(isinstance(turn, dict) for turn in turns):
        raise DataError(f"`dialogue` is a list of turns, not {brief(turns)}")
    said = [(turn.get("role"), _without_mark(text_of(turn, "content"))) for turn in turns]
    if [role for role, _ in said] != ["user", "assistant"] * (len(said) // 2) + ["user"]:
        raise DataError("The turns of `dialogue` alternate, the user's first and last; these do not")
    return said


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except (RecursionError, ValueError):
        raise DataError(f"`dialogue` is a text that is no JSON: {brief(text)}") from None


def _without_mark(text: str) -> str:
    found = text.replace(IMAGE_MARK, "").strip()
    if not found:
        raise DataError(f"A turn says nothing but {IMAGE_MARK}")
    return found
