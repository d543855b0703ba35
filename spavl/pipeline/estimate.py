"""What a build or an evaluation of any size takes: calls, tokens, money, time and disk, from measured unit costs.

What was measured in this run folder comes first, for it is of the same stage, model and prompt; then what the call
store holds of the model, in whichever stage; else a guess, which is marked as one. See docs/guides/cost.md.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, final

from spavl.config import EndpointSpec, LocalSpec, ModelSpec, PythonSpec, Settings
from spavl.pipeline.measured import Asked, Measures
from spavl.run import ModelUse, Stage

Basis = Literal["here", "store", "guess"]
"""Where a number comes from: this run folder's tables, the model's other calls in the store, or a guess."""
BASES: tuple[Basis, ...] = ("guess", "store", "here")
"""From the least certain to the most."""

PROMPT_TOKENS = 1_000
"""Guess: tokens of a prompt, most of which are its picture's."""
COMPLETION_TOKENS = 150
"""Guess: tokens of an answer; fewer where `max_tokens` is."""
SECONDS_TO_FIRST_TOKEN = 0.5
"""Guess: seconds that an endpoint takes before it answers."""
TOKENS_A_SECOND = 50.0
"""Guess: tokens of one answer that an endpoint or a local model generates in a second."""
PICTURE_BYTES = 150_000.0
"""Guess: bytes of a picture."""
CALL_BYTES = 2_000.0
"""Guess: bytes of a call in the store."""
ROW_BYTES = 300.0
"""Guess: bytes of a record in a table; of a row of the dataset, those beside its picture."""
SECONDS_A_PICTURE = 0.01
"""Guess: seconds to collect a picture."""
SECONDS_A_RECORD = 0.000_1
"""Guess: seconds that a stage without calls takes for a record."""
SECONDS_A_PAIR = 0.001
"""Guess: seconds to write a row of the dataset."""
SECONDS_A_CALL = 0.001_5
"""Seconds of this machine's processor that a call over a network takes: the engine's own limit."""
START_SECONDS = 0.5
"""Most seconds of a stage that do not grow with its records: what takes less in all tells nothing of a record."""


@dataclass(frozen=True, slots=True)
class CallEstimate:
    """The calls of one stage to one model."""

    stage: str
    """Name of the stage, such as `respond`."""
    model: str
    """Name of the model."""
    kind: str
    """`local`, `endpoint` or `python`; `?` where `models` lists no such model."""
    calls: int
    """Most calls: those that the store holds are not made again, and after failed ones fewer follow."""
    expected: int = 0
    """Calls to be expected, by what became of the records of a smaller run in this folder; else the most."""
    prompt_tokens: int = 0
    """Tokens of the prompts of the expected calls, pictures included."""
    completion_tokens: int = 0
    """Tokens of their answers."""
    cost: float | None = 0.0
    """What they cost; None where the model's price is not known. Weights on this machine cost nothing here."""
    call_seconds: float = 0.0
    """Seconds of one of them."""
    seconds: float = 0.0
    """How long all of them take, as many at once as the model's `concurrency` allows."""
    failed: float = 0.0
    """Share of the calls that brought no answer so far."""
    basis: Basis = "guess"
    """Where tokens and seconds of a call come from."""
    bytes: int = 0
    """Bytes that they take in the call store."""
    use: str = ""
    """Who asks the model, such as a guard; empty: nobody but the stage."""


@dataclass(frozen=True, slots=True)
class StageEstimate:
    """One stage: what it makes, how long it takes, and the room that its tables take."""

    stage: str
    """Name of the stage."""
    records: int
    """Records to be expected of it."""
    seconds: float
    """How long it takes; its models behind a network are asked side by side, the others one after the other."""
    bytes: int
    """Bytes of its tables; of `collect` the copies of the pictures too."""
    basis: Basis
    """Where the seconds come from."""


