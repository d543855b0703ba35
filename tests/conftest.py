"""What the tests of several rooms share."""

from __future__ import annotations

import os
from pathlib import Path

import jaxtyping
import pytest
from hypothesis import HealthCheck, settings

from spavl.threads import let_waiting_threads_sleep
from tests.shapes import CHECKED

os.environ.setdefault("OMP_NUM_THREADS", "1")  # of every process: there are as many that test as there are cores
let_waiting_threads_sleep()
# how long an example takes says what else the machine does, and nothing of what is tested
settings.register_profile("suite", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("suite")
jaxtyping.install_import_hook(list(CHECKED), "beartype.beartype")


@pytest.fixture(scope="session")
def tiny_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a random LLaVA of a few thousand weights; not to be written into."""
    from tests.tiny import tiny_llava

    return tiny_llava(tmp_path_factory.mktemp("tiny-llava"))
