"""What every part of the pipeline needs: settings, run folder, call store, models, progress."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Any

from spavl.config import ModelSpec, SamplingSettings, Settings
from spavl.errors import RunError
from spavl.models.base import Model, Sampling
from spavl.models.calls.engine import Engine
from spavl.models.calls.segments import merge_segments
from spavl.models.calls.store import CallStore
from spavl.models.identity import check_models
from spavl.pipeline.pool import ModelPool
from spavl.pipeline.worker import sampling_of
from spavl.progress import NoProgress, Progress
from spavl.run import Run


def is_first_process() -> bool:
    """Whether this process is alone, or the first that `accelerate launch` or `torchrun` started for one training."""
    return int(os.environ.get("WORLD_SIZE", "1")) < 2 or int(os.environ.get("RANK", "0")) == 0


class Session:
    """The settings, run folder, call store, models and progress of one command; a context manager that closes them.

    Args:
        settings: as checked.
        progress: where bars and log lines go.
        allow_code: allow models of kind `python` outside spavl.

    Raises:
        RunError: the run folder or the call store cannot be opened.
        SettingsError: two models of the settings have one name or one identity.
        ModelError: a checkpoint that `models` names is not there.
    """

    def __init__(self, settings: Settings, progress: Progress, *, allow_code: bool = False) -> None:
        self.settings = settings
        self.first = is_first_process()
        """Whether this is the only process of its command, or the first of those that a launcher started: it alone
        writes into run folder and call store, and shows progress."""
        self.progress = progress if self.first else NoProgress()
        self._scratch = ExitStack()
        self.run = Run(Path(settings.out)).open()
        self.allow_code = allow_code
        check_models(settings.models)
        self.store = self._open_store()
        self.engine = Engine(self.store)
        self.pool = ModelPool(settings.models, progress, allow_code=allow_code, on_free=self.engine.forget)

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._scratch, self.store, self.engine:  # the store is closed last, whatever a model's own `close` raises
            self.free()

    def _open_store(self) -> CallStore:
        """The call store, with what actors of a run that was killed have left beside it.

        Further processes of one training ask no models that answer by calls, and have an empty store of their own.
        """
        if not self.first:
            return CallStore(Path(self._scratch.enter_context(TemporaryDirectory())) / "calls.sqlite")
        store = CallStore(Path(self.settings.store))
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
        """Time a stage, and note its counts, its calls and their cost in `run.json`.

        Args:
            name: of the stage. The block is handed the mapping of its counts.
        """
        if not self.first:
            yield {}
            return
        hits, calls, cost = self.store.hits, self.store.calls, self.store.cost
        with self.run.stage(name) as counts:
            yield counts
        spent = {"calls": self.store.calls - calls, "stored": self.store.hits - hits, "cost": self.store.cost - cost}
        self.run.note(spent={name: spent})

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
