"""Which calls meet which fault: a plan for each model, the same for the same prompts whatever the order."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tests.faults.benign import share
from tests.faults.kinds import FAULTS


@dataclass(frozen=True)
class Plan:
    """What happens to the calls of one model."""

    share: float = 0.0
    """Share of the calls that fail, chosen by a hash of model and messages."""
    kinds: tuple[str, ...] = ()
    """Faults that those calls meet, each call one of them by its hash."""
    attempts: int | None = None
    """Only so many attempts of a call fail, and the next one succeeds. None: as many as the fault says, or all."""
    always: Mapping[str, str] = field(default_factory=dict)
    """Faults by words of the prompt: a call whose prompt holds them always fails so."""
    after: int | None = None
    """Calls that the model answers before all others meet the first of `kinds`. None: no such end."""
    down: tuple[float, float] | None = None
    """Seconds after the start between which every call is answered by status 503. None: never."""
    delay: float = 0.0
    """Seconds before every response."""

    def fault(self, call: str, prompt: str, *, attempt: int, calls: int, seconds: float) -> str | None:
        """Name of the fault that an attempt meets; None where it is answered.

        Args:
            call: hash of model and messages.
            prompt: text of the last turn.
            attempt: number of this attempt of the call, from 0.
            calls: attempts of all calls of the model so far.
            seconds: time since the server's start.
        """
        if self.down is not None and self.down[0] <= seconds < self.down[1]:
            return "503"
        if self.after is not None and calls >= self.after:
            return self.kinds[0]
        for words, name in self.always.items():
            if words in prompt:
                return name
        if not self.kinds or share(f"chosen {call}") >= self.share:
            return None
        kind = self.kinds[int(share(f"kind {call}") * len(self.kinds))]
        most = FAULTS[kind].attempts if self.attempts is None else self.attempts
        return kind if most is None or attempt < most else None


def write_plans(path: Path, plans: Mapping[str, Plan]) -> None:
    """Write plans for a server in a process of its own.

    Args:
        path: the file.
        plans: by model; `*` is for all that are not named.
    """
    path.write_text(json.dumps({name: asdict(plan) for name, plan in plans.items()}))


def read_plans(path: Path) -> dict[str, Plan]:
    """The plans that `write_plans` wrote.

    Args:
        path: the file.
    """
    return {name: _plan(form) for name, form in json.loads(path.read_text()).items()}


def _plan(form: dict[str, Any]) -> Plan:
    down = form.pop("down")
    return Plan(**{**form, "kinds": tuple(form["kinds"])}, down=tuple(down) if down else None)
