"""One unit of the dataset's work: a stage's function on one slice of the table that it reads, by one of its models."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa

from spavl.config import SamplingSettings, Settings
from spavl.models.base import Prompt, Reply, Sampling
from spavl.pipeline.pool import ModelPool
from spavl.progress import OnProgress
from spavl.records import TRIED_AGAIN
from spavl.run import Made, ModelUse, Stage, StageContext
from spavl.tables import read_slice, to_arrow


@dataclass(frozen=True, slots=True)
class Job:
    """A table to be made: by a stage, with the models that it asks."""

    stage: Stage
    """The stage."""
    uses: tuple[ModelUse, ...]
    """The models that it asks; none for a stage that asks none, one where the stage is `by_model`."""
    path: Path
    """The table."""
    inputs: tuple[Path, ...]
    """The tables that it reads, one for each model of the stage before where that is `by_model`."""
    order: str
    """Where there are several inputs: dotted path of the id of what their records were made of."""
    slices: int
    """Slices of its inputs, and so of the table."""
    rows: int
    """Rows of its inputs."""
    shared: Any
    """What the stage's barrier found."""
    fingerprint: str
    """Hash of all that decides the table."""


@dataclass(frozen=True, slots=True)
class SliceMade:
    """What became of one slice."""

    table: pa.Table
    """The rows."""
    counts: dict[str, int]
    """How many records ended as what."""
    rows: int
    """Rows that were read."""
    usage: dict[str, float] = field(default_factory=dict)
    """Tokens and cost of the replies that it was made from, whoever paid for them; equal calls count once."""
    asked: dict[str, dict[str, float]] = field(default_factory=dict)
    """Of these by who asked (`ModelUse.key`): calls, tokens, cost, seconds and failures, for estimates."""


class Complete(Protocol):
    """Asks a model many prompts through a call store; see `spavl.models.calls.engine`."""

    def __call__(
        self,
        model: Any,
        prompts: Sequence[Prompt],
        *,
        sampling: Sampling,
        schema: Mapping[str, Any] | None = None,
        samples: int = 1,
        on_progress: OnProgress | None = None,
    ) -> list[Reply]:
        """One reply for every prompt and sample.

        Args:
            model: the model.
            prompts: what is sent.
            sampling: how every reply is generated.
            schema: JSON schema that the replies must fit. None: free text.
            samples: replies to each prompt.
            on_progress: called with replies there are and replies wanted.
        """
        ...


class Worker:
    """Does units of work. It may be used by several threads at once.

    Args:
        settings: of the run.
        folder: the run folder.
        pool: the models.
        complete: asks a model, through the call store.
    """

    def __init__(self, settings: Settings, folder: Path, pool: ModelPool, complete: Complete) -> None:
        self._settings = settings
        self._folder = folder
        self._pool = pool
        self._complete = complete

    def make_slice(self, job: Job, number: int, on_reply: Callable[[int], None] = lambda more: None) -> SliceMade:
        """Do one unit of work.

        Args:
            job: the table that it belongs to.
            number: of the slice.
            on_reply: called with the number of further replies that there are.
        """
        records = self._read(job, number)
        replies: dict[str, dict[str, Reply]] = {use.key: {} for use in job.uses}
        calls = {use.key: self._caller(use, on_reply, replies[use.key]) for use in job.uses}
        context = StageContext(
            settings=self._settings, folder=self._folder, model=job.uses[0].key if len(job.uses) == 1 else "",
            call=next(iter(calls.values()), _no_model), calls=calls, shared=job.shared,
        )  # fmt: skip
        assert job.stage.work is not None, "the table of stages is bound"
        made = job.stage.work(records, context)
        made = made if isinstance(made, Made) else Made(made, _counts(job.stage, made))
        table = to_arrow(made.records, job.stage.writes)
        usage = _usage({key: reply for those in replies.values() for key, reply in those.items()}.values())
        asked = {key: _asked(those.values()) for key, those in replies.items() if those}
        return SliceMade(table, dict(made.counts), len(records), usage, asked)

    def _read(self, job: Job, number: int) -> list[Any]:
        kind = job.stage.reads
        assert kind is not None, "the source is read by the one that collects"
        parts = [read_slice(path, kind, number) for path in job.inputs]
        return parts[0] if len(parts) == 1 else _interleave(parts, attrgetter(job.order))

    def _caller(
        self, use: ModelUse, on_reply: Callable[[int], None], by_key: dict[str, Reply]
    ) -> Callable[..., list[Reply]]:
        def call(
            prompts: Sequence[Prompt], *, schema: Mapping[str, Any] | None = None, samples: int = 1
        ) -> list[Reply]:
            done = 0

            def report(now: int, wanted: int) -> None:
                nonlocal done
                on_reply(now - done)
                done = now

            model = self._pool.model(self._pool.spec(use.label, use.setting))
            sampling = sampling_of(use.sampling, self._settings.seed)
            replies = self._complete(
                model, prompts, sampling=sampling, schema=schema, samples=samples, on_progress=report
            )
            by_key.update((reply.key, reply) for reply in replies)
            return replies

        return call


def _no_model(prompts: Sequence[Prompt]) -> list[Reply]:
    raise AssertionError("a stage that calls a model names it in `models`")


def sampling_of(settings: SamplingSettings, seed: int) -> Sampling:
    """How answers are sampled, with the run's seed where the settings name none.

    Args:
        settings: of a stage.
        seed: the run's.
    """
    own = seed if settings.seed is None else settings.seed
    return Sampling(settings.temperature, settings.top_p, settings.max_tokens, own)


def _usage(replies: Collection[Reply]) -> dict[str, float]:
    """Tokens and cost of replies; empty where there are none."""
    if not replies:
        return {}
    tokens = sum(reply.prompt_tokens + reply.completion_tokens for reply in replies)
    return {"tokens": tokens, "cost": sum(reply.cost for reply in replies)}


def _asked(replies: Collection[Reply]) -> dict[str, float]:
    """What replies took; equal calls are there once."""
    return {
        "calls": len(replies),
        "prompt_tokens": sum(reply.prompt_tokens for reply in replies),
        "completion_tokens": sum(reply.completion_tokens for reply in replies),
        "cost": sum(reply.cost for reply in replies),
        "seconds": round(sum(reply.latency * max(1, reply.attempts) for reply in replies), 6),
        "failed": sum(reply.status in TRIED_AGAIN for reply in replies),
    }


def _counts(stage: Stage, records: Sequence[Any]) -> dict[str, int]:
    if not stage.status:
        return {"made": len(records)}
    return dict(Counter(map(attrgetter(stage.status), records)))


def _interleave(parts: Sequence[Sequence[Any]], source: Callable[[Any], str]) -> list[Any]:
    """Records of several tables about the same sources: together what was made of one, in the order of the tables."""
    by_source: dict[str, list[Any]] = {}
    for part in parts:
        for record in part:
            by_source.setdefault(source(record), []).append(record)
    return [record for records in by_source.values() for record in records]
