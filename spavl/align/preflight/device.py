"""Where a process trains: its device, its number format, and its place among all processes."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Literal

import torch
from accelerate import PartialState

from spavl.align.preflight.launcher import find_sharding, refuse_what_sharding_breaks
from spavl.config.align import AlignSettings
from spavl.errors import SettingsError
from spavl.models.backends.device import choose_device, choose_dtype


@dataclass(frozen=True, slots=True)
class DeviceContext:
    """The device of this process, its number format, and its place among all processes."""

    device: torch.device
    """Where model and batches are."""
    dtype: Literal["float32", "bfloat16"]
    """Of the frozen weights and the arithmetic."""
    rank: int = 0
    """Number of this process, from 0."""
    ranks: int = 1
    """Processes that train together."""

    def precision(self) -> AbstractContextManager[Any]:
        """Context of arithmetic in `dtype` (autocast for bfloat16); trained weights stay in float32.

        Without a cache: it would hold a copy of every trained weight until the end of the forward pass.
        """
        if self.dtype == "float32":
            return nullcontext()
        context: AbstractContextManager[Any] = torch.autocast(self.device.type, torch.bfloat16, cache_enabled=False)
        return context


def find_device_context(settings: AlignSettings) -> DeviceContext:
    """The device and number format of this process, and its rank.

    Args:
        settings: device and dtype under `machine`.

    Raises:
        SettingsError: several GPUs are visible and no launcher was used, or the launcher shards what cannot be sharded.
    """
    name = choose_device(settings.machine.device)
    state = PartialState(cpu=name == "cpu")
    if name == "cuda":
        refuse_without_launcher(torch.cuda.device_count(), state.num_processes, sys.argv[1:])
    refuse_what_sharding_breaks(settings, find_sharding(state.num_processes))
    dtype = choose_dtype(settings.machine.dtype, name)
    supported: Literal["float32", "bfloat16"] = "bfloat16" if dtype == "bfloat16" else "float32"
    return DeviceContext(torch.device(state.device), supported, state.process_index, state.num_processes)


def refuse_without_launcher(visible: int, processes: int, argv: Sequence[str]) -> None:
    """Refuse one process that sees several GPUs: transformers would train on them with the slow torch DataParallel.

    Args:
        visible: GPUs that this process sees.
        processes: processes that train together.
        argv: arguments of the command, to be repeated under a launcher.

    Raises:
        SettingsError: one process sees several GPUs.
    """
    if visible > 1 and processes == 1:
        command = shlex.join(["accelerate", "launch", "--num_processes", str(visible), "-m", "spavl", *argv])
        raise SettingsError(
            f"{visible} GPUs are visible to one process.",
            where="align.machine.device",
            try_=f"`{command}` for all of them, or CUDA_VISIBLE_DEVICES=0 for one",
        )
