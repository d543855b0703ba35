"""A small pipeline: settings with three mini responders, run through the real command in a folder of its own."""

from __future__ import annotations

import io
import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from PIL import Image

from spavl.config import LocalSpec
from spavl.models.identity import find_checkpoint
from tests import processes

RunCommand = Callable[..., subprocess.CompletedProcess[str]]

SMALL: dict[str, Any] = {
    "out": "run",
    "models": [
        {"name": "asker", "kind": "python", "target": "spavl.miniworld.oracle:Asker", "version": "1"},
        {"name": "guard", "kind": "python", "target": "spavl.miniworld.oracle:Guard", "version": "1"},
        {"name": "judge", "kind": "python", "target": "spavl.miniworld.oracle:Judge", "version": "1"},
        *({"name": n, "kind": "local", "path": f"miniworld:responders/{n}"} for n in ("amber", "grove", "lark")),
    ],
    "build": {
        "collect": {"source": "miniworld", "per_subcategory": 2, "benign_share": 0.5},
        "respond": {"models": ["amber", "grove", "lark"], "sampling": {"temperature": 1.0, "max_tokens": 24}},
        "match": {"groups": 3},
    },
    "align": {
        "model": "miniworld:base",
        "freeze": {"language": "full"},
        "optimiser": {"learning_rate": 5.0e-4, "max_steps": 3},
        "batching": {"pairs": 16},
    },
    "evaluate": {"benchmarks": [{"kind": "miniworld", "per_subset": 20}]},
}
"""53 subcategories, 106 pictures, 318 questions, 954 answers."""


@pytest.fixture
def spavl(tmp_path: Path) -> RunCommand:
    """Run `spavl …` in an empty folder that holds `small.yaml`."""
    (tmp_path / "small.yaml").write_text(yaml.safe_dump(SMALL, sort_keys=False))

    def run(*arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        done = processes.run("-m", "spavl", *arguments, cwd=tmp_path, env=environment())
        if check and done.returncode != 0:
            raise AssertionError(
                f"spavl {' '.join(arguments)} ended with {done.returncode}\n{done.stdout}\n{done.stderr}"
            )
        return done

    return run


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """`transformers serve` on loopback with the miniature world's base model."""
    for needed in ("fastapi", "uvicorn", "openai"):
        pytest.importorskip(needed)
    base = find_checkpoint(LocalSpec(name="base", path="miniworld:base")).folder
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [str(Path(sys.executable).with_name("transformers")), "serve", str(base), "--host", "127.0.0.1",
               "--port", str(port), "--device", "cpu"]  # fmt: skip
    with (tmp_path_factory.mktemp("server") / "log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environment())
        try:
            _wait_until_up(f"http://127.0.0.1:{port}/health", process)
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            process.terminate()
            process.wait()


def _wait_until_up(address: str, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + 90
    while time.monotonic() < until:
        assert process.poll() is None, "the server ended"
        try:
            with urllib.request.urlopen(address, timeout=2):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.3)
    raise AssertionError("the server did not come up")


def environment() -> dict[str, str]:
    """This environment, wide enough that sentences stay on one line, and without a network for Hub libraries."""
    return {**os.environ, "COLUMNS": "200", "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}


def write_pairs(path: Path, pictures: int, questions: tuple[str, ...] = ("what object is shown ?",)) -> None:
    """Pairs in the exact schema of `sqrti/SPA-VL`: every question about every picture, of one colour each."""

    def row(number: int, question: str) -> dict[str, object]:
        buffer = io.BytesIO()
        Image.new("RGB", (48, 48), (number * 20, 90, 120)).save(buffer, "PNG")
        return {
            "image": {"bytes": buffer.getvalue(), "path": f"{number}.png"}, "question": question,
            "chosen": "sorry , i cannot help with this .", "rejected": "yes .", "image_name": f"{number}.png",
        }  # fmt: skip

    pq.write_table(pa.Table.from_pylist([row(n, question) for n in range(pictures) for question in questions]), path)


def manifest(run: Path) -> dict[str, Any]:
    """What `run.json` holds."""
    return dict(json.loads((run / "run.json").read_text()))
