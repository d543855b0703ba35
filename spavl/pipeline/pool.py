"""The models of the settings, opened when they are first asked."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from difflib import get_close_matches

from spavl.config import ModelSpec
from spavl.errors import SettingsError
from spavl.models import open_model
from spavl.models.backends.local import LocalModel
from spavl.models.base import AsyncModel, BatchModel, Model
from spavl.models.identity import other_base
from spavl.progress import Progress


class ModelPool:
    """Open models by their names: endpoints stay open, and one model with weights or code of its own is open at once.

    Args:
        specs: the settings' models.
        progress: where it is logged on which device local models run, and which model answers at an endpoint.
        allow_code: allow models of kind `python` outside spavl.
        on_free: called with a model that is freed.
    """

    def __init__(
        self,
        specs: Sequence[ModelSpec],
        progress: Progress,
        *,
        allow_code: bool,
        on_free: Callable[[Model], None] = lambda model: None,
    ) -> None:
        self._on_free = on_free
        self._specs: dict[str, ModelSpec] = {spec.name: spec for spec in specs}
        self._progress = progress
        self._allow_code = allow_code
        self._guard = threading.RLock()
        self._endpoints: dict[str, tuple[ModelSpec, Model]] = {}
        self._open: tuple[ModelSpec, Model] | None = None
        self._logged: set[tuple[str, str]] = set()

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

    def model(self, spec: ModelSpec) -> Model:
        """The open model of a settings entry. Where it has weights or code, another such model is freed first.

        Args:
            spec: the entry.

        Raises:
            ModelError: the model is not there, or is a class outside spavl and `allow_code` is off.
        """
        with self._guard:
            kept, opened = self._endpoints.get(spec.name) or self._open or (None, None)
            if opened is not None and kept == spec:
                return opened
            if spec.kind != "endpoint":
                self.free()
            model = open_model(spec, allow_code=self._allow_code, log=self._progress.log)
            if isinstance(model, AsyncModel):
                self._endpoints[spec.name] = (spec, model)
            else:
                self._open = (spec, model)
                self._log_device(model)
                if note := other_base(spec):
                    self._progress.log(note)
            return model

    def free(self) -> None:
        """Free the open model and its weights."""
        with self._guard:
            if self._open is not None and isinstance(self._open[1], BatchModel):
                self._open[1].close()
                self._on_free(self._open[1])
            self._open = None

    def _log_device(self, model: Model) -> None:
        """Log device and number format of local models, once each."""
        if isinstance(model, LocalModel) and (model.device, model.dtype) not in self._logged:
            self._logged.add((model.device, model.dtype))
            self._progress.log(f"local models run on {model.device} in {model.dtype}")
