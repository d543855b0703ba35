"""What the tests of several rooms share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.tiny import tiny_llava

# Before anything imports torch: see `spavl.models.device.let_waiting_threads_sleep`.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


@pytest.fixture(scope="session")
def tiny_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a random LLaVA of a few thousand weights; not to be written into."""
    return tiny_llava(tmp_path_factory.mktemp("tiny-llava"))
