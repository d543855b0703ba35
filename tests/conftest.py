"""What the tests of several rooms share."""

from __future__ import annotations

from pathlib import Path

import pytest

from spavl.threads import let_waiting_threads_sleep
from tests.tiny import tiny_llava

let_waiting_threads_sleep()


@pytest.fixture(scope="session")
def tiny_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a random LLaVA of a few thousand weights; not to be written into."""
    return tiny_llava(tmp_path_factory.mktemp("tiny-llava"))
