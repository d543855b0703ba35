"""The pairs that a probe asks about: a stratified sample, as what judges are sent, with their pictures on disk."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from spavl.atomic import atomic_write
from spavl.errors import DataError
from spavl.judging.exchange import Exchange
from spavl.pictures import FileSlice, Picture
from spavl.preferences.dataset import PreferenceDataset
from spavl.preferences.pairs import Pair, with_blank_pictures
from spavl.records import ImageRef, Turn
from spavl.tables.query import query

_SAMPLE = """
WITH usable AS (
    SELECT number, pair_id, context, coalesce(image_id, '') AS image_id, coalesce(class3, '') AS subject,
        coalesce(question_type, '') AS kind, benign, md5('{seed}/' || pair_id || '/' || number) AS key
    FROM pairs WHERE malformed = '' AND (NOT ? OR len(images) > 0)
), placed AS (
    SELECT *, row_number() OVER (ORDER BY subject, kind, key) AS place, count(*) OVER () AS total FROM usable
)
SELECT number, pair_id, context, image_id, subject, benign FROM placed
WHERE place * ? // total > (place - 1) * ? // total ORDER BY place
"""


@dataclass(frozen=True, slots=True)
class Sampled:
    """A pair that is asked about."""

    number: int
    """Its place in the dataset."""
    pair_id: str
    """Its id."""
    subject: str
    """Its subcategory; empty where none is told."""
    benign: bool | None
    """Whether its picture is harmless; None where that is not told."""
    cluster: str
    """Names its pictures, with whose other pairs it is right or wrong together."""
    exchange: Exchange
    """The question with its chosen answer, as a judge is sent it."""
    rejected: str
    """The other answer."""
    pair: Pair
    """The pair itself."""


def sampled_pairs(
    dataset: PreferenceDataset, count: int, *, seed: int, pictures: Path, with_pictures: bool
) -> list[Sampled]:
    """A sample that has of every subcategory and type of question its share; with its pictures written to a folder.

    A pair with a picture that cannot be read is left out.

    Args:
        dataset: the pairs.
        count: most pairs.
        seed: of the sample.
        pictures: the folder; a picture that is there is not written again.
        with_pictures: only pairs that show a picture.
    """
    rows = query(_SAMPLE.format(seed=seed), [with_pictures, count, count], pairs=dataset.rows)
    return list(_sampled(dataset, rows, pictures))


def _sampled(dataset: PreferenceDataset, rows: Sequence[tuple[Any, ...]], pictures: Path) -> Iterator[Sampled]:
    for number, pair_id, context, image_id, subject, benign in rows:
        pair = dataset.pairs[number]
        try:
            exchange = exchange_of(pair, image_id or pair_id, pictures)
        except (DataError, OSError):
            continue
        yield Sampled(number, pair_id, subject, benign, image_id or context, exchange, pair.rejected, pair)


def exchange_of(pair: Pair, item: str, pictures: Path) -> Exchange:
    """What a judge is sent of a pair: the question with the chosen answer.

    Args:
        pair: with pictures of any kind.
        item: names what is asked about.
        pictures: folder that the pictures are written to.

    Raises:
        DataError: a picture cannot be had.
        RunError: the folder cannot be written.
    """
    earlier = tuple(Turn(turn.role, turn.text, _written(turn.pictures, pictures)) for turn in pair.earlier)
    return Exchange(
        question=pair.question, answer=pair.chosen, images=_written(pair.pictures, pictures), earlier=earlier,
        system=pair.system, item=item,
    )  # fmt: skip


def without_pictures(one: Sampled) -> Exchange:
    """The question as text alone.

    Args:
        one: the pair.
    """
    earlier = tuple(replace(turn, images=()) for turn in one.exchange.earlier)
    return replace(one.exchange, images=(), earlier=earlier, item="")


def with_grey_pictures(one: Sampled, pictures: Path) -> Exchange:
    """The question with grey pictures of the same sizes.

    Args:
        one: the pair.
        pictures: folder that they are written to.
    """
    return exchange_of(with_blank_pictures(one.pair), "", pictures)


def with_pictures_of(one: Sampled, other: Sampled, pictures: Path) -> Exchange:
    """The question with the pictures of another pair, in turn where that has fewer.

    Args:
        one: the pair.
        other: the pair whose pictures are shown.
        pictures: folder that they are written to.
    """
    given = other.pair.all_pictures
    place = iter(range(len(one.pair.all_pictures)))
    changed = one.pair.with_pictures(lambda _: given[next(place) % len(given)])
    return exchange_of(changed, other.exchange.item, pictures)


def partners(sample: Sequence[Sampled]) -> list[Sampled | None]:
    """For every pair one of another subcategory and with other pictures; None where there is none.

    A harmless picture is given for a harmful one, and the other way round, as far as the sample has such: a picture of
    the same kind would lead to the same verdict by its kind alone. The sample is ordered by subcategory, so the search
    begins half of it away, where another one is found at once.

    Args:
        sample: the pairs, in the order of `sampled_pairs`.
    """
    found: list[Sampled | None] = []
    for place, one in enumerate(sample):
        start = place + len(sample) // 2
        others = [sample[(start + step) % len(sample)] for step in range(len(sample))]
        unlike = (other for other in others if _is_unlike(one, other))
        opposite = (other for other in others if _is_opposite(one, other) and _is_unlike(one, other))
        found.append(next(opposite, None) or next(unlike, None))
    return found


def _is_opposite(one: Sampled, other: Sampled) -> bool:
    return None not in (one.benign, other.benign) and one.benign != other.benign


def _is_unlike(one: Sampled, other: Sampled) -> bool:
    own = {picture.key for picture in one.pair.all_pictures}
    theirs = {picture.key for picture in other.pair.all_pictures}
    return bool(theirs) and not own & theirs and (one.subject != other.subject or not one.subject)


def _written(pictures: Sequence[Picture], folder: Path) -> tuple[ImageRef, ...]:
    return tuple(_file(picture, folder) for picture in pictures)


def _file(picture: Picture, folder: Path) -> ImageRef:
    """A picture as a file of its own bytes, so that its calls have the keys that the run's own calls had."""
    source = picture.source
    if isinstance(source, Path):
        return ImageRef.of(source)
    if not isinstance(source, bytes | FileSlice):
        raise DataError(f"The picture {picture.key} is not to be had", where=picture.key)
    content = source if isinstance(source, bytes) else source.read()
    digest = hashlib.sha256(content).hexdigest()
    path = folder / digest
    if not path.is_file():
        with atomic_write(path, what="The picture") as new:
            new.write_bytes(content)
    return ImageRef(path, digest)