@final
class Estimator:
    """Estimates calls and stages.

    Args:
        settings: with the prices of the models.
        measures: what is known of stages and models.
        pictures: that the dataset is made from.
        picture_bytes: bytes of one, where some were looked at.
    """

    def __init__(
        self, settings: Settings, measures: Measures, pictures: int = 0, picture_bytes: float | None = None
    ) -> None:
        self._settings = settings
        self._measures = measures
        self._specs = {spec.name: spec for spec in settings.models}
        self._slices = math.ceil(pictures / settings.build.batch_size)
        self._picture_bytes = picture_bytes or measures.picture_bytes or PICTURE_BYTES
        self._actors = settings.ray.actors if settings.runner == "ray" else 1

    def calls(self, stage: str, use: ModelUse, spec: ModelSpec | None, *, most: int, expected: int) -> CallEstimate:
        """The estimate of calls to a model.

        Args:
            stage: name of the stage.
            use: the model that it asks.
            spec: its entry; None where it is not listed.
            most: calls.
            expected: calls.
        """
        kind = spec.kind if spec else "?"
        one, basis = self._unit(stage, use, spec)
        stored = self._measures.models.get(use.label)
        return CallEstimate(
            stage, use.label, kind, most, expected,
            prompt_tokens=round(expected * one.prompt_tokens),
            completion_tokens=round(expected * one.completion_tokens),
            cost=self._cost(spec, one, basis, expected),
            call_seconds=one.seconds, seconds=self._together([(spec, expected, one.seconds)]),
            failed=one.failed, basis=basis, bytes=round(expected * (stored.bytes if stored else CALL_BYTES)),
            use="" if use.key == use.label else use.key,
        )  # fmt: skip

    def stage(self, stage: Stage, read: float, written: float, calls: Sequence[CallEstimate]) -> StageEstimate:
        """The estimate of a stage.

        Args:
            stage: the stage.
            read: records that it reads.
            written: records that it writes.
            calls: the calls that it makes.
        """
        seconds, basis = self._seconds(stage, read, calls)
        size = written * ROW_BYTES
        if measure := self._measures.stages.get(stage.name):
            tables = len(calls) if stage.by_model else 1
            size = written * measure.row_bytes + self._slices * tables * measure.slice_bytes
        if stage.reads is None:
            size += written * self._picture_bytes
        return StageEstimate(stage.name, round(written), seconds, round(size), basis)

    def export(self, pairs: float) -> StageEstimate:
        """The estimate of the dataset's files.

        Args:
            pairs: rows of the dataset.
        """
        a_row = self._picture_bytes + ROW_BYTES
        if self._measures.pair_bytes:  # its picture is the most of it
            a_row = self._measures.pair_bytes * self._picture_bytes / (self._measures.picture_bytes or a_row)
        seconds, basis = _paced(pairs, self._measures.export_seconds, self._measures.pairs, SECONDS_A_PAIR)
        return StageEstimate("export", round(pairs), seconds, round(pairs * a_row), basis)

    def _unit(self, stage: str, use: ModelUse, spec: ModelSpec | None) -> tuple[Asked, Basis]:
        """What one call takes, and where that comes from."""
        measure = self._measures.stages.get(stage)
        asked = measure.asked.get(use.key) if measure else None
        if asked and asked.calls:
            n = asked.calls
            return Asked(1.0, asked.prompt_tokens / n, asked.completion_tokens / n, asked.cost / n, asked.seconds / n,
                         asked.failed / n), "here"  # fmt: skip
        if stored := self._measures.models.get(use.label):
            return Asked(1.0, stored.prompt_tokens, stored.completion_tokens, stored.cost, stored.seconds,
                         stored.failed), "store"  # fmt: skip
        answer = min(COMPLETION_TOKENS, use.sampling.max_tokens)
        first = SECONDS_TO_FIRST_TOKEN if isinstance(spec, EndpointSpec) else 0.0
        seconds = 0.0 if spec is None or isinstance(spec, PythonSpec) else first + answer / TOKENS_A_SECOND
        return Asked(1.0, PROMPT_TOKENS, answer, 0.0, seconds), "guess"

    def _cost(self, spec: ModelSpec | None, one: Asked, basis: Basis, calls: int) -> float | None:
        if isinstance(spec, LocalSpec):
            return 0.0
        if isinstance(spec, EndpointSpec) and spec.price_in is not None and spec.price_out is not None:
            return calls * (one.prompt_tokens * spec.price_in + one.completion_tokens * spec.price_out) / 1e6
        if isinstance(spec, PythonSpec) and basis != "guess":  # a class says itself what its calls cost
            return calls * one.cost
        return None

    def _seconds(self, stage: Stage, read: float, calls: Sequence[CallEstimate]) -> tuple[float, Basis]:
        """How long a stage takes: its calls, and what it took beyond them when it was measured."""
        measure = self._measures.stages.get(stage.name)
        then = measure.seconds if measure else None
        if not calls:
            guess = SECONDS_A_PICTURE if stage.reads is None else SECONDS_A_RECORD
            return _paced(read, then, measure.read if measure else 0, guess)
        now = [(self._specs.get(one.model), float(one.expected), one.call_seconds) for one in calls]
        asked = measure.asked if measure and then is not None else {}
        models = {one.use or one.model: self._specs.get(one.model) for one in calls}
        past = [(models[use], one.calls, one.seconds / max(1.0, one.calls)) for use, one in asked.items()
                if use in models]  # fmt: skip
        made = sum(one.calls for one in asked.values())
        beyond = max(0.0, (then or 0.0) - self._together(past)) if made else 0.0
        # Once, whatever the size: the start, and the last calls, with which the models were not busy.
        once = min(beyond, START_SECONDS + max((seconds for _, _, seconds in past), default=0.0))
        a_call = (beyond - once) / made if made else 0.0
        basis = min((one.basis for one in calls), key=BASES.index)
        return self._together(now) + once + a_call * sum(one.expected for one in calls), basis

    def _together(self, asked: Sequence[tuple[ModelSpec | None, float, float]]) -> float:
        """Seconds of the calls of one stage, given (model, calls, seconds of a call), where nothing is in their way."""
        side_by_side, one_by_one, over_network = 0.0, 0.0, 0.0
        for spec, calls, seconds in asked:
            if isinstance(spec, EndpointSpec):
                side_by_side = max(side_by_side, math.ceil(calls / self._at_once(spec)) * seconds)
                over_network += calls
            else:
                one_by_one += calls * seconds / self._actors
        return max(side_by_side, one_by_one, over_network * SECONDS_A_CALL / self._actors)

    def _at_once(self, spec: EndpointSpec) -> int:
        """Calls to a model that are in flight at once."""
        own = self._settings.ray.concurrency if self._settings.runner == "ray" else None
        return own * self._actors if own else spec.concurrency


def _paced(records: float, then: float | None, records_then: int, guess: float) -> tuple[float, Basis]:
    """Seconds of a stage without calls: measured where it took long enough, else a guess, but no more than it took."""
    if then is None or not records_then:
        return records * guess, "guess"
    once = START_SECONDS if then > 2 * START_SECONDS else max(0.0, then - records_then * guess)
    return once + records * (then - once) / records_then, "here"
