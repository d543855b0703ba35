"""Processor outputs of pictures (pixel values and their like), kept in memory."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from typing import final

from PIL import Image
from torch import Tensor

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

    def __len__(self) -> int:
        return len(self._cached)

    def pixels(self, pictures: Iterable[Picture]) -> dict[str, dict[str, Tensor]]:
        """The vision tower's inputs of pictures, by picture key and then by the name of the model's argument.

        Args:
            pictures: those that a forward pass shows; repeated ones count once.
        """
        wanted = {picture.key: picture for picture in pictures}
        found = {key: self._cached[key] for key in wanted if key in self._cached}
        for key in found:
            self._cached.move_to_end(key)
        prepared = self._prepare([picture for key, picture in wanted.items() if key not in found])
        for key, tensors in prepared.items():
            self._cached[key] = tensors
            self._free -= _bytes(tensors)
        while self._free < 0:
            self._free += _bytes(self._cached.popitem(last=False)[1])
        return found | prepared

    def _prepare(self, pictures: Sequence[Picture]) -> dict[str, dict[str, Tensor]]:
        """All in one processor call where a row of each output belongs to one picture, else one call a picture."""
        images = [self._load(picture) for picture in pictures]
        several = len(images) > 1 and self._family.facts.picture_tokens == "fixed"
        together = self._family.pixels(images) if several else {}
        if together and all(len(value) == len(images) for value in together.values()):
            tensors = [{name: value[n : n + 1].clone() for name, value in together.items()} for n in range(len(images))]
        else:
            tensors = [self._family.pixels([image]) for image in images]
        return {picture.key: tensor for picture, tensor in zip(pictures, tensors, strict=True)}


def _bytes(tensors: dict[str, Tensor]) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())
