"""Pictures as everybody gets them, opened by one function: upright, RGB, transparency laid on white, 16 bits scaled.

Local models, training, endpoints, the collection of pictures and the report show the same pixels of a file. Files are
hostile input: only some formats are tried, and whatever a decoder raises is a sentence with the file.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from math import sqrt
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from spavl.errors import DataError

PICTURE_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")
"""Formats that are tried on a picture's bytes, wherever they come from. Without such a list Pillow tries all it knows,
and would hand PostScript to Ghostscript, which runs it as a program. (A telephone's MPO is read as the JPEG that it
begins with.)"""
MOST_PIXELS = 178_956_970
"""Pictures of more pixels are not decoded: a small file can claim any size (a decompression bomb). Pillow's own limit;
from half of it on Pillow warns."""
SHARP_BELOW = 96
"""Pictures whose longer side has fewer pixels are enlarged without smoothing where people look at them."""
GREY = (127, 127, 127)
"""RGB value of the blank picture."""
WHITE = (255, 255, 255)
"""What shows through a transparent pixel, as in vLLM, in Qwen's utilities and on paper."""
SIGNATURES: Mapping[bytes, str] = {
    b"\xff\xd8\xff": "JPEG", b"\x89PNG": "PNG", b"GIF8": "GIF", b"BM": "BMP", b"II*\0": "TIFF", b"MM\0*": "TIFF",
    b"II+\0": "BigTIFF", b"MM\0+": "BigTIFF", b"RIFF": "WebP", b"8BPS": "Photoshop", b"%!PS": "PostScript",
    b"%PDF": "PDF", b"<svg": "SVG", b"<?xml": "SVG or XML", b"<!DOC": "web page", b"<html": "web page",
    b"\0\0\1\0": "icon", b"\0\0\0\x0cjP": "JPEG 2000", b"\0\0\0\x0cJXL": "JPEG XL", b"\xff\x0a": "JPEG XL",
    b"version https://git-lfs": "Git LFS pointer",
}  # fmt: skip
"""What a file is called by its first bytes."""
PLAIN_MODES = ("RGB", "L", "P", "1")
"""Pillow's modes of pictures that every reader shows alike, where they have no transparency."""
ANIMATED = ("PNG", "WEBP", "GIF")
"""Formats that may have several frames."""
ENDS: Mapping[str, bytes] = {"JPEG": b"\xff\xd9", "MPO": b"\xff\xd9", "PNG": b"IEND"}
"""What stands at the end of a whole file."""
TAIL = 4096
"""Bytes at the end of a file in which it is looked for."""
_ORIENTATION = 0x0112
"""The EXIF tag of the camera's orientation; 5 to 8 are turned by a quarter."""
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_270, 7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}  # fmt: skip
"""What sets a picture upright, by its orientation."""


@dataclass(frozen=True, slots=True)
class FileSlice:
    """A file that is kept inside another one, among many."""

    path: Path
    """The file that holds it."""
    start: int
    """Where it begins."""
    length: int
    """Its bytes."""

    def read(self) -> bytes:
        """All of it; what Python raises over the file is left to the caller."""
        with self.path.open("rb") as file:
            file.seek(self.start)
            return file.read(self.length)


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture by its key (equal key, equal picture) and where its bytes are."""

    key: str
    """Identifies its content."""
    source: Path | bytes | FileSlice | Image.Image | None
    """Path of its file, the file's bytes, where these are kept, or the picture already opened (taken to be upright);
    None: it is named, and not to be had."""

    @property
    def missing(self) -> bool:
        """Whether there is no file of it."""
        return self.source is None or (isinstance(self.source, Path) and not self.source.is_file())

    def load(self) -> Image.Image:
        """The picture, upright, in RGB.

        Raises:
            DataError: it cannot be read.
        """
        if isinstance(self.source, Image.Image):
            return self.source.convert("RGB")
        return open_upright(self._file(), name=self._name())

    def size(self) -> tuple[int, int]:
        """Width and height in pixels, upright, from the file's header alone.

        Raises:
            DataError: it cannot be read.
        """
        if isinstance(self.source, Image.Image):
            return self.source.size
        return read_header(self._file(), name=self._name()).size

    def _file(self) -> Path | bytes:
        if self.source is None:
            raise DataError("there is no file of this picture", where=self._name())
        assert not isinstance(self.source, Image.Image)
        if not isinstance(self.source, FileSlice):
            return self.source
        with _sentences(self._name()):
            return self.source.read()

    def _name(self) -> str:
        return str(self.source) if isinstance(self.source, Path) else f"picture {self.key}"


@dataclass(frozen=True, slots=True)
class Header:
    """What a picture's file says before it is decoded."""

    kind: str
    """Pillow's name of the format."""
    size: tuple[int, int]
    """Width and height in pixels, upright."""
    plain: bool
    """Whether every reader shows the file as spavl does: upright as it is, of one frame, opaque, in at most 8 bits of
    colour or grey."""


