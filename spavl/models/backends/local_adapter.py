"""A peft adapter put on a model: every weight of its file must find its place, and every place its weight.

peft itself loads what fits and passes over the rest, so that an adapter whose names differ leaves the base as it was.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from peft import PeftConfig, PeftModel

from spavl.errors import ModelError
from spavl.models.identity import base_named_in


def put_adapter(model: Any, folder: Path, name: str = "default") -> Any:
    """The model with an adapter on it, frozen: a peft model around the one given, or that one itself if it is such.

    Args:
        model: a transformers model, or a peft model around one.
        folder: the adapter's folder, with `adapter_config.json`.
        name: what the adapter is called in the model.

    Raises:
        ModelError: the adapter does not fit the model, wholly and exactly, or its files are damaged.
    """
    with _errors(folder, model), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Found missing adapter keys")  # an error below
        warnings.simplefilter("ignore", FutureWarning)  # peft reads a name that transformers is about to drop
        config = PeftConfig.from_pretrained(folder)
        try:
            if not isinstance(model, PeftModel):
                model = PeftModel.from_pretrained(model, folder, name, config=config, torch_device="cpu")
            found = model.load_adapter(folder, name, is_trainable=False, torch_device="cpu")
        except KeyError as lost:  # of a module that is saved whole
            raise ModelError(f"The adapter does not fit the model: it lacks the weights `{lost.args[0]}`.") from lost
        check_keys("adapter", found.missing_keys, found.unexpected_keys)
    return model


def check_keys(kind: str, missing: Sequence[str], unexpected: Sequence[str]) -> None:
    """Refuse weights that do not fit a model: some that it needs are not there, or some that are there it has not.

    Args:
        kind: what holds the weights: `adapter` or `checkpoint`.
        missing: names of the weights that the model needs and the files lack.
        unexpected: names of the weights in the files for which the model has no place.

    Raises:
        ModelError: there are such.
    """
    parts = []
    if missing:
        parts.append(f"it lacks {len(missing)} weights that the model needs (such as `{min(missing)}`)")
    if unexpected:
        parts.append(f"it holds {len(unexpected)} that the model has no place for (such as `{min(unexpected)}`)")
    if parts:
        raise ModelError(f"The {kind} does not fit the model: {', and '.join(parts)}.")


@contextmanager
def _errors(folder: Path, model: Any) -> Iterator[None]:
    """Turn any error of loading an adapter into one sentence that names its own base and the model that it was put on;
    peft raises whatever kind a damaged or foreign file leads to."""
    try:
        yield
    except torch.OutOfMemoryError:
        raise
    except ModelError as error:
        raise ModelError(error.what, where=str(folder), try_=_advice(folder, model)) from error
    except Exception as error:
        lines = (str(error).strip() or type(error).__name__).splitlines()
        why = next((line.strip() for line in lines if "size mismatch" in line), lines[0])
        raise ModelError(
            f"The adapter cannot be loaded: {why}", where=str(folder), try_=_advice(folder, model)
        ) from error


def _advice(folder: Path, model: Any) -> str:
    """What to try: the base that the adapter names for itself, or its files saved anew."""
    named, given = base_named_in(folder), str(model.name_or_path)
    base = f"the model that it was trained on (its file names `{named}`, it was put on `{given}`)" if named else ""
    return f"{base}{', or ' if base else ''}save it again with peft's `save_pretrained`, or copy it anew"
