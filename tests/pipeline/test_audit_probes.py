"""Probes of an audit by the pipeline: through the call store, asked once, with failures told."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import pytest

from spavl.config import Settings
from spavl.errors import DataError
from spavl.models.base import Reply, Request
from spavl.pipeline.audit_probes import Probes, run_probes
from spavl.pipeline.session import Session
from spavl.progress import NoProgress
from tests.audit.pairs import dataset, row, verdict


class Judging:
    """Prefers the better answer; `down` of its calls fail at first."""

    calls: ClassVar[int] = 0
    down: ClassVar[bool] = False

    def __init__(self, *, name: str, identity: str, batch_size: int) -> None:
        self._name = name

    def generate(self, requests: Sequence[Request]) -> list[Reply]:
        """One reply a request."""
        Judging.calls += len(requests)
        if Judging.down:
            return [Reply("", status="failed", detail="out of order")] * len(requests)
        return [Reply(verdict(r.prompt.fields["answer_a"].startswith("better"))) for r in requests]


def probes(folder: Path, rows: list[dict[str, Any]], count: int = 10) -> Probes:
    """Both probes of one judge."""
    model = {"kind": "python", "name": "judge", "target": f"{__name__}:Judging", "version": "1"}
    settings = Settings.model_validate(
        {"out": str(folder / "run"), "store": str(folder / "calls.sqlite"), "models": [model]}
    )
    with Session(settings, NoProgress(), allow_code=True) as session:
        return run_probes(
            session, dataset(folder, rows), ["necessity", "wording"], count=count, folder=folder / "audit"
        )


def test_probes_are_asked_once_and_say_of_every_pair_what_was_said(tmp_path: Path) -> None:
    Judging.calls, Judging.down = 0, False
    rows = [row(n) for n in range(20)]
    found = probes(tmp_path, rows)
    assert [one.kind for one in found.findings] == ["text_only", "wording_flips"]
    asked = Judging.calls
    assert asked == 10 * 2 * (4 + 2), "the judge's own wording is asked with its own picture already"
    plain = found.plain()
    assert plain[0]["probe"] == "necessity" and len(plain[0]["pairs"]) == 10
    assert plain[0]["pairs"][0]["said"] == {"own": "chosen", "none": "chosen", "blank": "chosen", "shuffled": "chosen"}
    assert probes(tmp_path, rows).findings == found.findings and Judging.calls == asked


def test_calls_that_failed_are_told_and_made_again(tmp_path: Path) -> None:
    Judging.calls, Judging.down = 0, True
    rows = [row(n) for n in range(6)]
    found = probes(tmp_path, rows)
    assert found.failed > 0 and all("not known" in one.what for one in found.findings)
    Judging.down = False
    assert probes(tmp_path, rows).failed == 0


def test_a_dataset_without_pictures_cannot_be_asked_whether_it_needs_them(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no pair with a picture that can be read"):
        probes(tmp_path, [row(n, image=None) for n in range(3)])
