"""`align.saving.merged=false`: what is left is an adapter, and every later command takes it as the trained model."""

from __future__ import annotations

from pathlib import Path

from tests.end_to_end.conftest import RunCommand, manifest, write_pairs

ARGUMENTS = ("small.yaml", "align.freeze.language=lora", "align.freeze.projector=frozen", "align.saving.merged=false")


def test_an_adapter_is_made_kept_evaluated_and_reported(spavl: RunCommand, tmp_path: Path) -> None:
    write_pairs(tmp_path / "train.parquet", 8)
    made = spavl("align", *ARGUMENTS, "--pairs", "train.parquet")
    assert "run/align/dpo/adapter" in made.stdout
    assert not (tmp_path / "run/align/dpo/checkpoint").exists()
    assert "kept" in spavl("align", *ARGUMENTS, "--pairs", "train.parquet").stdout
    spavl("evaluate", *ARGUMENTS)
    assert list(manifest(tmp_path / "run")["models"]) == ["base", "dpo"]
    spavl("report", "run", "--out", "page.html", "--limit", "0")
    page = (tmp_path / "page.html").read_text()
    assert "dpo" in page and not (tmp_path / "run" / "report.html").exists()
