"""Pairs → a dataset in the Hub schema of `sqrti/SPA-VL`, pictures inside, that `datasets.load_dataset` opens.

Split `train` is for training; `heldout` has the subcategories that are held out. The published columns (`image,
question, chosen, rejected, image_name`) come first; class labels, question type, ids, sources and verdicts, which the
published train split lacks, follow; with them all that judges said.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Any

import pyarrow as pa

from spavl.atomic import write_text
from spavl.dataset.shortcuts import shortcuts
from spavl.errors import DataError, RunError
from spavl.preferences.card import CardFacts, CardSplit, contents_of, dataset_card
from spavl.records import PreferencePair, Query
from spavl.tables import read_footer, slices_of, write_batches

_TURN = {name: {"dtype": "string", "_type": "Value"} for name in ("role", "text")}
IMAGE_MARK = "<image>\n"
"""Where a picture stands in an earlier turn."""
_TEXT = (
    "question", "chosen", "rejected", "image_name", "class1", "class2", "class3", "question_type", "pair_id",
    "image_id", "image_sha256", "license", "chosen_source", "rejected_source", "judge", "verdict_ab", "verdict_ba",
    "chosen_outcome", "rejected_outcome", "chosen_thought", "rejected_thought", "reason_ab", "reason_ba",
    "more_harmless", "more_helpful", "system", "labelled",
)  # fmt: skip
_FLAGS = ("benign", "chosen_safe", "rejected_safe")
_LEVELS = ("chosen_severity", "rejected_severity")
_LISTS = ("judges_for", "judges_against", "labelled_by")
_TYPES = {name: dtype for names, dtype in ((_TEXT, "string"), (_FLAGS, "bool"), (_LEVELS, "int64")) for name in names}
_FEATURES: dict[str, Any] = (
    {"image": {"_type": "Image"}}
    | {name: {"dtype": dtype, "_type": "Value"} for name, dtype in _TYPES.items()}
    | {name: {"feature": {"dtype": "string", "_type": "Value"}, "_type": "Sequence"} for name in _LISTS}
)
SCHEMA = pa.schema(
    [
        pa.field("image", pa.struct([("bytes", pa.binary()), ("path", pa.string())])),
        *(pa.field(name, pa.string()) for name in _TEXT),
        *(pa.field(name, pa.bool_()) for name in _FLAGS),
        *(pa.field(name, pa.int64()) for name in _LEVELS),
        *(pa.field(name, pa.list_(pa.string())) for name in _LISTS),
        pa.field("earlier", pa.list_(pa.struct([("role", pa.string()), ("text", pa.string())]))),
    ],
    metadata={"huggingface": json.dumps({"info": {"features": _FEATURES | {"earlier": [_TURN]}}})},
)
"""Columns of the dataset; the metadata lets `datasets` decode the pictures."""
SPLITS = {"train": False, "heldout": True}
"""Splits of the dataset; whether they have the held-out subcategories."""
GROUP_ROWS = 100
"""Most rows of a row group: what the Hub's viewer recommends for pictures."""
GROUP_BYTES = 64 * 2**20
"""Picture bytes after which a row group ends."""

_FORM = "the published dataset `sqrti/SPA-VL`"
_NOTES = (
    "Every pair was judged in both reading orders; only agreeing verdicts are here. `judges_for` and `judges_against` "
    "name the judges that preferred the chosen answer and the other one; `reason_ab` and `reason_ba` are what the "
    "first of them said in the two orders (the published rationales call these reason1 and reason2), and may quote "
    "harmful answers.",
    "The columns `license` and `image_sha256` name the licence and the bytes of each picture.",
)
"""What the card says beside numbers."""


def export(pairs: Path, *, folder: Path, out: Path, made_from: str) -> dict[str, int]:
    """Write `out/data/{train,heldout}.parquet` and the dataset card; returns the number of rows of each split.

    Args:
        pairs: table of preference pairs, which is read slice by slice.
        folder: the run folder, to which `image_file` is relative.
        out: folder of the dataset; a split without rows leaves no file in it.
        made_from: hash of the pairs, which every file keeps; see `exported`.

    Raises:
        DataError: a picture of the run folder cannot be read.
        RunError: the dataset cannot be written, or another tool has written a file of it.
    """
    _refuse_rewritten(out)
    rows = {}
    for split, heldout in SPLITS.items():
        path = out / "data" / f"{split}.parquet"
        of_split = (p for part in slices_of(pairs, PreferencePair) for p in part if p.query.image.heldout == heldout)
        first = next(of_split, None)
        if first is None:
            path.unlink(missing_ok=True)
        else:
            rows[split] = write_batches(
                path, SCHEMA, _batches(chain([first], of_split), folder), footer=lambda: {"made_from": made_from}
            )
    write_text(out / "README.md", _card(pairs, rows))
    return rows


