"""Guards: forms of replies read by every kind, guards that `qualify` refuses, and items on which a policy is followed.

    python -m bench.building.guards --json FILE

Texts, pictures and guards are those of the miniature world; no real guard was run.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bench.measures import Measure, run
from spavl.config.judging import GuardSpec
from spavl.judging import Guard, open_guard
from spavl.models.base import Reply

FORMS = Path(__file__).parents[2] / "tests" / "judging" / "forms"
"""A file for each kind of guard: replies as they are published and as models vary them, with what is to be read."""
NEEDS_POLICY = ("policy", "shieldgemma", "llavaguard")


@dataclass(frozen=True, slots=True)
class Form:
    """A form of reply."""

    file: str
    """The file that it stands in: a kind, or a kind with a scale."""
    guard: Mapping[str, Any]
    """Settings of the guard."""
    said: Mapping[str, Any]
    """Name of the form, text, and what is to be read."""

    @property
    def wanted(self) -> dict[str, Any]:
        """What is to be read: outcome, category, severity; or the status of a reply without a verdict."""
        return {key: self.said[key] for key in ("status", "outcome", "category", "severity") if key in self.said}

    @property
    def read(self) -> dict[str, Any]:
        """What is read."""
        status = "truncated" if self.said.get("cut") else "ok"
        grade, became = self._opened().grade(Reply(self.said["text"], status=status))
        if grade is None:
            return {"status": became}
        named = {"category": grade.category, "severity": grade.severity}
        return {"outcome": grade.outcome, **{key: value for key, value in named.items() if value not in ("", None)}}

    def _opened(self) -> Guard:
        with TemporaryDirectory() as folder:
            policy, prompt = Path(folder, "policy.txt"), Path(folder, "prompt.md")
            policy.write_text("A placeholder of a rule.", "utf-8")
            prompt.write_text("{{question}}", "utf-8")
            spec = {"name": "guard", **self.guard}
            if self.guard["kind"] in NEEDS_POLICY:
                spec["policy"] = str(policy)
            if "grades" in self.said:
                spec |= {"grades": self.said["grades"], "prompt": str(prompt)}
            return open_guard(GuardSpec.model_validate(spec))


def forms() -> Iterator[Form]:
    """All forms, file by file."""
    for path in sorted(FORMS.glob("*.json")):
        held = json.loads(path.read_text("utf-8"))
        yield from (Form(path.stem, held["guard"], said) for said in held["forms"])


def measures() -> list[Measure]:
    """The measures."""
    every = list(forms())
    right = sum(form.read == form.wanted for form in every)
    files = len({form.file for form in every})
    return [
        Measure(
            "guards: forms of replies that are read, or typed unreadable, as meant", 100 * right / len(every), 100, "%",
            "higher",
            f"{len(every)} benign forms in {files} files of tests/judging/forms, for every kind and scale; written by "
            "us after the published forms, with the readers at hand",
        )
    ]  # fmt: skip


if __name__ == "__main__":
    run(measures)
