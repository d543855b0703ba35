"""TRL's own DPOTrainer on both of its forms."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.trusting.exporting.trl_dpo import load
from spavl.pipeline.exports import ExportRequest, export
from spavl.progress import NoProgress
from tests.interchange.conversations import write_source
from tests.tiny import tiny_llava

pytest.importorskip("trl")


@pytest.mark.slow
@pytest.mark.parametrize("form", ["trl", "trl-conversational"])
@pytest.mark.filterwarnings("default")
def test_trl_trains_on_an_export_without_a_warning(form: str, tmp_path: Path) -> None:
    rows = [
        {"question": "what is this", "chosen": "a cup", "rejected": "no", "images": [f"images/{n}.png"] * (n % 3)}
        for n in range(4)
    ]
    source = write_source(tmp_path / "source", rows)
    request = ExportRequest(source=str(source), form=form, out=tmp_path / "out", cache=tmp_path / "cache")
    assert export(request, NoProgress()).rows == 4
    found = load(tmp_path / "out", tiny_llava(tmp_path / "llava"))
    assert found["rows"] == 4
    assert found["picture_tokens"] == 2 * 3 * 9, "both answers, three pictures, nine tokens each"
    assert found["loss"] == pytest.approx(0.6931, abs=1e-3)
    assert found["warnings"] == []
