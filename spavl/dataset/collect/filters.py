"""The filters that settings ask for, with the tools that they need opened."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from spavl.config.build import CollectSettings
from spavl.config.filters import ClassifierSettings, FilterSettings
from spavl.config.models import LocalSpec
from spavl.dataset.collect.hash_list import read_hash_list
from spavl.dataset.collect.inspect import Checks
from spavl.dataset.collect.ocr import TextFinder
from spavl.dataset.collect.tools import ClassifierFilter, EncoderTool, SimilarityFilter, TextFilter, ToolFilter
from spavl.errors import DataError, MissingExtra, SettingsError
from spavl.models.identity import stamp_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """What a picture passes before it is used."""

    checks: Checks
    """What its bytes are checked for."""
    tools: Sequence[ToolFilter] = ()
    """Those that need a tool, in their order."""
    vectors: EncoderTool | None = None
    """Makes the vectors by which near duplicates are found; None: they are not."""
    distance: int | None = None
    """Most bits by which PDQ hashes of near duplicates differ; None: they are not compared."""
    cosine: float | None = None
    """Least cosine of vectors of near duplicates; None: they are not compared."""


def checks_of(settings: CollectSettings) -> Checks:
    """What the bytes of pictures are checked for.

    Args:
        settings: name the limits and the hash list.

    Raises:
        DataError: the hash list cannot be read.
    """
    filters = settings.filters
    listed = read_hash_list(Path(filters.hash_list), filters.hash_distance) if filters.hash_list else None
    return Checks(
        max_pixels=settings.max_pixels, min_width=filters.min_width, min_height=filters.min_height,
        max_aspect=filters.max_aspect, hash_list=listed,
    )  # fmt: skip


def open_filters(settings: CollectSettings, keywords: Callable[[str], Sequence[str]]) -> Filters:
    """All filters; their tools are loaded.

    Args:
        settings: name them.
        keywords: search keywords of a subcategory.

    Raises:
        DataError: the hash list cannot be read.
        ModelError: a checkpoint is not there, damaged, or of another kind.
        SettingsError: the classifier has no such label.
        MissingExtra: a tool needs packages that are not installed.
    """
    wanted = settings.filters
    checks = checks_of(settings)
    tools: list[ToolFilter] = []
    if wanted.max_text_share is not None:
        tools.append(TextFilter(TextFinder(), wanted.max_text_share))
    if wanted.classifier.path is not None:
        tools.append(_classifier(wanted.classifier, wanted.classifier.path, wanted.device))
    encoder = _encoder(wanted.encoder, wanted.device) if wanted.encoder is not None else None
    if encoder is not None and wanted.min_similarity is not None:
        tools.append(SimilarityFilter(encoder, wanted.min_similarity, keywords))
    return Filters(
        checks=checks, tools=tools, vectors=_compared(encoder, wanted),
        distance=wanted.near_duplicate_distance, cosine=wanted.embedding_duplicate_cosine,
    )  # fmt: skip


def filters_stamp(settings: FilterSettings) -> list[Any]:
    """Plain data that differs where a hash list or a tool has changed although the settings have not.

    Args:
        settings: name them.

    Raises:
        DataError: the hash list cannot be read.
        ModelError: a checkpoint is not there.
    """
    found: list[Any] = []
    if settings.hash_list:
        try:
            found.append(sha256(Path(settings.hash_list).read_bytes()).hexdigest())
        except OSError as error:
            raise DataError(f"The hash list cannot be read: {error.strerror}", where=settings.hash_list,
                            try_="name a text file in `build.collect.filters.hash_list`") from error  # fmt: skip
    for path in (settings.classifier.path, settings.encoder):
        if path is not None:
            found.append(stamp_of(LocalSpec(name="filter", path=path)))
    return found


def _compared(encoder: EncoderTool | None, settings: FilterSettings) -> EncoderTool | None:
    """What makes the vectors that near duplicates are found by."""
    if encoder is None or settings.embedding_duplicate_cosine is None:
        return None
    return EncoderTool(encoder.encoder, settings.embedding_windows)


def _encoder(path: str, device: str) -> EncoderTool:
    from spavl.models.backends.local_encoder import open_encoder

    return EncoderTool(open_encoder(path, device=device))


def _classifier(settings: ClassifierSettings, path: str, device: str) -> ClassifierFilter:
    try:
        from spavl.models.backends.local_classifier import open_classifier
    except ImportError as missing:
        raise MissingExtra(
            f"Image classifiers need packages that are not installed: {missing}.", try_="pip install 'spavl[local]'"
        ) from missing
    classifier = open_classifier(path, device)
    if strange := [name for name in settings.labels if name not in classifier.labels]:
        raise SettingsError(
            f"The classifier has no label `{strange[0]}`", where="build.collect.filters.classifier.labels",
            try_=f"its labels are: {', '.join(classifier.labels)}",
        )  # fmt: skip
    places = [classifier.labels.index(name) for name in settings.labels]
    return ClassifierFilter(classifier, places, settings.labels, settings.threshold)
