"""A list of PDQ hashes of pictures that must not be used: asked before a picture is stored, shown or sent."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from spavl.errors import DataError
from spavl.similarity.hamming import HashIndex, bits_of

_LINE: Final = re.compile(r'"?([0-9a-fA-F]{64})"?(?:[\s,;].*)?')


class HashList:
    """PDQ hashes of pictures that must not be used.

    Args:
        hashes: each of 64 hexadecimal digits.
        distance: most bits by which a picture that matches differs from one of them.
    """

    def __init__(self, hashes: Iterable[str], distance: int) -> None:
        self._index = HashIndex(distance)
        for one in hashes:
            self._index.add(bits_of(one))

    def __len__(self) -> int:
        return len(self._index)

    def holds(self, pdq: str) -> bool:
        """Whether a picture matches, whatever the quality of its hash: better one too many is left out.

        Args:
            pdq: hash of the picture.
        """
        return bool(self._index.near(bits_of(pdq)))


def read_hash_list(path: Path, distance: int) -> HashList:
    """The hashes of a text or CSV file: first in their lines; a heading, empty lines and `#` comments are passed over.

    Args:
        path: the file.
        distance: most bits by which a picture that matches differs from one of the hashes.

    Raises:
        DataError: the file cannot be read, holds no hash, or a line begins with none.
    """
    try:
        found = HashList(_hashes(path), distance)
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise DataError(f"The hash list cannot be read: {why}", where=str(path),
                        try_="name a text file in `build.collect.filters.hash_list`") from error  # fmt: skip
    if not len(found):
        raise DataError("The hash list holds no hash", where=str(path), try_="64 hexadecimal digits a line")
    return found


def _hashes(path: Path) -> Iterator[str]:
    with path.open(encoding="utf-8-sig") as file:
        for number, line in enumerate(file, 1):
            text = line.strip()
            if not text or text.startswith("#"):
                continue
            found = _LINE.fullmatch(text)
            if found is not None:
                yield found[1].lower()
            elif number > 1 or not re.fullmatch(r'["\w ,;-]*[g-zG-Z_]["\w ,;-]*', text):
                what = "This line begins with no PDQ hash, which is 64 hexadecimal digits"
                raise DataError(what, where=f"{path}, line {number}", try_="one hash a line; `#` begins a comment")
