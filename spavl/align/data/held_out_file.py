"""Pairs of one's own to measure on while training."""

from __future__ import annotations

from pathlib import Path

from spavl.config.align import AlignSettings
from spavl.preferences.pairs import Reading
from spavl.preferences.table import PairTable, open_pairs


def held_out_file(file: str, settings: AlignSettings) -> PairTable:
    """The pairs of a file that is held out; it may be in another form than those that are trained on.

    Args:
        file: as `--pairs` takes it.
        settings: the training's settings.

    Raises:
        DataError: there are no pairs, or a file is not readable, or in none of the forms or in several.
        RunError: the cache of pairs cannot be written.
    """
    data = settings.data
    reading = Reading(data.thought, data.form, data.prefer, strict=False, unpaired=settings.reads_unpaired)
    return open_pairs(file, cache=Path(settings.machine.pairs_cache), reading=reading)
