"""`align.saving.merged=false`: what is left is an adapter, and every later verb takes it for the model that it is."""

from __future__ import annotations

from pathlib import Path

from tests.flow.conftest import Walk, manifest, write_pairs

WORDS = ("small.yaml", "align.freeze.language=lora", "align.freeze.projector=frozen", "align.saving.merged=false")


def test_an_adapter_is_what_is_made_kept_examined_and_reported(walk: Walk, tmp_path: Path) -> None:
    write_pairs(tmp_path / "train.parquet", 8)
    made = walk("align", *WORDS, "--pairs", "train.parquet")
    assert "run/align/dpo/adapter" in made.stdout
    assert not (tmp_path / "run/align/dpo/checkpoint").exists()
    assert "kept" in walk("align", *WORDS, "--pairs", "train.parquet").stdout
    walk("evaluate", *WORDS)
    assert list(manifest(tmp_path / "run")["models"]) == ["base", "dpo"]
    walk("report", "run", "--out", "page.html", "--limit", "0")
    page = (tmp_path / "page.html").read_text()
    assert "dpo" in page and not (tmp_path / "run" / "report.html").exists()
