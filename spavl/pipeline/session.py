"""What every part of the pipeline needs: settings, run folder, call store, models, progress."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any

from spavl.config import ModelSpec, SamplingSettings, Settings
from spavl.dataset.caller import Caller
from spavl.errors import SettingsError
from spavl.models import open_model
from spavl.models.backends.local import LocalModel
from spavl.models.base import BatchModel, Model, Prompt, Reply, Sampling
from spavl.models.calls.engine import complete
from spavl.models.calls.store import CallStore
from spavl.models.identity import check_models
from spavl.progress import Progress
from spavl.run import Run


class Session:
    """The settings, run folder, call store, models and progress of one command; a context manager that closes them.

    A model is opened when it is first asked and freed when the next one is.

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
        self.progress = progress
        self.run = Run(Path(settings.out)).open()
        self.allow_code = allow_code
        self._specs: dict[str, ModelSpec] = {spec.name: spec for spec in settings.models}
        check_models(settings.models)
        self.store = CallStore(Path(settings.store))
        self._open: Model | None = None
        self._logged: set[tuple[str, str]] = set()
        self._opened: ModelSpec | None = None

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.free()
        self.store.close()

    def spec(self, label: str, setting: str) -> ModelSpec:
        """The settings' model of that name.

        Args:
            label: name of the model.
            setting: path of the setting that names it, for the error.

        Raises:
            SettingsError: there is none.
        """
        if label in self._specs:
            return self._specs[label]
        near = get_close_matches(label, self._specs, n=1)
        raise SettingsError(
            f"`{setting}` names the model `{label}`, which is not listed under `models`",
            try_=f"did you mean `{near[0]}`?"
            if near
            else f"add it under `models` (there are: {', '.join(self._specs) or 'none'})",
        )

    def caller(self, label: str, setting: str, sampling: SamplingSettings) -> Caller:
        """A function that asks a model of the settings a list of prompts, through the call store and with a bar.

        Args:
            label: name of the model.
            setting: path of the setting that names it, for the error.
            sampling: how its answers are sampled.

        Raises:
            SettingsError: `models` lists no such model.
        """
        return partial(self._call, self.spec(label, setting), self.sampling(sampling))

    def sampling(self, settings: SamplingSettings) -> Sampling:
        """How answers are sampled, with the run's seed where the settings name none.

        Args:
            settings: of a stage.
        """
        seed = self.settings.seed if settings.seed is None else settings.seed
        return Sampling(settings.temperature, settings.top_p, settings.max_tokens, seed)

    @contextmanager
    def stage(self, name: str) -> Iterator[dict[str, Any]]:
        """Time a stage, and note its counts, its calls and their cost in `run.json`.

        Args:
            name: of the stage. The block is handed the mapping of its counts.
        """
        hits, calls, cost = self.store.hits, self.store.calls, self.store.cost
        with self.run.stage(name) as counts:
            yield counts
        spent = {"calls": self.store.calls - calls, "stored": self.store.hits - hits, "cost": self.store.cost - cost}
        self.run.note(spent={name: spent})

    def free(self) -> None:
        """Free the open model and its weights."""
        if isinstance(self._open, BatchModel):
            self._open.close()
        self._open = None

    def model(self, spec: ModelSpec) -> Model:
        """The open model of a settings entry; another one that is open is freed first.

        Args:
            spec: the entry.

        Raises:
            ModelError: the model is not there, or is a class outside spavl and `allow_code` is off.
        """
        if self._open is None or self._opened != spec:
            self.free()
            self._open, self._opened = open_model(spec, allow_code=self.allow_code), spec
            self._log_device(self._open)
        return self._open

    def _log_device(self, model: Model) -> None:
        """Log device and number format of local models, once each."""
        if isinstance(model, LocalModel) and (model.device, model.dtype) not in self._logged:
            self._logged.add((model.device, model.dtype))
            self.progress.log(f"local models run on {model.device} in {model.dtype}")

    def _call(self, spec: ModelSpec, sampling: Sampling, doing: str, prompts: Sequence[Prompt]) -> list[Reply]:
        with self.progress.bar(doing) as on_progress:
            return complete(self.model(spec), prompts, sampling=sampling, store=self.store, on_progress=on_progress)
