"""The interface of encoders: pictures, and texts where there is a text tower, as vectors of length one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image


class ImageEncoder(Protocol):
    """Whatever turns pictures into vectors, such as CLIP: the product of two vectors is their similarity (cosine)."""

    @property
    def identity(self) -> str:
        """What its vectors depend on; vectors of two identities must not be compared."""
        ...

    def encode_images(self, images: Sequence[Image.Image]) -> NDArray[np.float32]:
        """Vectors [N, D] of pictures, each of length one.

        Args:
            images: N of them, upright and in RGB; they are split into batches that fit into memory.

        Raises:
            ModelError: it cannot take one of them.
        """
        ...

    def encode_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Vectors [N, D] of texts, each of length one, in the space of the pictures.

        Args:
            texts: N of them; what is longer than the text tower reads is cut off.

        Raises:
            ModelError: it has no text tower.
        """
        ...
