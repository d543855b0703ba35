"""Reviews for tests: items with pictures on disk, a server in a process of its own, and a browser."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

from PIL import Image

from spavl.labels.record import Answer, Item
from spavl.labels.store import LabelStore
from spavl.pictures import file_sha256
from spavl.review.access import access_token
from spavl.review.guidelines import keep_guidelines
from spavl.review.opened import OpenReview
from spavl.review.pictures import PictureIndex

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
SUBJECT = {"class1": "Malicious Use", "class2": "Security threats", "class3": "weapon"}
SERVER = """
import sys
from pathlib import Path
from spavl.review.access import address
from spavl.review.app import create_app
from spavl.review.serve import listen, serve
from tests.review.reviews import opened

review = opened(Path(sys.argv[1]))
listening = listen("127.0.0.1", int(sys.argv[2]) or None)
port = listening.getsockname()[1]
serve(create_app(review), listening, on_start=lambda: print(address("127.0.0.1", port, review.token), flush=True))
"""


def picture(folder: Path, number: int) -> str:
    """Key of a picture that is written into a folder."""
    path = folder / f"picture-{number}.png"
    Image.new("RGB", (120, 90), (40 * number % 255, 90, 120)).save(path)
    return file_sha256(path)


def pair(number: int, images: tuple[str, ...] = (), **more: object) -> Item:
    """A pair whose first answer is named so that a test can tell it, wherever it stands."""
    answers = (Answer(text=f"first answer of {number}", source="model-one", outcome="refusal"),
               Answer(text=f"second answer of {number}", source="model-two", outcome="unsafe"))  # fmt: skip
    values = {"stratum": "all", "question": f"request {number}", "answers": answers, "images": images, "about": SUBJECT}
    return Item(**{"item_id": f"pair-{number}", "kind": "pair"} | values | more)  # type: ignore[arg-type]


def made(
    folder: Path, items: list[Item], places: dict[str, list[str | int] | None] | None = None, **how: object
) -> Path:
    """The folder of a review of some items."""
    folder.mkdir(parents=True, exist_ok=True)
    PictureIndex.write(folder, places or {})
    settings = {"made_from": "a run", "settings": {"kind": "pairs"}, "overlap": 0.0} | how
    LabelStore.create(folder / "review.sqlite", items, **settings).close()  # type: ignore[arg-type]
    return folder


def opened(folder: Path) -> OpenReview:
    """A review as the command opens it."""
    keep_guidelines(folder, None)
    return OpenReview.of(
        LabelStore(folder / "review.sqlite"), folder, title="Review of a run", token=access_token(folder)
    )


class Server:
    """A review served by another process, which can be killed and started again at the same port."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = 0
        self.address = ""
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> str:
        """Start it; its address."""
        command = [sys.executable, "-c", SERVER, str(self.folder), str(self.port)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=dict(os.environ))
        assert self._process.stdout is not None
        self.address = self._process.stdout.readline().strip()
        self.port = int(re.search(r":(\d+)/", self.address)[1])  # type: ignore[index]
        return self.address

    def stop(self, how: signal.Signals = signal.SIGKILL) -> None:
        """Kill it as a power cut does."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.communicate()
            self._process = None