def open_upright(file: Path | bytes, *, name: str = "") -> Image.Image:
    """The picture in a file as every model is shown it: upright, RGB, of an animation the first frame.

    Transparent pixels are laid on white. Grey of more than 8 bits is scaled to 8: 16-bit numbers by their whole range,
    other numbers by the smallest of the ranges 0 to 1, 255 and 65,535 that holds them all, or else from the lowest to
    the highest of them.

    Args:
        file: its path, or its bytes.
        name: what it is called in an error; its path if empty.

    Raises:
        DataError: it is no picture, damaged, of another format, or of more than `MOST_PIXELS`.
    """
    with _sentences(name or _name_of(file), file), _opened(file) as image:
        image.load()  # of a TIFF this sets it upright, and its orientation to 1
        turn = _UPRIGHT.get(_orientation(image))
        shown = _as_rgb(image)
        return shown if turn is None else shown.transpose(turn)


def read_header(file: Path | bytes, *, name: str = "") -> Header:
    """Format and size of a picture; it is not decoded, so that it may still be damaged.

    Args:
        file: its path, or its bytes.
        name: what it is called in an error; its path if empty.

    Raises:
        DataError: it is no picture, of another format, or of more than `MOST_PIXELS`.
    """
    with _sentences(name or _name_of(file), file), _opened(file) as image:
        orientation = _orientation(image)
        turned = orientation >= 5 and image.format != "TIFF"  # Pillow gives the upright size of a TIFF
        plain = image.mode in PLAIN_MODES and orientation == 1 and not image.has_transparency_data
        frames = image.n_frames if image.format in ANIMATED else 1  # type: ignore[attr-defined]
        size = image.size[::-1] if turned else image.size
        return Header(image.format or "", size, plain and frames == 1)


def check_picture(path: Path) -> None:
    """Check that a file is a picture and not cut off, without decoding it where its end is where it should be.

    Args:
        path: the file.

    Raises:
        DataError: it is missing, no picture, damaged, of another format, or of more than `MOST_PIXELS`.
    """
    with _sentences(str(path), path), _opened(path) as image:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - TAIL))
            whole = ENDS.get(image.format or "", b"\0absent\0") in file.read()
        if not whole:
            image.load()


def capped(image: Image.Image, max_pixels: int | None) -> Image.Image:
    """The picture, made smaller where it has too many pixels; its proportions are kept.

    Args:
        image: the picture.
        max_pixels: most pixels, width times height. None: any number.
    """
    size = capped_size(image.size, max_pixels)
    return image if size == image.size else image.resize(size, Image.Resampling.BICUBIC)


def capped_size(size: tuple[int, int], max_pixels: int | None) -> tuple[int, int]:
    """The size that `capped` gives a picture.

    Args:
        size: width and height in pixels.
        max_pixels: most pixels, width times height. None: any number.
    """
    width, height = size
    if max_pixels is None or width * height <= max_pixels:
        return size
    scale = sqrt(max_pixels / (width * height))
    return max(1, int(width * scale)), max(1, int(height * scale))


