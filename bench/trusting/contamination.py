"""Overlap planted between 10,000 pairs and 2,000 benchmark items: how much is found, how much wrongly, how fast.

python -m bench.trusting.contamination --json FILE

Texts are a common opening and words by Zipf's law; pictures are 1/f noise with shapes on it. Thresholds were chosen on
the seeds of `CALIBRATION` (`--calibrate` prints what they give), which are not those that are reported.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping
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
from spavl.contamination.pictures import matches
from spavl.pictures import Picture
from spavl.pipeline.contamination import ContaminationRequest, contamination
from spavl.preferences.hub_file import SCHEMA
from spavl.preferences.picture_hashes import SCHEMA as HASHES
from spavl.preferences.picture_hashes import hash_of
from spavl.progress import NoProgress
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


def picture_seconds(folder: Path) -> tuple[float, float]:
    """Seconds to compare 100,000 stored hashes with 10,000, and per cent found of 1,000 that lie up to 31 bits away."""
    generator = np.random.default_rng(SEED)
    large, small = (generator.integers(0, 256, (count, 32), np.uint8) for count in (LARGE, SMALL))
    for number in range(1_000):
        bits = np.unpackbits(small[number])
        bits[generator.choice(256, int(generator.integers(0, 32)), replace=False)] ^= 1
        large[number * 100] = np.packbits(bits)
    rows = {"key": [f"a{n}" for n in range(LARGE)], "width": [9] * LARGE, "height": [9] * LARGE,
            "pdq": [row.tobytes().hex() for row in large], "quality": [100] * LARGE,
            "fault": [None] * LARGE}  # fmt: skip
    write_batches(folder / "hashes.parquet", HASHES, [pa.table(rows, schema=HASHES)])
    start = time.perf_counter()
    with OtherPictures() as pictures:
        for number, row in enumerate(small):
            pictures.add((f"b{number}", 9, 9, row.tobytes().hex(), 100, None), f"item {number}")
        found = {(row[0], row[1]) for row in matches(folder / "hashes.parquet", pictures, lambda *_: None)}
    seconds = time.perf_counter() - start
    return seconds, sum((f"a{100 * n}", f"item {n}") in found for n in range(1_000)) / 10


def hashed_a_second() -> float:
    """Pictures of 640 × 480 that one thread opens and hashes in a second."""
    files = [Picture(str(n), jpeg(picture(f"hash {n}", 640, 480))) for n in range(60)]
    start = time.perf_counter()
    for one in files:
        hash_of(one)
    return len(files) / (time.perf_counter() - start)


def measures() -> list[Measure]:
    """Recall by kind, false rate, and times."""
    with TemporaryDirectory() as folder:
        found = shares(Path(folder), SEED)
        seconds, near = picture_seconds(Path(folder))
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
        Measure("pictures opened and hashed", value=hashed_a_second(), floor=None, unit="1/s", better="higher",
                how="640 × 480, JPEG, one thread"),
    ]  # fmt: skip


if __name__ == "__main__":
    if "--calibrate" in sys.argv:
        for calibrated in CALIBRATION:
            with TemporaryDirectory() as place:
                print(json.dumps(dict(shares(Path(place), calibrated))))
        sys.exit()
    run(measures)
