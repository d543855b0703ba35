"""100,000 JPEGs of 640 x 480 through `collect`: time, memory and what becomes of planted duplicates; about an hour.

    python -m bench.building.pictures --json FILE [--pictures N]

It needs about 150 KB of disk for each picture. Every size is a process of its own.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bench.measures import Measure, run
from spavl.config import Settings
from spavl.config.build import BuildSettings, CollectSettings
from spavl.dataset.collect.measured import Tool
from spavl.dataset.collect.ocr import TextFinder
from spavl.dataset.collect.tools import EncoderTool
from spavl.pipeline.runner import LocalRunner
from spavl.pipeline.session import Session
from spavl.pipeline.stages import pipeline_of
from spavl.pipeline.walk import walk
from spavl.progress import NoProgress
from spavl.run import peak_memory_mb

COUNT = 100_000
"""Pictures of the whole benchmark."""
SHARES = (0.1, 0.3, 1.0)
"""Parts of them by which memory is compared."""
SIZE = (640, 480)
"""Width and height."""
SEED = 20261126
"""Of the pictures."""
EVERY = 100
"""Of so many pictures one is the bytes of another one, and one is another one, smaller and encoded again."""
SUBCATEGORY = "weapon"
"""Folder that they lie in."""
MINUTES = 15.0
"""Floor of the whole, on two cores."""
TOOLS = 24
"""Pictures that each costly tool measures."""


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--pictures", type=int, default=COUNT)
    parser.add_argument("--once", type=Path)
    options, rest = parser.parse_known_args()
    if options.once:
        print(json.dumps(collect_once(options.once)))
    else:
        run(partial(measures, options.pictures), rest)


def measures(count: int = COUNT) -> list[Measure]:
    """Time, memory, duplicates; and what costly tools take for a picture.

    Args:
        count: pictures.
    """
    sizes = [round(share * count) for share in SHARES]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write(folder / "all" / "pictures" / SUBCATEGORY, count)
        found = [_in_process(_part(folder, size, count)) for size in sizes]
        again = _in_process(folder / "all")
    whole, counts = found[-1], found[-1]["counts"]
    planted = count // EVERY
    per_picture = 1000 * whole["seconds"] / count
    is_whole = count >= COUNT
    growth = (found[-1]["peak_mb"] - found[0]["peak_mb"]) / (sizes[-1] - sizes[0]) * COUNT
    how = (
        f"{count:,} JPEGs, {whole['cpu'] / count * 1000:.1f} ms of processor time each, {whole['bytes'] / count:,.0f} B"
    )
    return [
        Measure(f"collect of {count:,} pictures: minutes", whole["seconds"] / 60, MINUTES * count / COUNT, "min",
                "lower", f"decode, size, SHA-256, exact and PDQ duplicates, copy; {how}"),
        Measure("collect: a picture", per_picture, None, "ms", "lower", how),
        Measure("collect: peak memory", whole["peak_mb"], None, "MB", "lower",
                ", ".join(f"{size:,}: {one['peak_mb']:.0f} MB" for size, one in zip(sizes, found, strict=True))),
        Measure("collect: growth of peak memory by 100k pictures", growth, 100.0 if is_whole else None, "MB", "lower",
                f"from {sizes[0]:,} to {sizes[-1]:,} pictures; files mapped into memory count"),
        Measure("collect: planted exact duplicates dropped", counts.get("exact duplicate", 0) / planted, 1.0, "",
                "higher", f"{planted:,} planted"),
        Measure("collect: planted smaller copies dropped", counts.get("near duplicate", 0) / planted, (0.98, 1.001), "",
                "between", f"{planted:,} planted; above 1 others would be dropped too"),
        Measure("collect: the same again, nothing changed", again["seconds"], None, "s", "lower",
                "every file is looked at for a change, none is opened"),
        *_tools(),
    ]  # fmt: skip


def write(folder: Path, count: int) -> None:
    """Write the pictures.

    Args:
        folder: receives them.
        count: how many.
    """
    folder.mkdir(parents=True)
    with ProcessPoolExecutor() as pool:
        for _ in pool.map(partial(_write_some, folder), range(0, count, EVERY), [count] * len(range(0, count, EVERY))):
            pass


def _write_some(folder: Path, start: int, count: int) -> None:
    for number in range(start, min(start + EVERY, count)):
        last = number % EVERY
        data = encoded(number - last) if last == EVERY - 1 else encoded(number)
        if last == EVERY - 2:
            out = io.BytesIO()
            Image.open(io.BytesIO(encoded(number - last))).resize((480, 360)).save(out, "JPEG", quality=70)
            data = out.getvalue()
        (folder / f"{number:07}.jpg").write_bytes(data)


def encoded(number: int) -> bytes:
    """A picture of soft colours, sharp rectangles and grain, as a JPEG of varied quality.

    Args:
        number: decides everything.
    """
    random = np.random.default_rng((SEED, number))
    soft = Image.fromarray(random.integers(0, 256, (9, 12, 3), np.uint8)).resize(SIZE, Image.Resampling.BICUBIC)
    shown = np.asarray(soft).astype(np.int16)
    for _ in range(6):
        x, y = random.integers(0, SIZE[0] - 90), random.integers(0, SIZE[1] - 90)
        shown[y : y + random.integers(20, 90), x : x + random.integers(20, 90)] += random.integers(-90, 90, 3, np.int16)
    shown += np.roll(_grain(), int(random.integers(0, SIZE[0])), axis=1)
    out = io.BytesIO()
    Image.fromarray(np.clip(shown, 0, 255).astype(np.uint8)).save(out, "JPEG", quality=int(random.integers(60, 95)))
    return out.getvalue()


@cache
def _grain() -> NDArray[np.int16]:
    return np.random.default_rng(SEED).integers(-8, 9, (SIZE[1], SIZE[0], 3), np.int16)


def _part(folder: Path, size: int, count: int) -> Path:
    """A folder with the first so many of the pictures, by hard links."""
    if size == count:
        return folder / "all"
    part = folder / f"{size}"
    (part / "pictures" / SUBCATEGORY).mkdir(parents=True)
    for number in range(size):
        name = f"{SUBCATEGORY}/{number:07}.jpg"
        os.link(folder / "all" / "pictures" / name, part / "pictures" / name)
    return part


def collect_once(folder: Path) -> dict[str, Any]:
    """Collect the pictures of a folder, and what it took.

    Args:
        folder: of pictures, run and call store.
    """
    settings = Settings(
        out=str(folder / "run"), store=str(folder / "calls.sqlite"),
        build=BuildSettings(collect=CollectSettings(folder=str(folder / "pictures"))),
    )  # fmt: skip
    began, cpu = time.perf_counter(), time.process_time()
    with Session(settings, NoProgress()) as session:
        walk(session, pipeline_of(settings, allow_code=False)[:1], LocalRunner(session))
        counts = session.run.manifest()["counts"]["collect"]
    return {
        "seconds": time.perf_counter() - began, "cpu": time.process_time() - cpu, "peak_mb": peak_memory_mb(),
        "counts": counts, "bytes": sum(file.stat().st_size for file in (folder / "pictures").rglob("*.jpg")),
    }  # fmt: skip


def _in_process(folder: Path) -> dict[str, Any]:
    command = [sys.executable, "-m", "bench.building.pictures", "--once", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def _tools() -> list[Measure]:
    """What a picture takes beside, with tools on this machine."""
    pictures = [Image.open(io.BytesIO(encoded(number))).convert("RGB") for number in range(TOOLS)]
    return [
        Measure(f"beside it, a picture: {name}", _milliseconds(tool, pictures), None, "ms", "lower", how)
        for name, tool, how in _opened_tools()
    ]


def _opened_tools() -> Iterator[tuple[str, Tool, str]]:
    from spavl.models.backends.local_encoder import open_encoder

    yield "text by OCR", TextFinder(), "RapidOCR, detection alone, PP-OCRv6 small at 640 pixels"
    tower = EncoderTool(open_encoder("miniworld:base", device="cpu"))
    yield "embedding, miniature tower", tower, "the tower of the miniature world, which is far smaller than CLIP"
    with tempfile.TemporaryDirectory() as folder:
        yield "embedding, ViT-B/32 of CLIP", EncoderTool(open_encoder(_clip(folder), device="cpu")), "random weights"
        yield "classifier, ViT-B/16", _classifier(folder), "random weights"


def _clip(folder: str) -> str:
    """A CLIP of the usual size with random weights, saved as a checkpoint: time does not depend on weights."""
    from transformers import CLIPConfig, CLIPImageProcessorPil, CLIPModel

    path = f"{folder}/clip"
    CLIPModel(CLIPConfig()).save_pretrained(path)
    CLIPImageProcessorPil().save_pretrained(path)
    return path


def _classifier(folder: str) -> Tool:
    from transformers import ViTConfig, ViTForImageClassification, ViTImageProcessorPil

    from spavl.models.backends.local_classifier import open_classifier

    path = f"{folder}/classifier"
    ViTForImageClassification(ViTConfig(num_labels=2)).save_pretrained(path)
    ViTImageProcessorPil().save_pretrained(path)
    return open_classifier(path, "cpu")


def _milliseconds(tool: Tool, pictures: Sequence[Image.Image]) -> float:
    tool.measure(pictures[:1])
    began = time.perf_counter()
    tool.measure(pictures)
    return 1000 * (time.perf_counter() - began) / len(pictures)


if __name__ == "__main__":
    main()
