"""Device and dtype of local weights, decided without torch wherever the machine has no accelerator."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from spavl.errors import MissingExtra, ModelError
from spavl.threads import let_waiting_threads_sleep

ACCELERATOR_FILES = ("nvidia[0-9]*", "nvidiactl", "kfd", "dxg", "accel*")
"""Patterns of the device files of NVIDIA, AMD, WSL and other accelerators, under /dev."""


def choose_device(device: str) -> str:
    """Name of the torch device to use. Torch is imported only if the machine may have an accelerator.

    Args:
        device: `auto` for the best there is (`cuda`, `mps` or `cpu`); any other name is returned as it is.
    """
    if device != "auto":
        return device
    if not _may_have_accelerator():
        return "cpu"
    torch = _torch()
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def choose_dtype(dtype: str, device: str) -> str:
    """Name of the torch dtype to load weights in.

    Args:
        dtype: `auto` for `bfloat16` on a GPU that has it, `float16` on one that lacks it, and `float32` elsewhere; any
            other name is returned as it is.
        device: name of the torch device, never `auto`.

    Raises:
        ModelError: a GPU is named and torch finds none.
    """
    if dtype != "auto":
        return dtype
    if not device.startswith("cuda"):
        return "float32"
    torch = _torch()
    if not torch.cuda.is_available():
        raise ModelError(
            f"The device `{device}` was asked for, but torch finds no GPU.",
            try_="Use `device: cpu`, or install a driver.",
        )
    return "bfloat16" if torch.cuda.is_bf16_supported() else "float16"


def _may_have_accelerator(devices: Path = Path("/dev")) -> bool:
    return sys.platform != "linux" or any(any(devices.glob(name)) for name in ACCELERATOR_FILES)


def _torch() -> Any:
    let_waiting_threads_sleep()
    try:
        import torch
    except ImportError as missing:
        raise MissingExtra("Models of kind `local` need torch.", try_="pip install 'spavl[local]'") from missing
    return torch
