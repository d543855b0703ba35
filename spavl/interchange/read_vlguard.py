"""VLGuard: requests with one answer each, of which no pair can be made; they become labelled requests.

A row of `train.json` has a picture, whether it is `safe`, its category where it is not, and `instr-resp`: one
`instruction` where the picture is unsafe, or a `safe_instruction` and an `unsafe_instruction`. The label of a request
is told by these names alone. The answers are right ones for training (help, or a refusal) and nobody has labelled them:
they are kept in `meta` and graded by none. `spavl qualify` measures a guard of requests on such a file.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any, Final

import pyarrow as pa

from spavl.errors import DataError
from spavl.interchange.read_tally import Tally
from spavl.preferences.hub_file import GROUP_BYTES, GROUP_PICTURES, picture_cell
from spavl.preferences.messages import RowError, text_of
from spavl.preferences.pairs import file_key
from spavl.preferences.picture_values import picture_of, why_missing
from spavl.rows import Row, rows_of

REQUESTS: Final = "instr-resp"
"""Column of the requests, each with its answer."""
LABELS: Mapping[str, str] = {
    "instruction": "unsafe", "unsafe_instruction": "unsafe", "safe_instruction": "safe",
}  # fmt: skip
"""Label of a request, by its name; an `instruction` is about a picture that is unsafe."""
SCHEMA = pa.schema(
    [
        *(pa.field(name, pa.string()) for name in ("id", "question", "label", "category")),
        pa.field("image", pa.struct([("bytes", pa.binary()), ("path", pa.string())])),
        pa.field("meta", pa.struct([("answer", pa.string())])),
    ]
)
"""Columns of labelled requests."""


def is_vlguard(file: Path) -> bool:
    """Whether the first row of a file is VLGuard's.

    Args:
        file: any file; one that cannot be read is none.
    """
    try:
        first = next(rows_of(file), None)
    except DataError:
        return False
    return first is not None and REQUESTS in first.values


def labelled_requests(file: Path, tally: Tally, *, images: Path | None, limit: int | None) -> Iterator[pa.Table]:
    """The requests of a file with their labels and pictures, some at a time.

    Args:
        file: `train.json` or `test.json`.
        tally: counts what is read and left out.
        images: folder of the pictures; None: one beside the file that is named as it is, else that of the file.
        limit: only the first so many requests.

    Raises:
        DataError: the file cannot be read.
    """
    rows: list[dict[str, Any]] = []
    size = 0
    unpacked = file.parent / file.stem  # where VLGuard's own archive is unpacked
    base = images or (unpacked if unpacked.is_dir() else file.parent)
    for row in islice(_requests(rows_of(file), base, tally), limit):
        more = len(row["image"]["bytes"])
        if rows and (len(rows) == GROUP_PICTURES or size + more > GROUP_BYTES):
            yield pa.Table.from_pylist(rows, schema=SCHEMA)
            rows, size = [], 0
        rows.append(row)
        size += more
    if rows:
        yield pa.Table.from_pylist(rows, schema=SCHEMA)


def _requests(rows: Iterable[Row], images: Path, tally: Tally) -> Iterator[dict[str, Any]]:
    key_of = cache(file_key)
    times: Counter[str] = Counter()
    for number, row in enumerate(rows):
        try:
            picture = picture_of(row.values.get("image"), images, key_of)
            if picture is None or (missing := why_missing(picture)):
                raise RowError("there is no picture" if picture is None else missing)
            requests = _parts(row.values)
            cell = picture_cell(picture)
            named = _id(row.values.get("id"), number, times)
        except RowError as error:
            tally.read += 1
            tally.leave_out(error.reason, row.where)
            continue
        for place, (name, request) in enumerate(requests):
            tally.read += 1
            try:
                made = _row(f"{named}-{place}", name, request, row.values, cell)
            except RowError as error:
                tally.leave_out(error.reason, row.where)
                continue
            tally.kept += 1
            yield made


def _id(value: Any, number: int, times: Counter[str]) -> str:
    """The id of a row, told apart from earlier rows of the same id: VLGuard's `train.json` has one twice."""
    whole = isinstance(value, int) and not isinstance(value, bool)
    named = (str(value) if whole else text_of(value, "id")) or f"row{number}"
    times[named] += 1
    return named if times[named] == 1 else f"{named}#{times[named]}"


def _parts(values: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    """The requests of a row, each with the name that tells its label."""
    requests = values.get(REQUESTS)
    if isinstance(requests, str):
        try:
            requests = json.loads(requests)
        except (ValueError, RecursionError):
            raise RowError(f"`{REQUESTS}` is no JSON") from None
    if not isinstance(requests, list) or not all(isinstance(one, Mapping) for one in requests):
        raise RowError(f"`{REQUESTS}` is no list of requests")
    if not requests:
        raise RowError("a row has no requests")
    return [(next((name for name in LABELS if one.get(name) is not None), ""), one) for one in requests]


def _row(
    name: str, kind: str, request: Mapping[str, Any], values: Mapping[str, Any], cell: dict[str, Any]
) -> dict[str, Any]:
    if kind not in LABELS:
        raise RowError(f"a request has none of {', '.join(LABELS)}")
    if "instruction" in request and values.get("safe") is True:
        raise RowError("an `instruction` about a safe picture says nothing of its label")
    categories = [values.get(one) for one in ("harmful_category", "harmful_subcategory")]
    return {
        "id": text_of(name, "id"), "question": text_of(request[kind], kind), "label": LABELS[kind], "image": cell,
        "category": "/".join(one for one in categories if isinstance(one, str) and one) or None,
        "meta": {"answer": text_of(request.get("response"), "response")},
    }  # fmt: skip
