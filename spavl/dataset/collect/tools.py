"""Filters that need a costly tool: text by OCR, labels by a classifier, similarity and vectors by an encoder."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Protocol

import numpy as np
from PIL import Image

from spavl.dataset.collect.candidate import Unusable
from spavl.dataset.collect.measured import Numbers, Tool
from spavl.models.encoder import ImageEncoder
from spavl.records import ImageRecord

WINDOW_SIDE: Final = 0.8**0.5
"""Side of a window, of the picture's: four fifths of its area."""


class ToolFilter(Protocol):
    """Looks at what a tool measured of a picture."""

    @property
    def tool(self) -> Tool:
        """What measures."""
        ...

    def judged(self, record: ImageRecord, numbers: Numbers) -> ImageRecord:
        """The record with what was measured.

        Args:
            record: the picture.
            numbers: what the tool measured of it.

        Raises:
            Unusable: the picture fails the filter.
        """
        ...


@dataclass(frozen=True, slots=True)
class TextFilter:
    """Refuses pictures that text covers."""

    tool: Tool
    """Measures the share of the area that text covers, and pieces of text."""
    max_share: float
    """Most of the area that it may cover."""

    def judged(self, record: ImageRecord, numbers: Numbers) -> ImageRecord:
        """The record with share and pieces of text.

        Args:
            record: the picture.
            numbers: both.

        Raises:
            Unusable: there is too much text.
        """
        share = round(float(numbers[0]), 6)
        if share > self.max_share:
            most = f"`collect.filters.max_text_share` ({self.max_share:.1%})"
            raise Unusable("text", f"text covers {share:.1%} of it, more than {most}")
        return replace(record, text_share=share, text_boxes=int(numbers[1]))


@dataclass(frozen=True, slots=True)
class ClassifierFilter:
    """Refuses pictures of some labels."""

    tool: Tool
    """Measures the probability of each label."""
    refused: Sequence[int]
    """Places of the labels that refuse."""
    names: Sequence[str]
    """Their names."""
    threshold: float
    """Probability of them together from which on a picture is refused."""

    def judged(self, record: ImageRecord, numbers: Numbers) -> ImageRecord:
        """The record as it is.

        Args:
            record: the picture.
            numbers: probabilities by label.

        Raises:
            Unusable: it is of a label that refuses.
        """
        probability = float(numbers[list(self.refused)].sum())
        if probability >= self.threshold:
            named = " or ".join(f"`{name}`" for name in self.names)
            raise Unusable("classifier", f"the classifier says {named} with probability {probability:.2f}")
        return record


@dataclass(frozen=True, slots=True)
class EncoderTool:
    """An encoder as a tool: it measures the vector of a picture, and those of windows of it."""

    encoder: ImageEncoder
    """Of pictures, and of texts where similarity is asked for."""
    windows: int = 0
    """Windows in each direction; 0: the picture alone."""

    @property
    def identity(self) -> str:
        """What its vectors depend on."""
        return self.encoder.identity + (f"/windows {self.windows}" if self.windows else "")

    @property
    def vectors(self) -> int:
        """Vectors of a picture."""
        return 1 + self.windows**2

    def measure(self, pictures: Sequence[Image.Image]) -> Numbers:
        """The vector of each picture, then those of its windows row by row, all of length one: `[N, vectors · D]`.

        Args:
            pictures: N of them.
        """
        if not self.windows:
            return self.encoder.encode_images(pictures)
        shown = ([picture, *_windows(picture, self.windows)] for picture in pictures)
        return np.stack([self.encoder.encode_images(parts).reshape(-1) for parts in shown])


def _windows(picture: Image.Image, across: int) -> Iterator[Image.Image]:
    """Evenly spread parts of a picture, of `WINDOW_SIDE` of its sides."""
    width, height = (max(1, round(side * WINDOW_SIDE)) for side in picture.size)
    for down in np.linspace(0, picture.height - height, across):
        for right in np.linspace(0, picture.width - width, across):
            left, top = round(float(right)), round(float(down))
            yield picture.crop((left, top, left + width, top + height))


@dataclass(frozen=True, slots=True)
class SimilarityFilter:
    """Refuses pictures that are far from the keywords of their subcategory."""

    tool: EncoderTool
    """Measures vectors."""
    least: float
    """Least similarity to the nearest keyword."""
    keywords: Callable[[str], Sequence[str]]
    """Keywords by subcategory."""
    vectors: dict[str, Numbers] = field(default_factory=dict)
    """Of keywords, by subcategory: `[keywords, D]`; filled as subcategories are met."""

    def judged(self, record: ImageRecord, numbers: Numbers) -> ImageRecord:
        """The record with its similarity to the nearest keyword.

        Args:
            record: the picture.
            numbers: its vector.

        Raises:
            Unusable: it is far from all of them.
            ModelError: the encoder reads no text.
        """
        name = record.topic.class3
        if name not in self.vectors:
            self.vectors[name] = self.tool.encoder.encode_texts(list(self.keywords(name)) or [name])
        similarity = round(float(np.max(self.vectors[name] @ numbers)), 6)
        if similarity < self.least:
            least = f"`collect.filters.min_similarity` ({self.least:g})"
            raise Unusable("similarity", f"its similarity to the keywords of {name} is {similarity:.3f}, below {least}")
        return replace(record, keyword_similarity=similarity)
