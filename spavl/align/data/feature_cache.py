"""What a frozen vision tower gives for pictures, computed once and kept on disk: shared by all trainings on that tower.

Each tower has a folder, named by `tower_fingerprint`, with parts in the safetensors format. A part holds some pictures
— the tower's features in the form of its inputs, from `trees.tower.encode` — under the key of picture and view, and a
checksum of each. Parts are mapped into memory, written whole or not at all, and never changed, so processes add to a
folder at the same time. A part that cannot be opened, or a picture whose checksum is wrong, counts as not there, and is
computed again.
"""

from __future__ import annotations

import json
import uuid
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, final

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from spavl.atomic import atomic_write
from spavl.errors import RunError
from spavl.pictures import Picture

Features = dict[str, Tensor]
"""What the tower gives for one picture, by the name of the model's argument."""


@final
class FeatureCache:
    """The features that one tower gave, by picture.

    Args:
        root: folder of all caches.
        fingerprint: of the tower, from `tower_fingerprint`.
    """

    def __init__(self, root: Path, fingerprint: str) -> None:
        self.folder = root / fingerprint
        self._open_files: dict[Path, tuple[Any, list[str]]] = {}
        self._places: dict[str, list[tuple[Path, int]]] = {}
        self.open_new_files()

    def __reduce__(self) -> tuple[type[FeatureCache], tuple[Path, str]]:
        return FeatureCache, (self.folder.parent, self.folder.name)

    def open_new_files(self) -> None:
        """Open the parts that were added since; one that is damaged is left out."""
        for path in sorted(set(self.folder.glob("*.safetensors")) - self._open_files.keys()):
            try:
                part: Any = safe_open(path, framework="pt")
                about = part.metadata()
                checksums, names = json.loads(about["checksums"]), json.loads(about["arguments"])
            except (SafetensorError, OSError, KeyError, TypeError, ValueError):
                continue
            self._open_files[path] = part, names
            for key, checksum in checksums.items():
                self._places.setdefault(key, []).append((path, checksum))

    def __contains__(self, picture: Picture) -> bool:
        return picture.key in self._places

    def find(self, picture: Picture) -> Features | None:
        """A picture's features; None where there are none, or all that there are is damaged.

        Args:
            picture: from `in_view`, whose key names picture and view.
        """
        for path, checksum in self._places.get(picture.key, ()):
            try:
                found = _read(*self._open_files[path], picture.key)
            except (SafetensorError, OSError):
                continue
            if found and _checksum(found) == checksum:
                return found
        return None

    def read(self, picture: Picture) -> Features:
        """A picture's features.

        Args:
            picture: one whose features were found or added.

        Raises:
            RunError: they are not there any more, or have been damaged since.
        """
        found = self.find(picture)
        if found is None:
            raise RunError(
                "The features of a picture have been removed or damaged while they were in use.",
                where=str(self.folder),
                try_="run the same command again: they are computed anew",
            )
        return found

    def add(self, rows: Mapping[str, Features]) -> None:
        """Write more pictures, in a part of their own, which is there whole or not at all.

        Args:
            rows: features on the CPU, by key of picture and view.

        Raises:
            RunError: the disk is full or the folder cannot be written.
        """
        if not rows:
            return
        tensors = {_name(key, name): tensor for key, row in rows.items() for name, tensor in row.items()}
        about = {
            "checksums": json.dumps({key: _checksum(row) for key, row in rows.items()}),
            "arguments": json.dumps(sorted({name for row in rows.values() for name in row})),
        }
        part = self.folder / f"{uuid.uuid4().hex}.safetensors"
        try_ = "make room, name another folder with align.features.cache, or use align.features.mode=live"
        with atomic_write(part, what="The cache of picture features", try_=try_) as tmp:
            tmp.write_bytes(save(tensors, metadata=about))  # `save_file` lets nobody else read what it writes
        self.open_new_files()


def _name(key: str, name: str) -> str:
    """The name of a tensor in a part: an argument of the model, which holds no space, and the picture."""
    return f"{name} {key}"


def _read(part: Any, names: Sequence[str], key: str) -> Features:
    return {name: part.get_tensor(_name(key, name)) for name in names}


def _checksum(row: Features) -> int:
    """Changes when a byte of the features, their shape or their number format is changed by accident."""
    found = 0
    for name, tensor in sorted(row.items()):
        found = zlib.crc32(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode(), found)
        found = zlib.crc32(tensor.contiguous().flatten().view(torch.uint8).numpy(), found)
    return found
