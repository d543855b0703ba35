"""What a road needs at hand: the settings, the call store, the models of the roster, and the person who waits."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any

from spavl.config import ModelSpec, SamplingSettings, Settings
from spavl.dataset.calls import Caller
from spavl.errors import SettingsError
from spavl.models import open_model
from spavl.models.backends.local import LocalModel
from spavl.models.base import BatchModel, Model, Prompt, Reply, Sampling
from spavl.models.calls.engine import complete
from spavl.models.calls.store import CallStore
from spavl.models.identity import check_roster
from spavl.progress import Progress
from spavl.run import Run


class Session:
    """Opens each model when it is first asked and frees it when the next one is."""

    def __init__(self, settings: Settings, progress: Progress, *, allow_code: bool = False) -> None:
        self.settings = settings
        self.progress = progress
        self.run = Run(Path(settings.out)).open()
        self._allow_code = allow_code
        self._specs: dict[str, ModelSpec] = {spec.name: spec for spec in settings.models}
        check_roster(settings.models)
        self.store = CallStore(Path(settings.store))
        self._open: Model | None = None
        self._told: set[tuple[str, str]] = set()
        self._opened: ModelSpec | None = None

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.free()
        self.store.close()

    def spec(self, label: str, setting: str) -> ModelSpec:
        """The roster's entry of that label.

        Raises:
            SettingsError: there is none; `setting` says who asked for it.
        """
        if label in self._specs:
            return self._specs[label]
        near = get_close_matches(label, self._specs, n=1)
        raise SettingsError(
            f"`{setting}` names the model `{label}`, which the roster `models` does not hold",
            try_=f"did you mean `{near[0]}`?"
            if near
            else f"add it under `models` (there are: {', '.join(self._specs) or 'none'})",
        )

    def caller(self, label: str, setting: str, sampling: SamplingSettings) -> Caller:
        """A model of the roster, bound to the store and the bars."""
        return partial(self._call, self.spec(label, setting), self.sampling(sampling))

    def sampling(self, settings: SamplingSettings) -> Sampling:
        """Sampling settings with the run's seed where they name none."""
        seed = self.settings.seed if settings.seed is None else settings.seed
        return Sampling(settings.temperature, settings.top_p, settings.max_tokens, seed)

    @contextmanager
    def stage(self, name: str) -> Iterator[dict[str, Any]]:
        """Time a stage of the run, and note its counts, the calls it made and what they cost."""
        hits, calls, cost = self.store.hits, self.store.calls, self.store.cost
        with self.run.stage(name) as counts:
            yield counts
        spent = {"calls": self.store.calls - calls, "stored": self.store.hits - hits, "cost": self.store.cost - cost}
        self.run.note(spent={name: spent})

    def free(self) -> None:
        """Let go of the weights of the model that was asked last."""
        if isinstance(self._open, BatchModel):
            self._open.close()
        self._open = None

    def model(self, spec: ModelSpec) -> Model:
        """The model of a roster's entry; the one before it is freed."""
        if self._open is None or self._opened != spec:
            self.free()
            self._open, self._opened = open_model(spec, allow_code=self._allow_code), spec
            self._say_where(self._open)
        return self._open

    def _say_where(self, model: Model) -> None:
        """Device and number format of local models, once each."""
        if isinstance(model, LocalModel) and (model.device, model.dtype) not in self._told:
            self._told.add((model.device, model.dtype))
            self.progress.log(f"local models run on {model.device} in {model.dtype}")

    def _call(self, spec: ModelSpec, sampling: Sampling, doing: str, prompts: Sequence[Prompt]) -> list[Reply]:
        with self.progress.bar(doing) as on_progress:
            return complete(self.model(spec), prompts, sampling=sampling, store=self.store, on_progress=on_progress)
