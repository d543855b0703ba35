"""Settings of the filters that pictures pass before they are used."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, PositiveInt, model_validator

from spavl.config.base import Section

Share = Annotated[float, Field(ge=0, le=1)]
Cosine = Annotated[float, Field(ge=-1, le=1)]
Bits = Annotated[int, Field(ge=0, le=128)]


class ClassifierSettings(Section):
    """An image classifier whose labels refuse pictures, such as one of nudity or gore."""

    path: str | None = None
    """Any image-classification checkpoint of transformers: a folder, or a Hub id. None: there is no classifier."""
    labels: tuple[str, ...] = ()
    """Labels of pictures that are not used, spelled as the checkpoint spells them."""
    threshold: Share = 0.5
    """A picture is not used where these labels together have at least this probability."""

    @model_validator(mode="after")
    def _names_its_labels(self) -> ClassifierSettings:
        if (self.path is None) != (not self.labels):
            raise ValueError("`path` and `labels` are named together: which classifier, and what it refuses")
        return self


class FilterSettings(Section):
    """What pictures must be like to be used. Each that is not has its reason in `rejected.json`."""

    min_width: PositiveInt = 1
    """Least width in pixels."""
    min_height: PositiveInt = 1
    """Least height in pixels."""
    max_aspect: Annotated[float, Field(ge=1)] | None = None
    """Most times that the longer side may be as long as the shorter one. None: any number."""
    hash_list: str | None = None
    """A text or CSV file of PDQ hashes (64 hexadecimal digits, first in their lines) of pictures that must not be used.
    It is asked before a picture is stored, shown or sent. Of a match only hash and reason are kept."""
    hash_distance: Bits = 31
    """A picture matches a hash of the list if it differs in at most this many of 256 bits."""
    near_duplicate_distance: Bits | None = 31
    """A picture is nearly the same as an earlier one if their PDQ hashes differ in at most this many of 256 bits and
    their pixels agree. A harmless counterpart is compared with harmless ones only, for it may look like its harmful
    twin. None: only equal bytes are duplicates."""
    max_text_share: Share | None = None
    """Most of a picture's area that text may cover, by OCR (extra `ocr`). None: text is not looked for."""
    classifier: ClassifierSettings = ClassifierSettings()
    """An image classifier whose labels refuse pictures."""
    encoder: str | None = None
    """A checkpoint that turns pictures into vectors, such as CLIP: a folder, or a Hub id. None: there is none."""
    min_similarity: Cosine | None = None
    """Least similarity (cosine) of a picture to the nearest keyword of its subcategory, by an encoder that reads text
    too. None: it is not measured."""
    embedding_duplicate_cosine: Cosine | None = None
    """A picture may be nearly the same as an earlier one, or a part of it, if the cosine of their vectors is at least
    this; then their pixels are compared, and decide. None: vectors are not compared."""
    embedding_windows: Annotated[int, Field(ge=0, le=7)] = 0
    """Windows in each direction that pictures are encoded in too, so that parts are found by encoders that see a part
    as another picture: 5 makes 25 more vectors of each, and takes as much more time. CLIP and its like need none."""
    device: str = "auto"
    """Where classifier and encoder compute: `auto`, `cpu`, `cuda`, `mps`."""

    @model_validator(mode="after")
    def _has_what_it_needs(self) -> FilterSettings:
        wanted = {"min_similarity": self.min_similarity, "embedding_duplicate_cosine": self.embedding_duplicate_cosine}
        used = [name for name, value in wanted.items() if value is not None]
        if used and self.encoder is None:
            raise ValueError(f"`{used[0]}` needs an `encoder`")
        if self.encoder is not None and not used:
            raise ValueError(
                "`encoder` is used by `min_similarity` and `embedding_duplicate_cosine`, and neither is set"
            )
        return self
