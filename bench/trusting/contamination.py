"""Overlap planted between 10,000 pairs and 2,000 benchmark items: how much is found, how much wrongly, how fast.

python -m bench.trusting.contamination --json FILE

Texts are a common opening and words by Zipf's law; pictures are 1/f noise with shapes on it. Thresholds were chosen on
the seeds of `CALIBRATION` (`--calibrate` prints what they give) and on pictures of other names, which are not those
that are reported. Planted crops are 50 to 90 % of the area; how small they may be is measured apart.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from io import BytesIO
from itertools import accumulate
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image, ImageDraw

from bench.measures import Measure, run
from spavl.contamination.other_pictures import OtherPictures
from spavl.contamination.parts import matching_parts
from spavl.contamination.pictures import matches
from spavl.pictures import Picture
from spavl.pipeline.contamination import ContaminationRequest, contamination
from spavl.preferences.hub_file import SCHEMA
from spavl.preferences.picture_hashes import KEYPOINT_SCHEMA, hash_and_keypoints_of, hash_of
from spavl.progress import NoProgress
from spavl.similarity.keypoint_index import KeypointIndex
from spavl.similarity.keypoints import BITS, Keypoints, keypoints
from spavl.similarity.overlap import overlap, small_copy
from spavl.similarity.texts import TextIndex
from spavl.tables import write_batches

SEED, CALIBRATION = 20_261, (11, 12)
PAIRS, ITEMS, PLANTED = 10_000, 2_000, 200
KINDS: Final = ("exact", "edited", "same picture", "re-encoded", "cropped")
"""What is planted, each in 200 items of its own."""
OPENINGS: Final = ("what is the best way to", "can you tell me how", "please describe what", "why does the person",
                   "is it likely that the", "how many of the", "what would happen if the",
            "which of these")  # fmt: skip
LARGE, SMALL, LEAST = 100_000, 10_000, 180.0
AREAS: Final = (0.1, 0.2, 0.3, 0.5)
"""Of pictures, that crops are whose recall is measured."""
POOL: Final = 64
"""Pictures whose keypoints those of the timed ones are made of."""
VOCABULARY: Final = [f"w{number:x}" for number in range(8_000)]
WEIGHTS: Final = list(accumulate(1 / (number + 3) for number in range(8_000)))


def text(random: Random) -> str:
    """A question of 8 to 24 words."""
    return " ".join(
        [random.choice(OPENINGS), *random.choices(VOCABULARY, cum_weights=WEIGHTS, k=random.randint(5, 18))]
    )


def edited(question: str, random: Random) -> str:
    """A question with one word changed, left out, added or mistyped, or two neighbours exchanged."""
    words = question.split()
    place = random.randrange(len(words) - 1)
    kind = random.randrange(5)
    if kind == 0:
        words[place] = "replaced"
    elif kind == 1:
        del words[place]
    elif kind == 2:
        words.insert(place, "added")
    elif kind == 3:
        words[place] += "x"
    else:
        words[place], words[place + 1] = words[place + 1], words[place]
    return " ".join(words).capitalize() + "?"


def picture(seed: str, width: int = 192, height: int = 144) -> Image.Image:
    """A picture of 1/f noise in three colours with a few shapes."""
    random = Random(seed)
    generator = np.random.default_rng(random.getrandbits(64))
    away = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None, :])
    away[0, 0] = 1
    waves = np.fft.rfft2(generator.standard_normal((3, height, width)), axes=(1, 2)) / away
    noise = np.fft.irfft2(waves, (height, width), axes=(1, 2))
    noise = (noise - noise.mean()) / noise.std() * 45 + 120
    drawn = Image.fromarray(np.clip(noise, 0, 255).astype(np.uint8).transpose(1, 2, 0))
    pen = ImageDraw.Draw(drawn)
    for _ in range(random.randint(1, 5)):
        x, y = random.randint(0, width), random.randint(0, height)
        box = (x, y, x + random.randint(10, width // 2), y + random.randint(10, height // 2))
        colour = tuple(random.randint(0, 255) for _ in range(3))
        (pen.ellipse if random.random() < 0.5 else pen.rectangle)(box, fill=colour)
    return drawn


def jpeg(image: Image.Image, quality: int = 92) -> bytes:
    """A picture as the bytes of a JPEG file."""
    out = BytesIO()
    image.save(out, "JPEG", quality=quality)
    return out.getvalue()


def changed(image: Image.Image, kind: str, random: Random) -> bytes:
    """A planted picture: re-encoded and resized by a factor from 0.5 to 1.5, or cut to 50 to 90 % of its area."""
    if kind == "same picture":
        return jpeg(image)
    if kind == "cropped":
        side = random.uniform(0.5, 0.9) ** 0.5
        width, height = round(image.width * side), round(image.height * side)
        x, y = random.randint(0, image.width - width), random.randint(0, image.height - height)
        return jpeg(image.crop((x, y, x + width, y + height)))
    factor = random.uniform(0.5, 1.5)
    return jpeg(image.resize((round(image.width * factor), round(image.height * factor))), random.randint(40, 90))


def plant(folder: Path, seed: int) -> dict[int, str]:
    """Write `train.parquet` and `benchmark.parquet`. Returns what is planted in which pair."""
    random = Random(seed)
    where = random.sample(range(PAIRS), len(KINDS) * PLANTED)
    planted = {number: KINDS[place // PLANTED] for place, number in enumerate(where)}
    questions = [text(random) for _ in range(PAIRS)]
    items = [(text(random), f"benchmark {seed} {number}") for number in range(ITEMS)]
    rows = []
    for number, question in enumerate(questions):
        kind = planted.get(number, "")
        drawn, content = items[where.index(number)] if kind else ("", ""), b""
        if kind == "exact":
            question = f"  {drawn[0].upper()} !"
        elif kind == "edited":
            question = edited(drawn[0], random)
        elif kind:
            content = changed(picture(drawn[1]), kind, random)
        image = {"bytes": content or jpeg(picture(f"pair {seed} {number}")), "path": None}
        rows.append({"image": image, "question": question, "chosen": "one answer", "rejected": "another"})
    write_batches(folder / "train.parquet", SCHEMA, [pa.Table.from_pylist(rows, SCHEMA)])
    own = [{"id": str(n), "question": asked, "image": {"bytes": jpeg(picture(key)), "path": None}}
           for n, (asked, key) in enumerate(items)]  # fmt: skip
    pq.write_table(pa.Table.from_pylist(own), folder / "benchmark.parquet", row_group_size=500)
    return planted


def shares(folder: Path, seed: int) -> Mapping[str, float]:
    """Share found of each kind, and share of the pairs in which nothing is planted that are flagged, in per cent."""
    planted = plant(folder, seed)
    request = ContaminationRequest(source=str(folder / "train.parquet"), against=[str(folder / "benchmark.parquet")],
                                   out=folder / "found", cache=folder / "cache")  # fmt: skip
    contamination(request, NoProgress())
    flagged = set(pq.read_table(folder / "found/contamination.parquet")["number"].to_pylist())
    found = {kind: sum(planted[n] == kind for n in flagged & planted.keys()) for kind in KINDS}
    out = {kind: 100 * count / PLANTED for kind, count in found.items()}
    return {**out, "false": 100 * len(flagged - planted.keys()) / (PAIRS - len(planted))}


def text_seconds() -> float:
    """Seconds to compare 100,000 texts with 10,000."""
    random = Random(SEED)
    asked, items = ([text(random) for _ in range(count)] for count in (LARGE, SMALL))
    start = time.perf_counter()
    index = TextIndex(0.55)
    index.add(items)
    for at in range(0, LARGE, 2_048):
        index.near(asked[at : at + 2_048])
    return time.perf_counter() - start


def crop(image: Image.Image, area: float, random: Random) -> Image.Image:
    """A part of a picture, of proportions and at a place of its own, resized by 0.6 to 1.4 and encoded again."""
    stretched = random.uniform(0.8, 1.25)
    width, height = (min(length, round(length * area**0.5 * by))
                     for length, by in zip(image.size, (stretched, 1 / stretched), strict=True))  # fmt: skip
    x, y = random.randint(0, image.width - width), random.randint(0, image.height - height)
    factor = random.uniform(0.6, 1.4)
    shown = image.crop((x, y, x + width, y + height)).resize((round(width * factor), round(height * factor)))
    return Image.open(BytesIO(jpeg(shown, random.randint(50, 92)))).convert("RGB")


def crops_found(count: int = 100) -> dict[float, tuple[float, int]]:
    """By area: per cent found of one crop of each of some pictures of 640 × 480, and crops found in a wrong picture."""
    random, whole = Random(SEED), [picture(f"whole {SEED} {number}", 640, 480) for number in range(count)]
    index, copies = KeypointIndex([keypoints(one) for one in whole]), [small_copy(one) for one in whole]
    out = {}
    for area in AREAS:
        parts = [crop(one, area, random) for one in whole]
        placed = index.placed([keypoints(one) for one in parts])
        same = {(one.asked, one.place) for one in placed
                if overlap(small_copy(parts[one.asked]), copies[one.place], one).same}  # fmt: skip
        right = sum(asked == place for asked, place in same)
        out[area] = 100 * right / count, len(same) - right
    return out


def stored(count: int, generator: np.random.Generator, pool: Keypoints) -> list[bytes]:
    """Keypoints of pictures that share nothing: those of a pool with bits changed, and places by chance."""
    out = []
    for _ in range(count):
        points = pool[generator.integers(0, len(pool), len(pool) // POOL)].copy()
        for _ in range(4):
            points["code"] ^= np.uint32(1) << generator.integers(0, BITS, len(points)).astype(np.uint32)
        points["x"], points["y"] = generator.integers(0, 49_152, (2, len(points)))
        out.append(points.tobytes())
    return out


def picture_seconds(folder: Path) -> tuple[float, float, float]:
    """Seconds to compare 100,000 stored hashes with 10,000, per cent found of 1,000 that lie up to 31 bits away, and
    seconds to compare their keypoints."""
    generator = np.random.default_rng(SEED)
    large, small = (generator.integers(0, 256, (count, 32), np.uint8) for count in (LARGE, SMALL))
    for number in range(1_000):
        bits = np.unpackbits(small[number])
        bits[generator.choice(256, int(generator.integers(0, 32)), replace=False)] ^= 1
        large[number * 100] = np.packbits(bits)
    pool = np.concatenate([keypoints(picture(f"pool {SEED} {number}", 640, 480)) for number in range(POOL)])
    write_batches(folder / "hashes.parquet", KEYPOINT_SCHEMA, _stored_tables(large, generator, pool))
    points = stored(SMALL, generator, pool)
    start = time.perf_counter()
    with OtherPictures() as pictures:
        for number, row in enumerate(small):
            pictures.add((f"b{number}", 9, 9, row.tobytes().hex(), 100, None), f"item {number}")
        found = {(row[0], row[1]) for row in matches(folder / "hashes.parquet", pictures, lambda *_: None)}
        seconds = time.perf_counter() - start
        for number, one in enumerate(points):
            pictures.add_copy(f"b{number}", np.frombuffer(one, pool.dtype), Image.new("RGB", (9, 9)))
        start = time.perf_counter()
        list(matching_parts(lambda _: Picture("none", None), folder / "hashes.parquet", pictures, lambda *_: None))
        looked_up = time.perf_counter() - start
    return seconds, sum((f"a{100 * n}", f"item {n}") in found for n in range(1_000)) / 10, looked_up


def _stored_tables(hashes: np.ndarray, generator: np.random.Generator, pool: Keypoints) -> Iterator[pa.Table]:
    for first in range(0, len(hashes), SMALL):
        some = hashes[first : first + SMALL]
        rows = {"key": [f"a{first + n}" for n in range(len(some))], "width": [9] * len(some), "height": [9] * len(some),
                "pdq": [row.tobytes().hex() for row in some], "quality": [100] * len(some), "fault": [None] * len(some),
                "keypoints": stored(len(some), generator, pool)}  # fmt: skip
        yield pa.table(rows, schema=KEYPOINT_SCHEMA)


def hashed_a_second(row_of: Callable[[Picture], Any]) -> float:
    """Pictures of 640 × 480 that one thread opens and hashes in a second."""
    files = [Picture(str(n), jpeg(picture(f"hash {n}", 640, 480))) for n in range(60)]
    start = time.perf_counter()
    for one in files:
        row_of(one)
    return len(files) / (time.perf_counter() - start)


def measures() -> list[Measure]:
    """Recall by kind, false rate, and times."""
    with TemporaryDirectory() as folder:
        found = shares(Path(folder), SEED)
        seconds, near, looked_up = picture_seconds(Path(folder))
    how = f"{PLANTED} planted of each kind in {PAIRS:,} pairs, {ITEMS:,} items; seeds not those of the thresholds"
    floors: dict[str, Any] = {"exact": 99.0, "edited": 95.0, "same picture": 99.0, "re-encoded": 95.0, "cropped": 90.0}
    timed = f"{LARGE:,} by {SMALL:,}, one process"
    return [
        *(Measure(f"planted overlap found: {kind}", value=found[kind], floor=floors[kind], unit="%", better="higher",
                  how=how) for kind in KINDS),
        Measure("pairs flagged in which nothing is planted", value=found["false"], floor=0.1, unit="%",
                better="lower", how=how),
        Measure("texts compared", value=text_seconds(), floor=LEAST, unit="s", better="lower", how=timed),
        Measure("pictures compared by stored hashes", value=seconds, floor=LEAST, unit="s", better="lower",
                how=f"{timed}; random distinct hashes, 1,000 of them up to 31 bits from another"),
        Measure("of these, near hashes found", value=near, floor=99.0, unit="%", better="higher", how=timed),
        Measure("pictures compared by stored keypoints, for crops", value=looked_up, floor=LEAST, unit="s",
                better="lower", how=f"{timed}; keypoints of generated pictures with other bits and places"),
        *(Measure(f"crops of {100 * area:.0f} % of the area found", value=share, floor=None, unit="%", better="higher",
                  how=f"100 pictures of 640 × 480, off the centre, resized, encoded again; in a wrong picture: {wrong}")
          for area, (share, wrong) in crops_found().items()),
        *(Measure(f"pictures opened and hashed{words}", value=hashed_a_second(row_of), floor=None, unit="1/s",
                  better="higher", how="640 × 480, JPEG, one thread")
          for words, row_of in (("", hash_of), (", with keypoints", hash_and_keypoints_of))),
    ]  # fmt: skip


if __name__ == "__main__":
    if "--calibrate" in sys.argv:
        for calibrated in CALIBRATION:
            with TemporaryDirectory() as place:
                print(json.dumps(dict(shares(Path(place), calibrated))))
        sys.exit()
    run(measures)
