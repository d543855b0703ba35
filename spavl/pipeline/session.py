"""What every part of the pipeline needs: settings, run folder, call store, models, progress."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Any

from spavl.config import EndpointSpec, ModelSpec, PythonSpec, SamplingSettings, Settings
from spavl.config.prices import with_prices
from spavl.errors import RunError
from spavl.models.base import Model, Sampling
from spavl.models.calls.engine import Engine
from spavl.models.calls.files import is_read_only
from spavl.models.calls.oversight import Oversight
from spavl.models.calls.segments import merge_segments, segment_path
from spavl.models.calls.store import CallStore
from spavl.models.identity import check_models
from spavl.pipeline.lost_calls import LostCalls
from spavl.pipeline.pool import ModelPool
from spavl.pipeline.worker import sampling_of
from spavl.progress import NoProgress, Progress
from spavl.run import Run
from spavl.run.under_way import NotedProgress


def is_first_process() -> bool:
    """Whether this process is alone, or the first that `accelerate launch` or `torchrun` started for one training."""
    return int(os.environ.get("WORLD_SIZE", "1")) < 2 or int(os.environ.get("RANK", "0")) == 0


class Session:
    """The settings, run folder, call store, models and progress of one command; a context manager that closes them.

    One session at a time works on a run folder, and one writes into a call store. Where a folder or a store can only
    be read, a session can do whatever writes nothing there.

    Args:
        settings: as checked.
        progress: where bars and log lines go.
        allow_code: allow models of kind `python` outside spavl.
        replay: make no call: what the call store does not hold is an error.
        look_only: make nothing, neither folder nor store, and lock nothing: for who plans.
        world: folder of drawn and unpacked pictures that several runs share; None: one in the run folder.
        segment: name of a segment of the call store to write into, for one of several processes that share the store;
            whoever opens the store next takes it in. None: write into the store itself.

    Raises:
        RunError: the run folder or the call store cannot be opened, or another process works on them.
        SettingsError: two models of the settings have one name or one identity.
        ModelError: a checkpoint that `models` names is not there.
    """

    def __init__(
        self,
        settings: Settings,
        progress: Progress,
        *,
        allow_code: bool = False,
        replay: bool = False,
        look_only: bool = False,
        world: Path | None = None,
        segment: str | None = None,
    ) -> None:
        self.settings = settings = with_prices(settings)
        self.first = is_first_process()
        """Whether this is the only process of its command, or the first of those that a launcher started: it alone
        writes into run folder and call store, and shows progress."""
        self.progress: Progress = progress if self.first else NoProgress()
        self.allow_code = allow_code
        self.look_only = look_only
        self._world = world
        self._segment = segment
        self.lost = LostCalls()
        check_models(settings.models)
        self.run = Run(Path(settings.out))
        with ExitStack() as opened:
            if look_only or not self.first:
                self._scratch: Path | None = Path(opened.enter_context(TemporaryDirectory()))
                self.run.checked()
            else:
                self._scratch = None
                self._lock_run(opened)
            self.store = opened.enter_context(self._open_store(replay))
            self.oversight = self._oversight()
            self.engine = opened.enter_context(Engine(self.store, oversight=self.oversight))
            self.pool = ModelPool(settings.models, progress, allow_code=allow_code, on_free=self.engine.forget)
            opened.callback(self.free)  # first of all, and whatever a model's own `close` raises, the rest is closed
            self._opened = opened.pop_all()

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._opened.__exit__(kind, error, trace)

    @property
    def world(self) -> Path:
        """Folder of pictures that are drawn or unpacked: of the miniature world, and of benchmarks."""
        return self._world or (self._scratch or self.run.folder) / "world"

    def _lock_run(self, opened: ExitStack) -> None:
        lock = self.run.open().lock()
        if lock is None:
            self.progress.log(f"{self.run.folder} cannot be written: it is read as it is")
        else:
            opened.callback(lock.release)
            self.progress = noted = NotedProgress(self.progress, self.run.folder)
            opened.callback(noted.close)

    def _oversight(self) -> Oversight:
        ceilings = self.settings.ceilings
        seconds = None if ceilings.minutes is None else ceilings.minutes * 60
        return Oversight(cost=ceilings.cost, seconds=seconds, models=ceilings.models,
                         tell=lambda notice: self.progress.log(notice.line))  # fmt: skip

    def _open_store(self, replay: bool) -> CallStore:
        """The call store, with what actors of a run that was killed have left beside it."""
        path = Path(self.settings.store)
        if self._segment is not None and self._scratch is None:
            return CallStore(segment_path(path, self._segment), also_read=[path] if path.exists() else [],
                             on_damage=self.progress.log)  # fmt: skip
        if self._scratch is not None and not self.first:  # the first process may just be making the store
            return CallStore(self._scratch / "calls.sqlite")
        if self._scratch is not None:
            return CallStore(path, replay=True) if path.exists() else CallStore(self._scratch / "calls.sqlite")
        if replay or is_read_only(path):
            if not replay:
                self.progress.log(f"{path} cannot be written: its answers are used, and no call is made")
            return CallStore(path, replay=True, on_damage=self.progress.log)
        store = CallStore(path, on_damage=self.progress.log)
        try:
            merged = merge_segments(store)
        except RunError:
            store.close()
            raise
        if merged.calls:
            self.progress.log(f"{merged.calls:,} calls of a run that was killed were taken into the call store")
        return store

    def spec(self, label: str, setting: str) -> ModelSpec:
        """The settings' model of that name.

        Args:
            label: name of the model.
            setting: path of the setting that names it, for the error.

        Raises:
            SettingsError: there is none.
        """
        return self.pool.spec(label, setting)

    def sampling(self, settings: SamplingSettings) -> Sampling:
        """How answers are sampled, with the run's seed where the settings name none.

        Args:
            settings: of a stage.
        """
        return sampling_of(settings, self.settings.seed)

    @contextmanager
    def stage(self, name: str) -> Iterator[dict[str, Any]]:
        """Time a stage, and note its counts and calls in `run.json`, with tokens and cost whoever paid for them.

        Args:
            name: of the stage. The block is handed the mapping of its counts.
        """
        if not self.first:
            yield {}
            return
        before = _spent(self.store)
        with self.run.stage(name) as counts:
            yield counts
        after = _spent(self.store)
        spent = {what: after[what] - before[what] for what in after}
        self.run.note(spent={name: {k: v for k, v in spent.items() if v or k not in SEEN_HERE}})

    def free(self) -> None:
        """Free the open model and its weights."""
        self.pool.free()

    def model(self, spec: ModelSpec) -> Model:
        """The open model of a settings entry; see `ModelPool.model`.

        Args:
            spec: the entry.

        Raises:
            ModelError: the model is not there, or is a class outside spavl and `allow_code` is off.
        """
        return self.pool.model(spec)


SEEN_HERE = ("earlier_tokens", "earlier_cost", "call_seconds")
"""What of a stage's calls is known only where this process asked; under Ray it stays unknown, and is not 0."""


def never_reached(settings: Settings) -> str:
    """Says which ceilings of cost no call can reach, for what they are of has no price; else empty.

    Args:
        settings: the ceilings and the models. A class of the user's own may say itself what its calls cost.
    """
    priced = {
        spec.name for spec in settings.models
        if isinstance(spec, PythonSpec) or (isinstance(spec, EndpointSpec) and (spec.price_in or spec.price_out))
    }  # fmt: skip
    try_ = "set `price_in` and `price_out`, or `prices`"
    if settings.ceilings.cost is not None and not priced:
        return f"`ceilings.cost` can never be reached, for no model has a price: {try_}"
    free = [f"`ceilings.models.{name}`" for name in settings.ceilings.models if name not in priced]
    return f"{', '.join(free)} can never be reached, for the model has no price: {try_}" if free else ""


def _spent(store: CallStore) -> dict[str, float]:
    return {
        "calls": store.calls, "stored": store.hits, "tokens": store.tokens + store.found_tokens,
        "cost": store.cost + store.found_cost, "earlier_tokens": store.found_tokens, "earlier_cost": store.found_cost,
        "call_seconds": round(store.seconds, 3),
    }  # fmt: skip
