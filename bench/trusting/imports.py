"""Imports at real size: a million rows in one file, SPA-VL's size with its meta files, and every form read back.

python -m bench.trusting.imports [--json FILE]

Texts are placeholders of the length of real ones. Each import is a process of its own; memory is the kernel's
high-water mark of its resident pages. `SPAVL_BENCH_ROWS=20000` makes all of it smaller. Takes ten minutes and 4 GB of
disk. Linux only.
"""

from __future__ import annotations

import json
import os
import random
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
from PIL import Image

from bench.measures import Measure, run
from spavl.interchange.read_spa_vl_meta import MODELS, TYPES
from spavl.pipeline.imports import import_pairs
from spavl.preferences.dataset import open_dataset
from spavl.preferences.pairs import read_rows
from spavl.preferences.sources import find_pairs
from spavl.tables import write_batches
from spavl.tables.query import query
from tests.preferences.public_forms import WRITERS, Talk

ROWS = int(os.environ.get("SPAVL_BENCH_ROWS", "1_000_000"))
"""Rows of the one file."""
PAIRS = ROWS // 10
"""Pairs of the published size, with meta files."""
PICTURES = 50
"""Pictures that the rows of the one file show."""
WORDS = 60
"""Words of an answer."""
_CHILD = "import sys; from bench.trusting.imports import child; child(*sys.argv[1:])"


