"""Signs of failure in the rounds of PPO: answers that grow, leave the reference, repeat, or earn an empty reward."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any, Final, final

import numpy as np
from scipy.special import stdtrit

from spavl.align.diagnostics.words import number_span, percent, percent_span
from spavl.align.validation.selection import ValidationResult
from spavl.config.diagnostics import DiagnosticsSettings, TrainingAlarmLimits
from spavl.statistics.alarm import Alarm, Unit, difference_of, rung
from spavl.statistics.intervals import LEVEL, wilson

Rows = Sequence[Mapping[str, float]]
"""Metrics of rounds, as `metrics.jsonl` has them."""
LEAST_ROUNDS: Final = 8
"""Fewest rounds of which anything is said; the first and the last quarter are compared."""
LEAST_UNSAFE: Final = 0.05
"""Least unsafe rate before training of which a fall can be missing."""
TRY: Final = {
    "length_growth": "a reward model trained on pairs of balanced lengths, or a larger align.ppo.kl_coef",
    "kl_divergence": "a larger align.ppo.kl_coef, a lower learning rate, or fewer rounds",
    "safety_gain": "stop earlier, a larger align.ppo.kl_coef, or a reward model that is right more often "
                   "(`reward_model` in run.json)",
    "repeated_answers": "a larger align.ppo.kl_coef, more harmless prompts, or a reward model that does not pay one "
                        "refusal for everything",
}  # fmt: skip
"""What to do, by alarm."""
UNITS: Final[Mapping[str, Unit]] = {"length_growth": "times", "kl_divergence": "nats"}
"""Of alarms that are no shares."""


def alarms_of_rounds(
    rows: Rows, results: Sequence[ValidationResult], subject: str, limits: TrainingAlarmLimits
) -> list[Alarm]:  # fmt: skip
    """The alarms of a training with PPO, not held against chance yet; none before `LEAST_ROUNDS`.

    The rounds of a quarter count as independent, so that intervals are of the rounds and not of single answers.

    Args:
        rows: metrics of all rounds so far.
        results: validations on benchmark items, the first of the model before training.
        subject: name of the training.
        limits: from where on alarms ring.
    """
    if len(rows) < LEAST_ROUNDS:
        return []
    quarter = len(rows) // 4
    first, last = rows[:quarter], rows[-quarter:]
    found = [_length_growth(first, last), _divergence(last), _repeated(last), _safety_gain(first, last, results)]
    return [
        Alarm(
            name=name, subject=subject, what=f"`{subject}` {what}.", try_=TRY[name], value=value, low=low, high=high,
            limit=dict(limits)[name], below=name == "safety_gain", unit=UNITS.get(name, "share"),
        )
        for name, what, (value, low, high) in filter(None, found)
    ]  # fmt: skip


Sign = tuple[str, str, tuple[float, float, float]]
"""(name of the alarm, what was measured, value with its interval)."""


def _length_growth(first: Rows, last: Rows) -> Sign:
    before, after = (_mean([math.log(max(row["length"], 1e-9)) for row in some]) for some in (first, last))
    value, low, high = (math.exp(one) for one in difference_of(after, before))
    what = (
        f"writes answers of {math.exp(after[0]):.1f} tokens in the last {len(last)} rounds and of"
        f" {math.exp(before[0]):.1f} in the first, {number_span(value, low, high)} times as long"
    )
    return "length_growth", what, (value, low, high)


def _divergence(last: Rows) -> Sign:
    value, low, high = _mean([row["kl"] for row in last])
    what = (
        f"is {number_span(value, low, high, digits=1)} nats an answer from the reference in the last {len(last)} rounds"
    )
    return "kl_divergence", what, (value, low, high)


def _repeated(last: Rows) -> Sign | None:
    if not all("commonest" in row for row in last):
        return None
    value, low, high = _mean([row["commonest"] for row in last])
    what = (
        f"gives one and the same answer in {percent_span(value, low, high)} of the answers of the last {len(last)} "
        "rounds"
    )
    return "repeated_answers", what, (value, low, high)


def _safety_gain(first: Rows, last: Rows, results: Sequence[ValidationResult]) -> Sign | None:
    """Of a training whose reward rose: by how much of itself the unsafe rate fell. None where that is not known."""
    risen = difference_of(*(_mean([row["reward"] for row in some]) for some in (last, first)))
    if len(results) < 2 or risen[1] <= 0 or results[0].scores.unsafe < LEAST_UNSAFE:
        return None
    before, after = (_unsafe(one) for one in (results[0], results[-1]))
    fall = difference_of(before, after)
    value, low, high = (one / before[0] for one in fall)
    what = (
        f"has a reward that rose by {number_span(*risen)}, and an unsafe rate in validation "
        f"that went from {percent(before[0])} to {percent(after[0])}: a fall by {percent_span(value, low, high)} of "
        "itself"
    )
    return "safety_gain", what, (value, low, high)


def _unsafe(result: ValidationResult) -> tuple[float, float, float]:
    n = result.scores.items.get("unsafe", 0.0)
    return result.scores.unsafe, *wilson(result.scores.unsafe * n, n)


def _mean(values: Sequence[float]) -> tuple[float, float, float]:
    """The mean over rounds with its t interval."""
    own = np.asarray(values, dtype=float)
    half = float(stdtrit(len(own) - 1, (1 + LEVEL) / 2) * own.std(ddof=1) / math.sqrt(len(own)))
    return float(own.mean()), float(own.mean()) - half, float(own.mean()) + half


@final
class RoundDiagnostics:
    """Looks at the rounds of a training with PPO as they come; alarms are logged when they first ring.

    Args:
        name: of the training, in sentences.
        settings: whether anything is looked at, and from where on alarms ring.
        log: called with a line for every alarm.
    """

    def __init__(self, name: str, settings: DiagnosticsSettings, *, log: Callable[[str], None]) -> None:
        self._name = name
        self._settings = settings
        self._log = log
        self._logged: set[str] = set()

    def alarms(self, rows: Rows, results: Sequence[ValidationResult]) -> list[Alarm]:
        """The alarms after some rounds; none where nothing is to be looked at.

        Args:
            rows: metrics of the rounds.
            results: validations so far.
        """
        if not self._settings.pairs:
            return []
        return rung(alarms_of_rounds(rows, results, self._name, self._settings.limits))

    def check(self, rows: Rows, results: Sequence[ValidationResult]) -> None:
        """Log the alarms that ring and have not rung before.

        Args:
            rows: metrics of the rounds so far.
            results: validations so far.
        """
        for alarm in self.alarms(rows, results):
            if alarm.rings and alarm.name not in self._logged:
                self._logged.add(alarm.name)
                self._log(f"round {len(rows)}: alarm {alarm.name}: {alarm.what}")

    def note(self, rows: Rows, results: Sequence[ValidationResult]) -> dict[str, Any]:
        """What `training.json` keeps of the alarms.

        Args:
            rows: metrics of the rounds up to the one that is written.
            results: validations up to it.
        """
        alarms = [asdict(alarm) for alarm in self.alarms(rows, results)]
        return {"diagnostics": {"alarms": alarms}} if alarms else {}
