"""Models of a small build that answer as they are told, each by its name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

from spavl.config import PythonSpec, Settings
from spavl.models.base import Reply, Request
from tests.pipeline.instant import RESPONDERS, Instant, settings_of


class Told(Instant):
    """An instant model that gives the reply of its name in `says` to everything, where there is one."""

    says: ClassVar[dict[str, Reply]] = {}

    def generate(self, requests: Sequence[Request]) -> list[Reply]:
        """One reply a request."""
        if self._name in self.says:
            return [self.says[self._name]] * len(requests)
        return [
            replace(reply, prompt_tokens=100, completion_tokens=10, cost=0.01) for reply in super().generate(requests)
        ]


def told_settings(folder: Path, **changed: Any) -> Settings:
    """Settings of a build of `folder/pictures` by told models."""
    models = [
        PythonSpec(name=name, target="tests.pipeline.failing:Told", version=name).model_dump()
        for name in ("asker", "guard", "judge", *RESPONDERS)
    ]
    return settings_of(folder, models=models, **changed)
