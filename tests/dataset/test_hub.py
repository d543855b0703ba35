"""A dataset of the Hub, by the Hub's own client against a stand-in of its server."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import unquote, urlsplit

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.dataset.pictures import noise

COMMIT = "0123456789abcdef0123456789abcdef01234567"
SCRIPT = """
import sys
from spavl.config.build import CollectSettings
from spavl.config.sources import DatasetSettings
from spavl.dataset.collect import find_in_dataset
from spavl.taxonomy import load_taxonomy

wanted = CollectSettings(dataset=DatasetSettings(path="someone/pictures", split=sys.argv[1]))
print([len(one.read(10**6)) for one in find_in_dataset(wanted, load_taxonomy())])
"""


class Hub(ThreadingHTTPServer):
    """A stand-in for the Hub with one dataset, `someone/pictures`."""

    daemon_threads = True

    def __init__(self, files: dict[str, bytes]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files = files
        self.downloads: Counter[str] = Counter()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Hub

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path)
        files = self.server.files
        if path.startswith(f"/datasets/someone/pictures/resolve/{COMMIT}/"):
            name = path.removeprefix(f"/datasets/someone/pictures/resolve/{COMMIT}/")
            self.server.downloads[name] += self.command == "GET"
            self.give(files[name])
        elif path.startswith("/api/datasets/someone/pictures/tree/"):
            listed = [{"type": "file", "path": name, "size": len(data), "oid": "0"} for name, data in files.items()]
            self.give(json.dumps(listed).encode())
        elif path.startswith("/api/datasets/someone/pictures"):
            siblings = [{"rfilename": name} for name in files]
            self.give(json.dumps({"id": "someone/pictures", "sha": COMMIT, "siblings": siblings}).encode())
        else:
            self.send_error(404)

    def give(self, body: bytes) -> None:
        """Send a body, or for HEAD its headers."""
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("ETag", f'"{hashlib.sha256(body).hexdigest()}"')
        self.send_header("X-Repo-Commit", COMMIT)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        """Nothing is written."""


def shard(start: int) -> bytes:
    """A Parquet file of three pictures."""
    out = pa.BufferOutputStream()
    rows = [{"image": {"bytes": noise(n), "path": f"{n}.png"}, "class3": "weapon"} for n in range(start, start + 3)]
    pq.write_table(pa.Table.from_pylist(rows), out)
    return bytes(out.getvalue())


@pytest.fixture
def hub() -> Iterator[Hub]:
    """The stand-in, with two splits."""
    server = Hub(
        {
            "README.md": b"words", "data/train-00000-of-00002.parquet": shard(0),
            "data/train-00001-of-00002.parquet": shard(3), "data/test-00000-of-00001.parquet": shard(6),
        }
    )  # fmt: skip
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_split_is_downloaded_once_and_served_from_the_cache_without_a_network(hub: Hub, tmp_path: Path) -> None:
    address = f"http://127.0.0.1:{hub.server_port}"
    env = {**os.environ, "HF_ENDPOINT": address, "HF_HOME": str(tmp_path), "HF_HUB_DISABLE_XET": "1",
           "HF_HUB_DISABLE_PROGRESS_BARS": "1", "NO_PROXY": "*"}  # fmt: skip

    def run(split: str, **more: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", SCRIPT, split]
        return subprocess.run(command, capture_output=True, text=True, env={**env, **more}, check=False)

    sizes = str([len(noise(number)) for number in range(6)])
    done = run("train")
    assert done.stdout.strip() == sizes, done.stderr
    assert hub.downloads == {"data/train-00000-of-00002.parquet": 1, "data/train-00001-of-00002.parquet": 1}
    offline = run("train", HF_HUB_OFFLINE="1")
    assert offline.stdout.strip() == sizes, offline.stderr
    assert hub.downloads.total() == 2
