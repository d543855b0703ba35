"""Small benchmark files, and how they are opened."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

from PIL import Image

from spavl.evaluate import Benchmark, BenchmarkTools
from spavl.evaluate.loaders import open_benchmark
from spavl.evaluate.parse import REFUSES
from spavl.models.base import Sampling


def picture(colour: str = "red") -> bytes:
    """A PNG of one colour."""
    buffer = io.BytesIO()
    Image.new("RGB", (6, 6), colour).save(buffer, "PNG")
    return buffer.getvalue()


def opened(spec: Any, tmp_path: Path, *, missing_pictures: Any = "refuse") -> Benchmark:
    """The benchmark of a settings entry."""
    tools = BenchmarkTools(
        name=spec.name, sampling=Sampling(max_tokens=16), pictures=tmp_path / "pictures", seed=0,
        unsafe=lambda: REFUSES, missing_pictures=missing_pictures, rubric=lambda name: REFUSES,
    )  # fmt: skip
    return open_benchmark(spec, tools)


def json_lines(path: Path, rows: list[Any]) -> Path:
    """The file, rows written to it."""
    path.write_text("\n".join(json.dumps(row) for row in rows))
    return path