def grey_picture(size: tuple[int, int]) -> Image.Image:
    """A grey RGB picture, which the blind controls put in place of a real one.

    Args:
        size: width and height in pixels.
    """
    return Image.new("RGB", size, GREY)


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal digits; what Python raises over the file is left to the caller.

    Args:
        path: the file, read in pieces.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def _opened(file: Path | bytes) -> Iterator[Image.Image]:
    """The picture, its header read, if it has not too many pixels."""
    with Image.open(BytesIO(file) if isinstance(file, bytes) else file, formats=PICTURE_FORMATS) as image:
        width, height = image.size
        if width * height > MOST_PIXELS:
            raise Image.DecompressionBombError
        if not width or not height:
            raise ValueError("it has no pixels")
        yield image


@contextmanager
def _sentences(name: str, file: Path | bytes = b"") -> Iterator[None]:
    """Turn whatever a decoder raises over hostile bytes into a sentence."""
    try:
        yield
    except DataError:
        raise
    except FileNotFoundError as error:
        raise DataError("there is no such picture", where=name) from error
    except UnidentifiedImageError as error:
        raise DataError(_unidentified(file), where=name, try_="save it as JPEG or PNG") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise DataError(f"more than {MOST_PIXELS:,} pixels (a decompression bomb?)", where=name) from error
    except Exception as error:  # struct.error, EOFError, KeyError, SyntaxError, zlib.error …
        if isinstance(error, OSError) and error.strerror:
            raise DataError(f"cannot be read: {error.strerror}", where=name) from error
        what = " ".join(str(error).split())[:200] or type(error).__name__
        raise DataError(f"a damaged picture: {what}", where=name) from error


def _unidentified(file: Path | bytes) -> str:
    """What is said of a file that Pillow does not know."""
    if isinstance(file, bytes):
        start = file[:64]
    else:
        with file.open("rb") as opened:
            start = opened.read(64)
    if not start:
        return "the file is empty"
    kinds = (kind for begin, kind in SIGNATURES.items() if start.lstrip().startswith(begin))
    kind = "HEIC, AVIF or video" if start[4:8] == b"ftyp" else next(kinds, None)
    if kind is not None and kind.upper() in PICTURE_FORMATS:
        return f"a {kind} picture that is damaged, or of a sort that is not read"
    return "not a JPEG, PNG, WebP, GIF, BMP or TIFF picture" + (f" (found: {kind})" if kind else "")


def _name_of(file: Path | bytes) -> str:
    return str(file) if isinstance(file, Path) else "a picture"


def _orientation(image: Image.Image) -> int:
    """The camera's orientation; 1, upright, where the EXIF data are damaged: a picture is not lost over them."""
    try:
        found = image.getexif().get(_ORIENTATION, 1)
    except Exception:  # whatever a parser raises over hostile bytes
        return 1
    return found if found in _UPRIGHT else 1


def _as_rgb(image: Image.Image) -> Image.Image:
    """The decoded picture in RGB."""
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format == "PNG"):
        return _scaled(image, 65_535)
    if image.mode in ("I", "F"):
        return _scaled(image, None)
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        ground = Image.new("RGB", layer.size, WHITE)
        ground.paste(layer, mask=layer.getchannel("A"))
        return ground
    return image.convert("RGB")


def _scaled(image: Image.Image, most: float | None) -> Image.Image:
    """Grey numbers as RGB; the range is found where `most`, its upper end, is not known."""
    numbers = np.nan_to_num(np.asarray(image, dtype=np.float64), posinf=0.0, neginf=0.0)
    low, high = (0.0, most) if most else _range(float(numbers.min()), float(numbers.max()), image.mode)
    return Image.fromarray(np.rint((numbers - low) * (255 / (high - low))).astype(np.uint8), "L").convert("RGB")


def _range(low: float, high: float, mode: str) -> tuple[float, float]:
    """(black, white) of numbers without a declared range."""
    ranges = (1.0, 255.0, 65_535.0) if mode == "F" else (255.0, 65_535.0)
    found = next((most for most in ranges if low >= 0 and high <= most), None)
    return (0.0, found) if found else (low, high if high > low else low + 1)
