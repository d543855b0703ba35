"""Text-to-image search as a source: pictures of a folder that show what a subcategory's keywords say.

The pictures are encoded once, the keywords too; what is near is found exactly, or by an index where there are many.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from hashlib import blake2b
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from spavl.atomic import atomic_write
from spavl.config.build import CollectSettings
from spavl.config.search import SearchSettings
from spavl.dataset.collect.candidate import Candidate
from spavl.dataset.collect.embed import embed_missing, list_entries
from spavl.dataset.collect.folder import file_candidate, name_of, stem_of
from spavl.dataset.collect.index import VectorIndex
from spavl.dataset.collect.vectors import Nearest, VectorTable
from spavl.errors import DataError, SettingsError
from spavl.models.encoder import ImageEncoder
from spavl.plural import plural
from spavl.progress import NoProgress, Progress
from spavl.records import Topic
from spavl.taxonomy import Taxonomy

_ENCODERS = "name a checkpoint of CLIP, SigLIP or another dual encoder, such as openai/clip-vit-base-patch32"
MANY = 1_000_000
"""Pictures from whose number on `index: auto` means the index."""
SHOWN = 3
"""Most pictures that could not be encoded that are named on the screen."""


@dataclass(frozen=True, slots=True)
class Hit:
    """A picture that was found."""

    path: Path
    """Where it is."""
    similarity: float
    """Of picture and words, from -1 to 1."""
    words: int
    """Number of the words that it is most similar to, among those that were searched for."""


class PictureSearch:
    """Search by words over the pictures of a folder; a context manager that closes the table of vectors.

    Args:
        settings: folder, encoder, where vectors are kept.
        max_pixels: largest width times height of a picture that is opened.
        progress: where bars and lines go.
        writes: encode what is new. Without it, what was encoded before is searched.

    Raises:
        SettingsError: no encoder is named.
        DataError: there is no such folder; or, without `writes`, none of its pictures was ever encoded.
        ModelError: there is no such encoder.
        RunError: another process encodes this folder, or the vectors are damaged.
    """

    def __init__(
        self, settings: SearchSettings, *, max_pixels: int, progress: Progress | None = None, writes: bool = True
    ) -> None:
        from spavl.models.backends.local_encoder import encoder_identity

        self.folder = _folder(settings)
        if settings.encoder is None:
            raise SettingsError("No encoder is named that turns pictures and words into vectors",
                                where="build.collect.search.encoder", try_=_ENCODERS)  # fmt: skip
        self._path = settings.encoder
        self._settings = settings
        self._max_pixels = max_pixels
        self._progress = progress or NoProgress()
        identity = encoder_identity(self._path)
        try:
            self.table = VectorTable(_home(settings, self.folder, identity), identity, writes=writes)
        except DataError as error:
            raise DataError(
                "The pictures of this folder were not encoded yet, so that it is not known which show what",
                where=str(self.folder),
                try_=f'`spavl search {self.folder} "WORDS" --encoder {self._path}` encodes them; no model is asked',
            ) from error

    @cached_property
    def _encoder(self) -> ImageEncoder:
        from spavl.models.backends.local_encoder import open_encoder

        return open_encoder(self._path, device=self._settings.device, batch_size=self._settings.batch_size)

    def extend(self) -> None:
        """Encode what the folder has and the table lacks; hide what is gone or has changed.

        Raises:
            DataError: no picture of the folder could be encoded.
            ModelError: the encoder cannot be opened.
            RunError: the disk is full.
        """
        self.table.keep_only(list_entries(self.folder))
        if self.table.missing_count():
            with self._progress.bar("encode pictures") as on_progress:
                embed_missing(
                    self.table, self.folder, lambda: self._encoder, max_pixels=self._max_pixels,
                    batch_size=self._settings.batch_size, on_progress=on_progress,
                )  # fmt: skip
        refused = [f"{entry.name}: {reason}" for entry, reason in islice(self.table.refused(), SHOWN)]
        if len(self.table) == self.table.hidden:
            raise DataError(
                "None of the pictures of this folder can be searched" if refused else "There are no pictures in this "
                "folder", where=str(self.folder), try_="; ".join(refused) or "put .jpg, .png or .webp files into it",
            )  # fmt: skip
        if refused:
            count = sum(1 for _ in self.table.refused())
            self._progress.log(f"{plural(count, 'picture')} cannot be searched, such as {'; '.join(refused)}")

    def hits(self, words: Sequence[str], k: int, *, threshold: float = -1.0) -> list[Hit]:
        """Pictures that show what words say, each once, with the words that it is most similar to; nearest first.

        Args:
            words: what to search for.
            k: most pictures for each of them.
            threshold: least similarity.

        Raises:
            ModelError: the encoder has no text tower.
            MissingExtra: an index is asked for, and usearch is not installed.
        """
        found = self._nearest(self._vectors([self._settings.prompt.format(text) for text in words]), k, threshold)
        rows, similarities = found.rows.ravel(), found.similarities.ravel()
        numbers = np.repeat(np.arange(len(words)), found.rows.shape[1])
        order = np.lexsort((numbers, rows, -similarities))
        order = order[rows[order] >= 0]
        first = np.sort(np.unique(rows[order], return_index=True)[1])
        best = order[first]
        entries = self.table.entries(rows[best].tolist())
        return [
            Hit(self.folder / entry.name, float(similarities[place]), int(numbers[place]))
            for entry, place in zip(entries, best, strict=True)
        ]

    def _nearest(self, queries: NDArray[np.float32], k: int, threshold: float) -> Nearest:
        wanted = self._settings.index
        many = len(self.table) > MANY and find_spec("usearch") is not None
        if wanted == "exact" or (wanted == "auto" and not many):
            return self.table.nearest(queries, k, threshold=threshold)
        index = VectorIndex(self.table)
        if self.table.writes:
            with self._progress.bar("index vectors") as on_progress:
                index.extend(on_progress)
        return index.nearest(queries, k, threshold=threshold)

    def _vectors(self, prompts: list[str]) -> NDArray[np.float32]:
        """Vectors of prompts, kept in a file, so that the encoder is not loaded where nothing is new."""
        digest = blake2b("\0".join(prompts).encode(), digest_size=12).hexdigest()
        path = self.table.folder / f"texts-{digest}.npy"
        if path.exists():
            kept: NDArray[np.float32] = np.load(path, allow_pickle=False)
            return kept
        vectors = self._encoder.encode_texts(prompts)
        if self.table.writes:
            with atomic_write(path, what="The vectors of the words") as tmp, tmp.open("wb") as file:
                np.save(file, vectors)
        return vectors

    def __enter__(self) -> PictureSearch:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.table.close()


def find_by_keywords(
    settings: CollectSettings, taxonomy: Taxonomy, progress: Progress, *, writes: bool = True
) -> Iterator[Candidate]:
    """Pictures of a folder that the keywords of the subcategories find, each once, with its topic and similarity.

    A picture is of the subcategory whose keyword it is most similar to. A subcategory without keywords is searched by
    its name. They come in the taxonomy's order, the most similar first.

    Args:
        settings: the search, the licence, the subcategories that are held out.
        taxonomy: subcategories and their keywords.
        progress: where bars and lines go.
        writes: encode what is new. Without it, what was encoded before is searched.

    Raises:
        DataError: there is no such folder, it has no picture that can be searched, or nothing is found.
        SettingsError: no encoder is named.
        ModelError: the encoder cannot be opened, or has no text tower.
        RunError: another process encodes this folder, or the disk is full.
    """
    keywords = [
        (topic, text) for topic in taxonomy.topics
        for text in taxonomy.keywords(topic.class3) or (taxonomy.display(topic.class3),)
    ]  # fmt: skip
    heldout = {taxonomy.topic(name).class3 for name in settings.heldout}
    least = settings.search.min_similarity
    with PictureSearch(settings.search, max_pixels=settings.max_pixels, progress=progress, writes=writes) as search:
        if writes:
            search.extend()
        hits = search.hits(
            [text for _, text in keywords], settings.search.per_keyword, threshold=-1.0 if least is None else least
        )
        if not hits:
            raise DataError("No picture is similar enough to a keyword", where=str(search.folder),
                            try_="lower `build.collect.search.min_similarity`")  # fmt: skip
        folder = search.folder
    places = {topic.class3: place for place, topic in enumerate(taxonomy.topics)}
    hits.sort(key=lambda hit: places[keywords[hit.words][0].class3])
    for hit in hits:
        topic, text = keywords[hit.words]
        yield _candidate(hit, topic, text, folder, settings.license, heldout=topic.class3 in heldout)


def _candidate(hit: Hit, topic: Topic, keyword: str, folder: Path, license: str, *, heldout: bool) -> Candidate:
    found = file_candidate(
        hit.path, inside=folder, topic=topic, image_id=f"{topic.class3}/{stem_of(hit.path, folder)}", benign=False,
        heldout=heldout, source=f"search:{keyword}:{name_of(hit.path.relative_to(folder))}", license=license,
    )  # fmt: skip
    return replace(found, similarity=hit.similarity)


def _folder(settings: SearchSettings) -> Path:
    if not settings.folder:
        raise DataError("No folder of pictures is named", where="build.collect.search.folder",
                        try_="`spavl build SETTINGS build.collect.search.folder=PICTURES`")  # fmt: skip
    folder = Path(settings.folder).expanduser()
    if not folder.is_dir():
        raise DataError("There is no such folder of pictures", where=str(folder),
                        try_="check the path (in settings `build.collect.search.folder`)")  # fmt: skip
    return folder


def _home(settings: SearchSettings, folder: Path, identity: str) -> Path:
    """Where the vectors of a folder's pictures by an encoder are kept."""
    place = folder.resolve()
    digest = blake2b(f"{identity}\0".encode() + os.fsencode(place), digest_size=8).hexdigest()
    readable = re.sub(r"[^A-Za-z0-9_-]+", "-", place.name)[:40]
    return Path(settings.vectors).expanduser() / f"{readable}-{digest}"
