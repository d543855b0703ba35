"""From trained weights to an ordinary checkpoint that plain `from_pretrained` opens, with processor and model card."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch.distributed.tensor import DTensor, distribute_tensor
from transformers.utils import logging as transformers_logging

from spavl.align.policy.policy import Policy, load_policy
from spavl.atomic import atomic_write, remove_abandoned
from spavl.config.align import AlignSettings
from spavl.config.models import LocalSpec
from spavl.errors import RunError
from spavl.models.backends.device import choose_device, choose_dtype
from spavl.models.backends.local import load_vlm
from spavl.models.identity import Checkpoint, find_checkpoint

TRAINED = "trained.safetensors"
"""File that holds every trained weight, by name."""
MAKE_ROOM_AND_RESUME = "make room and run the same command again; it resumes from its last checkpoint"
"""What to try where the disk is full."""
_WEIGHTS = ("*.safetensors", "*.safetensors.index.json", "*.bin", "*.pt", "*.pth", "*.gguf", "*.h5", "*.msgpack")
_NOT_COPIED = ("config.json", "generation_config.json", "README.md", "adapter_*", ".*")


@dataclass(frozen=True, slots=True)
class Exported:
    """Folders that were written."""

    checkpoint: Path | None
    """A whole model, opened by `AutoModelForImageTextToText.from_pretrained`."""
    adapter: Path | None
    """A peft adapter for the base model; None where weights outside any adapter were trained, or the base is one."""


def save_trained(weights: Mapping[str, torch.Tensor], folder: Path) -> None:
    """Write trained weights by name, atomically.

    Args:
        weights: trained parameters by name, each [...] of its own shape.
        folder: where `trained.safetensors` is written.

    Raises:
        RunError: the disk is full.
    """
    with weights_written(folder / TRAINED, "The trained weights") as tmp:
        save_file({name: weight.detach().cpu().contiguous() for name, weight in weights.items()}, tmp)


def load_trained(policy: Policy, folder: Path) -> None:
    """Put trained weights back into a policy.

    Args:
        policy: the policy, whose trained parameters are overwritten.
        folder: where `save_trained` wrote them.

    Raises:
        RunError: the weights are not those that this policy trains.
    """
    stored, wanted = load_file(folder / TRAINED), policy.trained()
    if {name: weight.shape for name, weight in stored.items()} != {name: w.shape for name, w in wanted.items()}:
        raise RunError(
            "The checkpoint holds other weights than are trained now.",
            where=str(folder),
            try_="Use the settings it was made with, or another output folder.",
        )
    with torch.no_grad():
        for name, weight in wanted.items():
            own = stored[name]
            if isinstance(weight, DTensor):  # sharded by FSDP2: each rank keeps its part
                own = distribute_tensor(own.to(weight.device), weight.device_mesh, weight.placements)
            weight.copy_(own)


def export(trained: Path, settings: AlignSettings, source: Checkpoint, out: Path, *, dtype: str, card: str) -> Exported:
    """Write `out/adapter` and `out/checkpoint` from trained weights; a folder that is not written anew is removed.

    The base model is opened anew and never quantised, so what is written does not depend on how the training was spread
    over devices.

    Args:
        trained: where `save_trained` wrote the weights.
        settings: the training's settings.
        source: the base model.
        out: the folder of the training.
        dtype: number format of the written weights, `float32` or `bfloat16`.
        card: text of the model card.

    Raises:
        RunError: the disk is full, or the weights are not those that the settings train.
    """
    plain = settings.model_copy(update={"freeze": settings.freeze.model_copy(update={"quantisation": "none"})})
    policy = load_policy(plain, source, dtype=dtype, device="cpu")
    load_trained(policy, trained)
    alone = policy.whole and source.adapter is None  # an adapter on an adapter names no model that could be opened
    adapter = _write(out / "adapter", lambda at: _save_adapter(policy, settings, at, card)) if alone else None
    checkpoint = None
    if settings.saving.merged or adapter is None:
        checkpoint = _write(out / "checkpoint", lambda at: _save_merged(policy, source.folder, dtype, at, card))
    for old in {out / "adapter", out / "checkpoint"} - {adapter, checkpoint}:
        shutil.rmtree(old, ignore_errors=True)  # of an earlier training
    return Exported(checkpoint, adapter)


def merge_adapter(adapter: Path, checkpoint: Path, settings: AlignSettings) -> Path:
    """Write the whole model of an adapter that a finished training left. Returns its folder.

    Args:
        adapter: the adapter's folder.
        checkpoint: the folder to be written.
        settings: the training's settings; the adapter was trained on their model.

    Raises:
        ModelError: the adapter does not fit the model.
        RunError: the disk is full.
    """
    source = find_checkpoint(LocalSpec(name="base", path=settings.model, revision=settings.revision))
    dtype = (
        "bfloat16"
        if choose_dtype(settings.machine.dtype, choose_device(settings.machine.device)) == "bfloat16"
        else "float32"
    )
    model, _ = load_vlm(source.folder, dtype, "cpu", adapter=adapter)
    card = (adapter / "README.md").read_text("utf-8")
    return _write(checkpoint, lambda at: _save_model(model, source.folder, dtype, at, card))


def _save_adapter(policy: Policy, settings: AlignSettings, folder: Path, card: str) -> None:
    policy.model.save_pretrained(folder)
    path = folder / "adapter_config.json"
    config = json.loads(path.read_text("utf-8"))
    # peft writes a set, in another order in every process: equal trainings would be different models
    ours = {"base_model_name_or_path": settings.model, "target_modules": sorted(config["target_modules"])}
    path.write_text(json.dumps({**config, **ours}, indent=2), "utf-8")
    (folder / "README.md").write_text(card, "utf-8")


def _save_merged(policy: Policy, source: Path, dtype: str, folder: Path, card: str) -> None:
    _save_model(policy.model.merge_and_unload() if policy.adapted else policy.model, source, dtype, folder, card)


def _save_model(model: Any, source: Path, dtype: str, folder: Path, card: str) -> None:
    """Save a model with the other files of the checkpoint that it was made from."""
    model.to(getattr(torch, dtype)).save_pretrained(folder)
    for file in sorted(source.rglob("*")):
        name = file.relative_to(source).as_posix()
        if file.is_file() and not any(fnmatch(name, one) for one in (*_WEIGHTS, *_NOT_COPIED)):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, folder / name)
    (folder / "README.md").write_text(card, "utf-8")


@contextmanager
def weights_written(path: Path, what: str) -> Iterator[Path]:
    """A file or folder of weights, written atomically; an error of safetensors there is one of the disk.

    Args:
        path: the file or folder.
        what: what is being written, the subject of the error's sentence.

    Raises:
        OSError: turned into the RunError of `atomic_write`.
    """
    remove_abandoned(path)
    with atomic_write(path, what=what, try_=MAKE_ROOM_AND_RESUME) as tmp:
        try:
            yield tmp
        except SafetensorError as error:
            raise OSError(str(error)) from error


def _write(folder: Path, fill: Callable[[Path], None]) -> Path:
    """Fill a folder, and put it in the place of the old one when it is whole; without transformers' progress bars."""
    shown = transformers_logging.is_progress_bar_enabled()
    transformers_logging.disable_progress_bar()
    try:
        with weights_written(folder, "The aligned model") as tmp:
            tmp.mkdir()
            fill(tmp)
    finally:
        if shown:
            transformers_logging.enable_progress_bar()
    return folder


def last_checkpoint(folder: Path) -> Path | None:
    """The newest checkpoint that is whole (Trainer writes its state file last); None: there is none.

    Args:
        folder: where Trainer keeps its checkpoints.
    """
    found = [path for path in folder.glob("checkpoint-*") if path.name.removeprefix("checkpoint-").isdigit()]
    for path in sorted(found, key=lambda path: int(path.name.removeprefix("checkpoint-")), reverse=True):
        if (path / TRAINED).is_file() and _is_json(path / "trainer_state.json"):
            return path
    return None


def _is_json(path: Path) -> bool:
    try:
        json.loads(path.read_text())
    except (OSError, ValueError):
        return False
    return True
