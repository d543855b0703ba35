"""Pairs at real size: memory and seconds to the first optimiser step of `align --pairs`, at 1k, 4k and 16k pairs.

python -m bench.align_data [--json FILE]

Files in the published schema, a JPEG of about 100 KB for every three pairs, in row groups of 100; a tiny random LLaVA;
the reference is live. Every training is a process of its own; memory is the proportional set size of its process tree,
looked at twenty times a second, over eight optimiser steps. Takes three minutes and 3 GB of disk.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import psutil
import pyarrow as pa
from PIL import Image

from bench.measures import Measure, run
from spavl.dataset.export import GROUP_ROWS
from spavl.tables import write_batches
from tests.tiny import WORDS, tiny_llava

SIZES = (1_000, 4_000, 16_000)
"""Pairs of the files."""
PER_PICTURE = 3
"""Pairs on one picture."""
PICTURE_BYTES = 100_000
"""About the bytes of a picture's file."""
STEPS = 8
"""Optimiser steps of a training: each holds eight pairs."""
SECONDS_BETWEEN = 0.05
"""Time between two looks at the memory."""
SCHEMA = pa.schema(
    [
        ("image", pa.struct([("bytes", pa.binary()), ("path", pa.string())])),
        *((name, pa.string()) for name in ("question", "chosen", "rejected", "image_name")),
    ]
)
"""Columns of the published train split."""


@dataclass(frozen=True, slots=True)
class Trained:
    """What was measured of one training."""

    peak: float
    """Largest memory of the process tree, in bytes."""
    first_step: float
    """Seconds from the start of the process to the end of its first optimiser step."""


def measures() -> list[Measure]:
    """Rows of the table: memory, then seconds."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        model = tiny_llava(folder / "model")
        files = {size: write_pairs(folder / f"{size}.parquet", size) for size in SIZES}
        first = {size: train(files[size], model, folder / f"run-{size}") for size in SIZES}
        again = train(files[SIZES[-1]], model, folder / f"run-{SIZES[-1]}", name="again")
    least, most = SIZES[0], SIZES[-1]
    peaks = ", ".join(f"{size:,} pairs {one.peak / 1e9:.2f} GB" for size, one in first.items())
    seconds = ", ".join(f"{size:,} pairs {one.first_step:.1f} s" for size, one in first.items())
    how = f"tiny LLaVA, CPU, live reference, {STEPS} steps, {PER_PICTURE} pairs a picture of about 100 KB"
    return [
        Measure("align: peak memory at 16k pairs over 1k", first[most].peak / first[least].peak, 1.2, "", "lower",
                f"process tree, {how}: {peaks}"),
        Measure("align: peak memory at 16k pairs", first[most].peak / 1e9, None, "GB", "lower", how),
        Measure("align: seconds to the first step, 16k pairs", first[most].first_step, 40, "s", "lower",
                f"from the start of the process, nothing converted before, {how}: {seconds}"),
        Measure("align: seconds to the first step, 16k pairs, data seen before", again.first_step, 10, "s", "lower",
                f"another training on the same file, {how}; its peak {again.peak / 1e9:.2f} GB"),
    ]  # fmt: skip


def write_pairs(path: Path, pairs: int) -> Path:
    """A Parquet file of pairs in the published schema; returns its path.

    Args:
        path: the file.
        pairs: how many.
    """
    rng = random.Random(pairs)

    def words(least: int, most: int) -> str:
        return " ".join(rng.choices(WORDS, k=rng.randint(least, most)))

    def rows() -> Iterator[dict[str, object]]:
        for number in range(pairs):
            if number % PER_PICTURE == 0:
                picture = {"bytes": jpeg(number), "path": f"{number}.jpg"}
            yield {"image": picture, "question": words(8, 30), "chosen": words(20, 90), "rejected": words(20, 90),
                   "image_name": picture["path"]}  # fmt: skip

    def groups() -> Iterator[pa.Table]:
        made = rows()
        while some := [row for _, row in zip(range(GROUP_ROWS), made, strict=False)]:
            yield pa.Table.from_pylist(some, schema=SCHEMA)

    write_batches(path, SCHEMA, groups())
    return path


def jpeg(seed: int) -> bytes:
    """A JPEG of about `PICTURE_BYTES`: blurred noise, as large as many photographs on the web.

    Args:
        seed: of the noise.
    """
    noise = np.random.default_rng(seed).integers(0, 256, (120, 160, 3), dtype=np.uint8)
    file = BytesIO()
    Image.fromarray(noise).resize((640, 480), Image.Resampling.BICUBIC).save(file, "JPEG", quality=75)
    return file.getvalue()


def train(pairs: Path, model: Path, out: Path, name: str = "first") -> Trained:
    """Run `spavl align` on a file of pairs and watch it.

    Args:
        pairs: the Parquet file.
        model: the checkpoint.
        out: the run folder; converted pairs are kept in it.
        name: of the training.
    """
    settings = {
        "model": model, "reference.mode": "live", "optimiser.max_steps": STEPS, "saving.log_every": 1,
        "machine.pairs_cache": out / "pairs", "machine.device": "cpu", "seed": len(name),
    }  # fmt: skip
    words = [f"align.{key}={value}" for key, value in settings.items()]
    command = [sys.executable, "-m", "spavl", "align", "--pairs", str(pairs), "--out", str(out), "--name", name, *words]
    out.mkdir(parents=True, exist_ok=True)
    log = out / f"{name}.log"
    with log.open("w") as output:
        began = time.perf_counter()
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, env={**os.environ})
        trained = _watch(process, out / "align" / name / "metrics.jsonl", began)
    if process.returncode:
        raise RuntimeError(log.read_text()[-2000:])
    return trained


def _watch(process: subprocess.Popen[bytes], metrics: Path, began: float) -> Trained:
    """Look at a training until it ends."""
    peak, first_step = 0.0, None
    tree = psutil.Process(process.pid)
    while process.poll() is None:
        peak = max(peak, _memory(tree))
        if first_step is None and metrics.is_file() and metrics.stat().st_size:
            first_step = time.perf_counter() - began
        time.sleep(SECONDS_BETWEEN)
    return Trained(peak, first_step or time.perf_counter() - began)


def _memory(tree: psutil.Process) -> float:
    """Proportional set size of a process and its children; one that has just ended counts nothing."""
    found = 0.0
    for one in [tree, *tree.children(recursive=True)] if tree.is_running() else []:
        try:
            found += one.memory_full_info().pss
        except psutil.Error:
            continue
    return found


if __name__ == "__main__":
    run(measures)