def measures() -> list[Measure]:
    """All rows of the table."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        return [*_one_file(folder), *_joined(folder / "hub"), _round_trips(folder / "forms")]


def child(what: str, source: str, out: str) -> None:
    """Open or import a source, and print seconds, CPU seconds and the most memory; for a process of its own.

    Args:
        what: `open` or `import`.
        source: the file or folder.
        out: the cache, or the folder of the import.
    """
    start = time.monotonic()
    if what == "open":
        open_dataset(source, cache=Path(out))
    else:
        import_pairs(source, Path(out))
    used = resource.getrusage(resource.RUSAGE_SELF)
    found = {"seconds": time.monotonic() - start, "cpu": used.ru_utime + used.ru_stime, "memory": used.ru_maxrss / 1024}
    sys.stdout.write(json.dumps(found) + "\n")


def _measured(what: str, source: Path, out: Path) -> dict[str, float]:
    done = subprocess.run(
        [sys.executable, "-c", _CHILD, what, str(source), str(out)], check=True, capture_output=True, text=True
    )
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def _one_file(folder: Path) -> Iterator[Measure]:
    source = folder / "one" / "train.jsonl"
    _write_one_file(source)
    for what, name in (("open", "opened for queries"), ("import", "imported")):
        found = _measured(what, source, folder / what)
        how = f"one JSONL file of {source.stat().st_size / 1e9:.1f} GB, {PICTURES} pictures by path"
        yield Measure(f"{ROWS:,} rows in one file, {name}: most memory", found["memory"], 1024, "MB", "lower", how)
        cpu = f"{ROWS / found['cpu']:,.0f} a CPU second; {how}"
        yield Measure(f"{ROWS:,} rows in one file, {name}", ROWS / found["seconds"], None, "rows/s", "higher", cpu)
    (rows,) = query("SELECT count(*), count(DISTINCT pair_id) FROM pairs", pairs=folder / "import/data/train.parquet")
    yield Measure(
        "rows of the one file that are in the import", rows[0] / ROWS, 1.0, "", "higher", "share; all are valid"
    )


def _write_one_file(path: Path) -> None:
    path.parent.mkdir(parents=True)
    for n in range(PICTURES):
        (path.parent / f"{n}.png").write_bytes(_png((n, 2 * n, 100)))
    said = _Words(0)
    with path.open("w") as file:
        for n in range(ROWS):
            row = {"image": f"{n % PICTURES}.png", "question": f"request {n}", "class3": f"kind {n % 53}",
                   "chosen": f"chosen {n} {said()}", "rejected": f"rejected {n} {said()}"}  # fmt: skip
            file.write(json.dumps(row) + "\n")


def _png(colour: tuple[int, int, int]) -> bytes:
    held = BytesIO()
    Image.new("RGB", (6, 4), colour).save(held, "PNG")
    return held.getvalue()


class _Words:
    """Texts of random words, from a pool, so that making them takes no time.

    Args:
        seed: decides them.
    """

    def __init__(self, seed: int) -> None:
        drawn = random.Random(seed)
        self._pool = [" ".join(drawn.choices(("word", "other", "further", "placeholder"), k=WORDS)) for _ in range(97)]
        self._next = 0

    def __call__(self) -> str:
        self._next = (self._next + 1) % len(self._pool)
        return self._pool[self._next]


# ---- SPA-VL with its meta files


def _joined(folder: Path) -> Iterator[Measure]:
    _write_published(folder)
    found = _measured("import", folder, folder.parent / "spa-vl")
    note = json.loads((folder.parent / "spa-vl" / "import.json").read_text("utf-8"))
    size = sum(path.stat().st_size for path in folder.rglob("*.json")) / 1e6
    how = f"synthetic files in the published layout; meta files of {size:,.0f} MB, {PAIRS * 12:,} answers of 12 models"
    yield Measure(f"{PAIRS:,} pairs of SPA-VL with meta files: most memory", found["memory"], 1024, "MB", "lower", how)
    cpu = f"{PAIRS / found['cpu']:,.0f} a CPU second; {how}"
    yield Measure(f"{PAIRS:,} pairs of SPA-VL with meta files", PAIRS / found["seconds"], None, "rows/s", "higher", cpu)
    right = query(
        "SELECT count(*) FROM pairs WHERE class3 = 'kind ' || (regexp_extract(question, '[0-9]+')::INT // 3 % 53) AND "
        "question_type IS NOT NULL AND chosen_source = split_part(chosen, ' ', 1) AND "
        "rejected_source = split_part(rejected, ' ', 1) AND NOT rejected_safe AND chosen_safe",
        pairs=folder.parent / "spa-vl/data/train.parquet",
    )[0][0]
    said = f"share of {PAIRS:,}; {json.dumps(note['joined']['empty'])} stay empty"
    yield Measure("pairs that get their class, type, sources and outcomes", right / PAIRS, 1.0, "", "higher", said)


def _write_published(folder: Path) -> None:
    """Three questions a picture, one of each type; the first model's answer is chosen, the last one's rejected."""
    said = _Words(1)
    texts = ("question", "chosen", "rejected", "image_name")
    image_type = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    schema = pa.schema([("image", image_type), *((name, pa.string()) for name in texts)])
    picture = _png((1, 2, 3))
    names = list(TYPES)
    files = {}
    for part in ("prefer", "model_answer", "safety"):
        (folder / "meta_files" / part).mkdir(parents=True)
        for name in names:
            files[part, name] = _Array(folder / "meta_files" / part / f"{name}.json")
    (folder / "meta_files" / "image_info").mkdir()
    images = _Array(folder / "meta_files" / "image_info" / "meta.json")

    def batches() -> Iterator[pa.Table]:
        rows: list[dict[str, Any]] = []
        for n in range(PAIRS):
            image, question, kind = f"{n // 3}.jpg", f"request {n}", names[n % 3]
            if n % 3 == 0:
                images.add({"image": image, "class1": "domain", "class2": "part", "class3": f"kind {n // 3 % 53}"})
            answers = {model: f"{model} {said()}" for model in MODELS}
            first, last = answers[MODELS[n % 12]], answers[MODELS[(n + 5) % 12]]
            asked = {"image": image, "question": question}
            files["model_answer", kind].add(asked | answers)
            files["safety", kind].add(
                asked | {model: "unsafe" if answers[model] == last else "safe" for model in MODELS}
            )
            files["prefer", kind].add(asked | {"chosen": first, "rejected": last, "reason1": "a", "reason2": "b"})
            rows.append({"image": {"bytes": picture, "path": image}, "question": question, "chosen": first,
                         "rejected": last, "image_name": image})  # fmt: skip
            if len(rows) == 100 or n == PAIRS - 1:
                yield pa.Table.from_pylist(rows, schema=schema)
                rows = []

    write_batches(folder / "data" / "train-00000-of-00001.parquet", schema, batches())
    for file in (*files.values(), images):
        file.close()


class _Array:
    """A JSON array that is written member by member.

    Args:
        path: of the file.
    """

    def __init__(self, path: Path) -> None:
        self._file = path.open("w")
        self._begun = False

    def add(self, value: Any) -> None:
        self._file.write(("," if self._begun else "[") + json.dumps(value))
        self._begun = True

    def close(self) -> None:
        self._file.write("]" if self._begun else "[]")
        self._file.close()


# ---- every form, there and back


def _round_trips(folder: Path, talks: int = 200) -> Measure:
    """Share of conversations that come back the same from an import, in every form that files have."""
    folder.mkdir()
    (folder / "0.png").write_bytes(_png((255, 0, 0)))
    same = 0
    for number, (form, write) in enumerate(WRITERS.items()):
        drawn, source = random.Random(form), folder / f"{number}.jsonl"
        rows = []
        for talk in (_talk(drawn) for _ in range(talks)):
            rows.append(write(talk) | {"images": ["0.png"] * talk.pictures, "class3": "kind", "chosen_safe": True})
        source.write_text("".join(json.dumps(row) + "\n" for row in rows))
        import_pairs(str(source), folder / f"out-{number}")
        back = read_rows(find_pairs(folder / f"out-{number}"))
        same += sum(one.digest == two.digest and one.about == two.about and one.pair_id == two.pair_id
                    for one, two in zip(read_rows(find_pairs(source)), back, strict=True))  # fmt: skip
    how = f"{talks} random conversations of one to three turns in each of {len(WRITERS)} forms; all that a pair holds"
    return Measure("pairs that come back the same from an import", same / talks / len(WRITERS), 1.0, "", "higher", how)


def _talk(drawn: random.Random) -> Talk:
    asked = drawn.randint(1, 3)
    texts = [f"turn {n} {drawn.random()}" for n in range(2 * asked - 1)]
    turns = tuple((text, drawn.randint(0, 2) if n % 2 == 0 else 0) for n, text in enumerate(texts))
    return Talk(turns, f"chosen {drawn.random()}", "rejected", drawn.choice(("", "be kind")))


if __name__ == "__main__":
    run(measures)
