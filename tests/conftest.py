"""What the tests of several rooms share."""

from __future__ import annotations

import gc
import importlib
import os
import sys
from collections.abc import Generator
from contextlib import suppress
from pathlib import Path

import jaxtyping
import pytest
from hypothesis import HealthCheck, settings

from spavl.threads import let_waiting_threads_sleep
from tests.shapes import CHECKED

os.environ.setdefault("OMP_NUM_THREADS", "1")  # of every process: there are as many that test as there are cores
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # or every process that a test starts compiles all of spavl again
sys.dont_write_bytecode = False
let_waiting_threads_sleep()
# how long an example takes says what else the machine does, and nothing of what is tested
settings.register_profile("suite", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("suite")
jaxtyping.install_import_hook(list(CHECKED), "beartype.beartype")


LONG = (
    "pipeline/test_ray_runner.py", "end_to_end/test_demo.py", "align/dpo/test_train.py", "align/ppo/test_train.py",
    "end_to_end/test_pay_once.py", "pipeline/test_trainings.py", "align/test_sharded.py", "align/test_launches.py",
    "align/test_mixed_pairs.py", "models/backends/test_local_trees.py", "pipeline/test_real_demo.py",
    "end_to_end/test_kill_training.py",
)  # fmt: skip
"""Files that take half a minute or more, the longest first: begun last, one of them would be waited for by the rest."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the tests of long files first."""
    place = {Path(__file__).parent / file: number for number, file in enumerate(LONG)}
    items.sort(key=lambda item: place.get(item.path, len(LONG)))


@pytest.fixture(scope="session")
def tiny_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a random LLaVA of a few thousand weights; not to be written into."""
    from tests.tiny import tiny_llava

    return tiny_llava(tmp_path_factory.mktemp("tiny-llava"))


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection() -> Generator[None, object, object]:
    """Import the tests, of several workers each from another one on, so that they share the work of compiling them."""
    name, workers = os.environ.get("PYTEST_XDIST_WORKER", ""), int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    if name and workers > 1:
        here = Path(__file__).parent
        files = sorted(here.rglob("test_*.py"))
        first = len(files) * int(name.removeprefix("gw")) // workers
        for file in files[first:] + files[:first]:
            with suppress(BaseException):  # collecting it says what is wrong with it
                importlib.import_module(".".join(file.relative_to(here.parent).with_suffix("").parts))
    return (yield)


def pytest_collection_finish() -> None:
    """Let no later collection of garbage look through what is there now, and stays: modules and thousands of tests."""
    gc.collect()
    gc.freeze()


def pytest_sessionfinish() -> None:
    """Let the end of the process free what was frozen: some libraries say at length what is left."""
    gc.unfreeze()
