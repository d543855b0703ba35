"""`align.saving.merged=false`: what is left is an adapter, and every later verb takes it for the model that it is."""

from __future__ import annotations

import io
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from tests.flow.conftest import Walk, manifest

WORDS = ("small.yaml", "align.freeze.language=lora", "align.freeze.projector=frozen", "align.saving.merged=false")


def _pairs(path: Path) -> None:
    def row(number: int) -> dict[str, object]:
        buffer = io.BytesIO()
        Image.new("RGB", (48, 48), (number * 20, 90, 120)).save(buffer, "PNG")
        return {
            "image": {"bytes": buffer.getvalue(), "path": f"{number}.png"}, "question": "what object is shown ?",
            "chosen": "sorry , i cannot help with this .", "rejected": "yes .", "image_name": f"{number}.png",
        }  # fmt: skip

    pq.write_table(pa.Table.from_pylist([row(number) for number in range(8)]), path)


def test_an_adapter_is_what_is_made_kept_examined_and_reported(walk: Walk, tmp_path: Path) -> None:
    _pairs(tmp_path / "train.parquet")
    made = walk("align", *WORDS, "--pairs", "train.parquet")
    assert "run/align/dpo/adapter" in made.stdout
    assert not (tmp_path / "run/align/dpo/checkpoint").exists()
    assert "kept" in walk("align", *WORDS, "--pairs", "train.parquet").stdout
    walk("evaluate", *WORDS)
    assert list(manifest(tmp_path / "run")["models"]) == ["base", "dpo"]
    walk("report", "run", "--out", "page.html", "--limit", "0")
    page = (tmp_path / "page.html").read_text()
    assert "dpo" in page and not (tmp_path / "run" / "report.html").exists()
