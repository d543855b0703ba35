"""An evaluation asks through the engine of its session, so that all its benchmarks share a model's limits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bench.evaluating.bridging.yes_no_items import write_items
from spavl.config import Settings, load_settings
from spavl.models.calls.engine import Engine
from spavl.pipeline.evaluate import evaluate
from spavl.pipeline.session import Session
from spavl.progress import NoProgress


def test_two_benchmarks_are_asked_through_one_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Engine] = []
    complete = Engine.complete

    def noting(self: Engine, *given: Any, **named: Any) -> Any:
        asked.append(self)
        return complete(self, *given, **named)

    monkeypatch.setattr(Engine, "complete", noting)
    items = str(write_items(tmp_path / "items", 6, 2))
    settings = load_settings(Settings, None, [], defaults={
        "out": str(tmp_path / "run"), "store": str(tmp_path / "calls.sqlite"),
        "models": [{"kind": "python", "name": "base", "version": "1", "target": "bench.instant_model:InstantModel"}],
        "evaluate": {"benchmarks": [{"kind": "file", "name": name, "path": items} for name in ("one", "two")]},
    })  # fmt: skip
    with Session(settings, NoProgress(), allow_code=True) as session:
        evaluate(session, models=["base"])
        assert asked == [session.engine] * 2
