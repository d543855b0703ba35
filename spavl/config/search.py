"""Settings of the search of pictures by words."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, PositiveInt

from spavl.config.base import Section


def _has_one_place(template: str) -> str:
    if template.count("{}") != 1:
        raise ValueError("it holds `{}` once, where the keyword is put")
    return template


class SearchSettings(Section):
    """Text-to-image search over local pictures: which ones show what a subcategory's keywords say."""

    folder: str | None = None
    """The folder of pictures, searched with all its sub-folders, whatever they are called."""
    encoder: str | None = None
    """The encoder of pictures and words: a checkpoint folder or Hub id of CLIP, SigLIP or another dual encoder."""
    device: str = "auto"
    """What the encoder runs on: `auto`, `cpu`, `cuda`, `cuda:1`, `mps`. Vectors made on one serve on another."""
    batch_size: PositiveInt = 32
    """Pictures in one forward pass; halved when memory runs out."""
    prompt: Annotated[str, AfterValidator(_has_one_place)] = "a photo of {}"
    """What the encoder reads, with the keyword in place of `{}`."""
    per_keyword: PositiveInt = 100
    """Most pictures for a keyword. The paper kept about 600 pictures of a subcategory, which has six keywords."""
    min_similarity: Annotated[float, Field(ge=-1, le=1)] | None = None
    """Least similarity (cosine) of picture and keyword. It depends on the encoder: CLIP gives about 0.25 to a picture
    that fits, SigLIP about 0.1. None: no limit."""
    index: Literal["auto", "exact", "usearch"] = "auto"
    """`exact`: every picture is compared with every keyword. `usearch`: through an approximate index, which is built
    once and extended. `auto`: `usearch` for more than a million pictures, where it is installed."""
    vectors: str = ".spavl/vectors"
    """Folder in which the vectors of pictures are kept, about 1 kB a picture. It can be deleted: then they are made
    anew."""