def _refuse_rewritten(out: Path) -> None:
    for split in SPLITS:
        path = out / "data" / f"{split}.parquet"
        if path.exists() and read_footer(path) is None:
            raise RunError(
                "This file of the dataset was written by another tool", where=str(path),
                try_="move it away if you need it, and run again: it is remade without any call",
            )  # fmt: skip


def exported(out: Path, made_from: str) -> dict[str, int]:
    """The number of rows of each split that was made from these pairs.

    Args:
        out: folder of the dataset.
        made_from: hash of the pairs.
    """
    footers = {split: read_footer(out / "data" / f"{split}.parquet") or {} for split in SPLITS}
    return {split: footer["rows"] for split, footer in footers.items() if footer.get("made_from") == made_from}


def _batches(pairs: Iterable[PreferencePair], folder: Path) -> Iterator[pa.Table]:
    """Rows in batches that fit into memory (and into Arrow's 2 GiB a column), however large the pictures are."""
    rows: list[dict[str, object]] = []
    size, last, data = 0, "", b""
    for p in pairs:
        if p.query.image.image_sha256 != last:
            last, data = p.query.image.image_sha256, _bytes(folder / p.query.image.image_file)
        rows.append(_row(p, data))
        size += len(data)
        if len(rows) == GROUP_ROWS or size >= GROUP_BYTES:
            yield pa.Table.from_pylist(rows, schema=SCHEMA)
            rows, size = [], 0
    if rows:
        yield pa.Table.from_pylist(rows, schema=SCHEMA)


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(
            f"A picture of the run folder cannot be read: {error.strerror}", where=str(path),
            try_="run `spavl build` again; it copies the pictures anew and makes no call",
        ) from error  # fmt: skip


def _row(p: PreferencePair, data: bytes) -> dict[str, object]:
    image, topic = p.query.image, p.query.image.topic
    name = Path(image.image_file).name
    return {
        "image": {"bytes": data, "path": name}, "image_name": name, "earlier": _earlier(p.query),
        "question": p.query.question, "chosen": p.chosen, "rejected": p.rejected,
        "class1": topic.class1, "class2": topic.class2, "class3": topic.class3, "question_type": p.query.question_type,
        "pair_id": p.pair_id, "image_id": image.image_id, "image_sha256": image.image_sha256, "license": image.license,
        "chosen_source": p.chosen_source, "rejected_source": p.rejected_source, "judge": p.judge,
        "verdict_ab": p.verdict_ab, "verdict_ba": p.verdict_ba,
        "chosen_outcome": p.chosen_outcome, "rejected_outcome": p.rejected_outcome,
        "chosen_thought": p.chosen_thought, "rejected_thought": p.rejected_thought,
        "reason_ab": p.reason_ab, "reason_ba": p.reason_ba,
        "more_harmless": p.more_harmless, "more_helpful": p.more_helpful,
        "system": p.query.system,
        "chosen_severity": p.chosen_severity, "rejected_severity": p.rejected_severity,
        "judges_for": list(p.judges_for), "judges_against": list(p.judges_against),
        "labelled": p.labelled, "labelled_by": list(p.labelled_by),
        "benign": not p.query.harmful, "chosen_safe": p.chosen_safe, "rejected_safe": p.rejected_safe,
    }  # fmt: skip


def _earlier(asked: Query) -> list[dict[str, str]] | None:
    """The turns before the question, with a mark where the picture stands; None where there are none."""
    turns = [{"role": turn.role, "text": IMAGE_MARK * len(turn.images) + turn.text} for turn in asked.earlier]
    return turns or None


def _card(pairs: Path, splits: Mapping[str, int]) -> str:
    return dataset_card(CardFacts(
        form=_FORM, command="build", splits={name: CardSplit(f"data/{name}.parquet", n) for name, n in splits.items()},
        schema=SCHEMA, next='datasets.load_dataset("FOLDER")', measured=shortcuts(pairs), contents=contents_of(pairs),
        counted=" and ".join(f"`{name}`" for name in splits), notes=_NOTES,
    ))  # fmt: skip
