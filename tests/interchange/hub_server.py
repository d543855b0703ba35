"""A stand-in for the Hub's server: datasets that can be made, set, filled and looked at, and what was asked of it."""

from __future__ import annotations

import base64
import hashlib
import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import unquote, urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"
TOKEN = "hf_a_token_of_the_tests"
LFS = (".parquet", ".png", ".jpg")


@dataclass
class Repo:
    """A dataset as the server keeps it."""

    private: bool
    gated: Any = False
    files: dict[str, bytes] = field(default_factory=dict)
    seen: list[str] = field(default_factory=list)
    """What was done to it, in order."""


class Hub(ThreadingHTTPServer):
    """The server; the next commits answer with the statuses in `refusals`, and so many `lost_files` are not taken."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.repos: dict[str, Repo] = {}
        self.objects: dict[str, bytes] = {}
        self.sent: Counter[str] = Counter()
        self.refusals: list[int] = []
        self.lost_files = 0
        self.unknown: list[str] = []

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


@contextmanager
def serving() -> Iterator[Hub]:
    """The server while it runs."""
    server = Hub()
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Hub

    def do_POST(self) -> None:
        self.answer()

    do_GET = do_PUT = do_HEAD = do_POST

    def answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path = unquote(urlsplit(self.path).path)
        if path.startswith("/objects/"):
            if self.server.lost_files:
                self.server.lost_files -= 1
                return self.give({"error": "gone"}, 403)
            self.server.objects[path.removeprefix("/objects/")] = body
            self.server.sent[path.removeprefix("/objects/")] += 1
            return self.give({})
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            return self.give({"error": "Invalid username or password."}, 401)
        if path == "/api/repos/create":
            return self.create(json.loads(body))
        if path == "/api/validate-yaml":
            return self.give({"errors": [], "warnings": []})
        name = "/".join(path.removeprefix("/api").removeprefix("/datasets/").split("/")[:2]).removesuffix(".git")
        repo = self.server.repos.get(name)
        if repo is None:
            return self.give({"error": "Repository not found"}, 404)
        return self.of_repo(repo, path.partition(name)[2].removeprefix(".git"), body, name)

    def create(self, asked: dict[str, Any]) -> None:
        name = f"{asked['organization']}/{asked['name']}" if asked.get("organization") else asked["name"]
        url = {"url": f"{self.server.address}/datasets/{name}"}
        if name in self.server.repos:
            return self.give({**url, "error": "You already created this dataset repo"}, 409)
        private = bool(asked.get("private")) or asked.get("visibility") == "private"
        self.server.repos[name] = Repo(private, seen=[f"create private={private}"])
        return self.give(url)

    def of_repo(self, repo: Repo, what: str, body: bytes, name: str) -> None:
        if what == "":
            siblings = [{"rfilename": one} for one in repo.files]
            return self.give({"id": name, "sha": COMMIT, "private": repo.private, "gated": repo.gated,
                              "siblings": siblings})  # fmt: skip
        if what == "/settings":
            asked = json.loads(body)
            repo.gated = asked.get("gated", repo.gated)
            repo.private = asked.get("private", asked.get("visibility", "private" if repo.private else "") == "private")
            repo.seen.append(f"settings {json.dumps(asked, sort_keys=True)}")
            return self.give({})
        if what.startswith(("/tree/", "/paths-info/")):
            return self.give([{"type": "file", "path": one, "size": len(data), "oid": "0"}
                              for one, data in repo.files.items()])  # fmt: skip
        if what.startswith("/preupload/"):
            files = json.loads(body)["files"]
            modes = [{"path": one["path"], "uploadMode": "lfs" if one["path"].endswith(LFS) else "regular",
                      "shouldIgnore": False} for one in files]  # fmt: skip
            return self.give({"files": modes})
        if what == "/info/lfs/objects/batch":
            return self.give({"transfer": "basic", "objects": list(map(self.transfer, json.loads(body)["objects"]))})
        if what.startswith("/commit/"):
            return self.commit(repo, body, name)
        self.server.unknown.append(f"{self.command} {self.path}")
        return self.give({"error": "no such address"}, 404)

    def transfer(self, one: dict[str, Any]) -> dict[str, Any]:
        known = {"oid": one["oid"], "size": one["size"]}
        if one["oid"] in self.server.objects:
            return known
        return {**known, "actions": {"upload": {"href": f"{self.server.address}/objects/{one['oid']}"}}}

    def commit(self, repo: Repo, body: bytes, name: str) -> None:
        if self.server.refusals:
            return self.give({"error": "not now"}, self.server.refusals.pop(0))
        for line in map(json.loads, body.decode().splitlines()):
            value = line["value"]
            if line["key"] == "file":
                repo.files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                repo.files[value["path"]] = self.server.objects[value["oid"]]
            elif line["key"] == "deletedFile":
                del repo.files[value["path"]]
        repo.seen.append("commit")
        return self.give({"commitUrl": f"{self.server.address}/datasets/{name}/commit/{COMMIT}", "commitOid": COMMIT})

    def give(self, answer: Any, status: int = 200) -> None:
        data = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("Content-Type", "application/json")
        self.send_header("ETag", hashlib.sha256(data).hexdigest())
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def log_message(self, *args: object) -> None:
        """Nothing is written."""
