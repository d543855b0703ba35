"""Chat messages of other frameworks as prompts: words and pictures, which are kept under the hash of their bytes."""

from __future__ import annotations

import base64
import binascii
import hashlib
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from PIL import Image

from spavl.errors import DataError
from spavl.evaluate.pictures import store_picture
from spavl.models.base import Prompt
from spavl.records import ImageRef, Role, Turn

GivenPicture = Image.Image | bytes | str | Path
"""A picture as other frameworks hold one: opened, its bytes, a path, or a data URL."""


@dataclass(frozen=True, slots=True)
class Shown:
    """A picture among the parts of a message."""

    picture: GivenPicture
    """The picture."""


@dataclass(frozen=True, slots=True)
class ChatTurn:
    """A message."""

    role: str
    """`system`, `user` or `assistant`."""
    parts: Sequence[str | Shown]
    """Its words and pictures, in order."""

    @property
    def text(self) -> str:
        """All its words; parts stand on lines of their own."""
        return "\n".join([part for part in self.parts if isinstance(part, str) and part])

    @property
    def pictures(self) -> list[GivenPicture]:
        """All its pictures."""
        return [part.picture for part in self.parts if isinstance(part, Shown)]

    @property
    def interleaved(self) -> bool:
        """Whether a picture stands after words; a prompt shows it before them."""
        kinds = [isinstance(part, Shown) for part in self.parts if part]
        return any(later and not earlier for earlier, later in pairwise(kinds))


def prompt_of(turns: Sequence[ChatTurn], keep: Callable[[GivenPicture], ImageRef], *, item: str = "") -> Prompt:
    """A conversation as a prompt; the pictures of a turn stand before its words.

    Args:
        turns: the conversation, which ends with the user's turn.
        keep: where a picture is kept.
        item: what is asked about, for models of kind `python`.

    Raises:
        DataError: it does not end with the user's turn, or a role is not known.
    """
    system = "\n".join([turn.text for turn in turns if turn.role == "system"])
    spoken = [turn for turn in turns if turn.role != "system"]
    if not spoken or spoken[-1].role != "user":
        raise DataError("A conversation does not end with a turn of the user", where=item)
    *earlier, last = [Turn(_role(turn, item), turn.text, tuple(map(keep, turn.pictures))) for turn in spoken]
    return Prompt(last.text, images=last.images, system=system, earlier=tuple(earlier), item=item)


def _role(turn: ChatTurn, item: str) -> Role:
    if turn.role == "user":
        return "user"
    if turn.role == "assistant":
        return "assistant"
    raise DataError(f"A turn of `{turn.role}` cannot be shown to a model", where=item)


class PictureFolder:
    """Keeps pictures in a folder, each once, as a file named by the hash of its bytes.

    Args:
        folder: made when the first picture is kept.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._of_pixels: dict[str, ImageRef] = {}

    def keep(self, picture: GivenPicture) -> ImageRef:
        """The reference to a picture, written unless it is there.

        Args:
            picture: opened, its bytes, a path, or a data URL; an opened one is written as PNG, which loses nothing.

        Raises:
            DataError: it is a web address, is not there, or its base64 cannot be read.
            RunError: the folder cannot be written.
        """
        if isinstance(picture, Image.Image):
            return self._keep_opened(picture)
        return store_picture(picture if isinstance(picture, bytes) else _bytes_of(str(picture)), self._folder)

    def _keep_opened(self, picture: Image.Image) -> ImageRef:
        pixels = hashlib.sha256(f"{picture.mode} {picture.size}".encode() + picture.tobytes()).hexdigest()
        if pixels not in self._of_pixels:
            file = io.BytesIO()
            picture.save(file, "PNG", compress_level=1)
            self._of_pixels[pixels] = store_picture(file.getvalue(), self._folder)
        return self._of_pixels[pixels]


def _bytes_of(picture: str) -> bytes:
    """The bytes of a picture that a path or a data URL names."""
    head, comma, rest = picture.partition(",")
    if head.startswith("data:") and comma:
        try:
            return base64.b64decode(rest, validate=True)
        except binascii.Error as error:
            raise DataError(f"The base64 of a picture cannot be read: {error}", where=head) from error
    if picture.startswith(("http://", "https://")):
        raise DataError("A picture is named by a web address, and nothing is downloaded", where=picture[:200])
    path = Path(picture.removeprefix("file://"))
    if not path.is_file():
        raise DataError("A picture is not there", where=str(path)[:200])
    return path.read_bytes()
