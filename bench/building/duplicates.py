"""Duplicates planted in 5,000 pictures of the miniature world: how many are found, and how many others are dropped.

    python -m bench.building.duplicates --json FILE

Every picture goes through `collect`. Crops are found by vectors of the miniature world's own vision tower, confirmed by
pixels. Thresholds were chosen on the seeds `DEVELOPMENT`; the seed that is reported is another one.
"""

from __future__ import annotations

import argparse
import io
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random

from PIL import Image

from bench.measures import Measure, run
from spavl.config.build import CollectSettings
from spavl.config.filters import FilterSettings
from spavl.dataset.collect import Candidate, Rejected, collect, open_filters
from spavl.miniworld.pictures import draw
from spavl.miniworld.world import Scene, scenes

DEVELOPMENT = (7, 11)
"""Seeds that thresholds were chosen on."""
SEED = 20_261
"""The seed that is reported."""
COUNT = 5000
"""Pictures, planted ones among them."""
PLANTED = 150
"""Of each sort."""
COSINE = 0.8
"""From which on pixels are compared."""
WINDOWS = 5
"""In each direction, for the miniature tower takes a part for another picture."""
CROPPED = 0.2
"""Share of the area that is cut off."""
SHOWN_AT = 192
"""Pixels that scenes of 48 pixels are shown at, so that re-encoding and resizing are those of photographs."""


@dataclass(frozen=True, slots=True)
class Planted:
    """A picture of the benchmark."""

    name: str
    """Its own."""
    data: bytes
    """Its file."""
    sort: str = ""
    """Which sort of duplicate it is; empty: none."""
    of: str = ""
    """The picture that it is a duplicate of."""


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--pictures", type=int, default=COUNT)
    options, rest = parser.parse_known_args()
    run(partial(measures, options.seed, options.pictures), rest)


def measures(seed: int = SEED, count: int = COUNT) -> list[Measure]:
    """Planted duplicates that are dropped, and others that are.

    Args:
        seed: of pictures and places.
        count: pictures, planted ones among them.
    """
    began = time.perf_counter()
    made = {one.name: one for one in pictures(seed, count)}
    dropped = _dropped(list(made.values()))
    took = time.perf_counter() - began
    found = Counter(made[name].sort for name in dropped)
    right = Counter(made[name].sort for name, one in dropped.items() if _names_right(made[name], one))
    all_of = Counter(one.sort for one in made.values())
    how = f"{count:,} pictures, {took:.0f} s in all; those that name the right picture: "
    rows = [
        (f"planted duplicates dropped: {sort}", found[sort] / all_of[sort], floor, "higher",
         f"{all_of[sort]} planted; {how}{right[sort]}")
        for sort, floor in FLOORS.items()
    ]  # fmt: skip
    rows.append(("pictures dropped that are no duplicates", found[""] / all_of[""], 0.001, "lower",
                 f"{found['']} of {all_of['']:,}"))  # fmt: skip
    return [Measure(name, value, floor, "", better, how) for name, value, floor, better, how in rows]


FLOORS = {"same bytes": 1.0, "encoded again": 0.98, "resized": 0.98, "cropped by 20 % of the area": 0.9}
"""Least share of each sort that is dropped."""


def pictures(seed: int, count: int) -> Iterator[Planted]:
    """Scenes, each another one, then duplicates of some of them.

    Args:
        seed: of scenes and places.
        count: of all.
    """
    random = Random(seed)
    originals = count - PLANTED * len(FLOORS)
    drawn = scenes("build", seed, -(-originals // 53), 0.0)
    kept = random.sample(drawn, originals)
    for scene in kept:
        yield Planted(scene.id, _png(_shown(scene)))
    chosen = iter(random.sample(kept, PLANTED * len(FLOORS)))
    for sort in FLOORS:
        for scene in (next(chosen) for _ in range(PLANTED)):
            yield Planted(f"{sort} {scene.id}", _changed(sort, _shown(scene), random), sort, scene.id)


def _shown(scene: Scene) -> Image.Image:
    return draw(scene).resize((SHOWN_AT, SHOWN_AT), Image.Resampling.NEAREST)


def _changed(sort: str, picture: Image.Image, random: Random) -> bytes:
    out = io.BytesIO()
    match list(FLOORS).index(sort):
        case 0:
            return _png(picture)
        case 1:
            picture.save(out, "JPEG", quality=random.choice((30, 50, 70, 90)))
        case 2:
            side = round(SHOWN_AT * random.choice((0.4, 0.6, 0.8, 1.5)))
            picture.resize((side, side), Image.Resampling.LANCZOS).save(out, "JPEG", quality=85)
        case _:
            side = round(SHOWN_AT * (1 - CROPPED) ** 0.5)
            left, top = random.randint(0, SHOWN_AT - side), random.randint(0, SHOWN_AT - side)
            picture.crop((left, top, left + side, top + side)).save(out, "JPEG", quality=85)
    return out.getvalue()


def _png(picture: Image.Image) -> bytes:
    out = io.BytesIO()
    picture.save(out, "PNG")
    return out.getvalue()


def _dropped(made: list[Planted]) -> dict[str, Rejected]:
    """The pictures that `collect` drops, by name."""
    wanted = FilterSettings(encoder="miniworld:base", embedding_duplicate_cosine=COSINE, embedding_windows=WINDOWS)
    topics = {scene.kind.topic.class3: scene.kind.topic for scene in scenes("build", 0, 1, 0.0)}
    topic = next(iter(topics.values()))
    candidates = (
        Candidate(name=one.name, stamp="", read=lambda most, data=one.data: data, topic=topic, image_id=one.name,
                  benign=False, heldout=False, source="", license="")
        for one in made
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        filters = open_filters(CollectSettings(filters=wanted), lambda name: [name])
        outcomes = list(collect(candidates, folder=Path(folder), filters=filters))
    return {one.file: one for one in outcomes if isinstance(one, Rejected)}


def _names_right(planted: Planted, dropped: Rejected) -> bool:
    return bool(planted.of) and planted.of in dropped.reason


if __name__ == "__main__":
    main()
