"""Processor outputs of pictures (pixel values and their like), kept in memory; or what a frozen tower made of them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import final

from PIL import Image
from torch import Tensor

from spavl.align.data.feature_cache import FeatureCache
from spavl.models.families import Family
from spavl.pictures import Picture


@final
class PixelCache:
    """The processor's tensors of every picture, prepared once and kept while there is room: least recently used goes.

    Args:
        family: whose processor prepares a picture.
        memory: bytes of tensors kept between calls; 0 keeps none.
        load: opens a picture, upright and in RGB.
    """

    def __init__(self, family: Family, memory: int, load: Callable[[Picture], Image.Image] = Picture.load) -> None:
        self._family = family
        self._load = load
        self._free = memory
        self._cached: OrderedDict[str, dict[str, Tensor]] = OrderedDict()
        self.features: FeatureCache | None = None
        """What the vision tower gives for every picture that is asked for; None: its inputs are prepared."""

    def __len__(self) -> int:
        return len(self._cached)

    def pixels(self, pictures: Iterable[Picture]) -> dict[str, dict[str, Tensor]]:
        """The vision tower's inputs of pictures, by picture key and then by the name of the model's argument.

        Where there are `features`, these: they are mapped from disk, and not kept here.

        Args:
            pictures: those that a forward pass shows; repeated ones count once.

        Raises:
            DataError: a picture cannot be read.
            RunError: its features have been removed or damaged.
        """
        wanted = {picture.key: picture for picture in pictures}
        if self.features:
            return {key: self.features.read(picture) for key, picture in wanted.items()}
        found = {key: self._cached[key] for key in wanted if key in self._cached}
        for key in found:
            self._cached.move_to_end(key)
        prepared = {key: self._prepare(picture) for key, picture in wanted.items() if key not in found}
        return found | prepared

    def _prepare(self, picture: Picture) -> dict[str, Tensor]:
        """One picture's tensors. Opened pictures are large, so there is never more than one."""
        tensors = self._family.pixels([self._load(picture)])
        self._cached[picture.key] = tensors
        self._free -= _bytes(tensors)
        while self._free < 0:
            self._free += _bytes(self._cached.popitem(last=False)[1])
        return tensors


def _bytes(tensors: dict[str, Tensor]) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())
