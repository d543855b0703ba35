"""Preference datasets about nothing, clean or with one planted fault, as Parquet with small pictures inside."""

from __future__ import annotations

import io
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from PIL import Image

from spavl.preferences.about import FIELDS
from spavl.tables import write_batches

Row = dict[str, Any]
SOURCES = ("amber", "birch", "cedar", "dune", "elm", "fern")
DOMAINS = ("one", "two", "three")
TYPES = ("easy_question", "hard_question", "hard_statement")
WORDS = tuple(f"word{number}" for number in range(400))
SLICE = 2_000
SIDE = 96
"""Pixels of a side of a picture."""
_PICTURE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
_SAID = ("class1", "class3", "question_type", "chosen_source", "rejected_source", "chosen_outcome", "rejected_outcome")
_FLAGS = ("chosen_safe", "rejected_safe", "benign")
SCHEMA = pa.schema(
    [("image", _PICTURE), *((name, pa.string()) for name in ("pair_id", "question", "chosen", "rejected")),
     *(field for field in FIELDS if field.name in (*_SAID, *_FLAGS))]
)  # fmt: skip


def picture(number: int, *, quality: int = 90, side: int = SIDE) -> bytes:
    """A grey JPEG of noise at several scales, another one for every number.

    Args:
        number: which one.
        quality: of the JPEG.
        side: pixels of a side.
    """
    noise = np.random.default_rng(number)
    whole = np.zeros((side, side))
    for cells in (2, 4, 8, 16, 32):  # coarse shapes weigh most, as in photographs
        grain = Image.fromarray(noise.normal(size=(cells, cells)).astype(np.float32)).resize((side, side))
        whole += np.asarray(grain) / np.sqrt(cells)
    held = io.BytesIO()
    Image.fromarray(np.clip(128 + 50 * whole, 0, 255).astype(np.uint8)).save(held, "JPEG", quality=quality)
    return held.getvalue()


def text(noise: random.Random, words: int) -> str:
    """Some words.

    Args:
        noise: draws them.
        words: how many.
    """
    return " ".join(noise.choices(WORDS, k=words))


def pair(number: int, noise: random.Random, pictures: int) -> Row:
    """A pair without a fault: outcomes by chance, the safe answer chosen, lengths and sources without a say.

    Args:
        number: of the pair.
        noise: draws it.
        pictures: how many there are.
    """
    benign = number % 4 == 0
    outcomes = ("safe_completion", "unhelpful") if benign or noise.random() < 0.5 else ("refusal", "unsafe")
    sources = noise.sample(SOURCES, 2)
    return {
        "image": number % pictures, "pair_id": f"pair-{number}", "question": text(noise, 9) + f" {number}?",
        "chosen": text(noise, noise.randrange(5, 40)), "rejected": text(noise, noise.randrange(5, 40)),
        "class1": DOMAINS[number % 3], "class3": f"{DOMAINS[number % 3]} {number % 53}", "benign": benign,
        "question_type": TYPES[number % 3], "chosen_source": sources[0], "rejected_source": sources[1],
        "chosen_outcome": outcomes[0], "rejected_outcome": outcomes[1], "chosen_safe": True,
        "rejected_safe": outcomes[1] != "unsafe",
    }  # fmt: skip


def swapped(row: Row) -> Row:
    """The pair with its answers the other way round.

    Args:
        row: a pair.
    """
    other = {"chosen": "rejected", "rejected": "chosen"}
    sides = {
        f"{side}{end}": row[f"{other[side]}{end}"] for side in other for end in ("", "_source", "_outcome", "_safe")
    }
    return row | sides


def flipped(row: Row, noise: random.Random) -> list[Row]:
    """One pair in ten the wrong way round."""
    return [swapped(row) if noise.random() < 0.1 else row]


def length_hacked(row: Row, noise: random.Random) -> list[Row]:
    """The longer answer chosen in nine pairs of ten."""
    longer = noise.random() < 0.9
    return [row if (len(row["chosen"]) > len(row["rejected"])) == longer else
            row | {"chosen": row["rejected"], "rejected": row["chosen"]}]  # fmt: skip


def one_source(row: Row, noise: random.Random) -> list[Row]:
    """`amber` chosen wherever it stands."""
    if row["rejected_source"] != SOURCES[0]:
        return [row]
    return [row | {"chosen_source": row["rejected_source"], "rejected_source": row["chosen_source"]}]


def contradicted(row: Row, noise: random.Random) -> list[Row]:
    """One pair in twenty beside itself the other way round, so that two of twenty-one contradict another."""
    again = swapped(row) | {"pair_id": f"{row['pair_id']}-again"}
    return [row, again] if noise.random() < 0.05 else [row]


def copied(row: Row, noise: random.Random) -> list[Row]:
    """One pair in twenty twice."""
    return [row, row | {"pair_id": f"{row['pair_id']}-again"}] if noise.random() < 0.05 else [row]


def same_pictures(row: Row, noise: random.Random) -> list[Row]:
    """One picture in five shown again under another encoding."""
    return [row | {"again": row["image"] % 5 == 0 and noise.random() < 0.5}]


def nearly_the_same(row: Row, noise: random.Random) -> list[Row]:
    """One pair in ten of two answers that differ in a single word of thirty."""
    if noise.random() >= 0.1:
        return [row]
    whole = noise.sample(WORDS, 30)
    return [row | {"chosen": " ".join(whole), "rejected": " ".join([*whole, "more"])}]


def one_opening(row: Row, noise: random.Random) -> list[Row]:
    """Eight refusals in ten that begin alike."""
    alike = row["chosen_outcome"] == "refusal" and noise.random() < 0.8
    return [row | {"chosen": f"an opening of four {row['chosen']}"} if alike else row]


def telling(row: Row, noise: random.Random) -> list[Row]:
    """Answers whose words say which is better, one pair in twenty the wrong way round."""
    named = row | {
        "chosen": f"{row['chosen']} kind{noise.randrange(5)}",
        "rejected": f"{row['rejected']} rude{noise.randrange(5)}",
    }
    wrong = noise.random() < 0.05
    return [swapped(named) | {"pair_id": f"{row['pair_id']}-wrong"} if wrong else named]


Plant = Callable[[Row, random.Random], list[Row]]


def planted_dataset(
    path: Path, pairs: int, seed: int, plant: Plant | None = None, *, pictures: int | None = None
) -> Path:
    """Write a dataset. Returns its path.

    Args:
        path: the Parquet file.
        pairs: before what is planted.
        seed: decides all of it.
        plant: the fault; None: clean.
        pictures: how many there are; None: one for every three pairs.
    """
    noise = random.Random(seed)
    count = pictures or max(1, pairs // 3)

    def tables() -> Iterator[pa.Table]:
        for start in range(0, pairs, SLICE):
            some = [pair(number, noise, count) for number in range(start, min(pairs, start + SLICE))]
            rows = [one for row in some for one in (plant(row, noise) if plant else [row])]
            for row in rows:
                again = row.pop("again", False)
                number = seed * 10_000_000 + row["image"]
                row["image"] = {"bytes": picture(number, quality=60 if again else 90), "path": f"{number}.jpg"}
            yield pa.Table.from_pylist(rows, schema=SCHEMA)

    write_batches(path, SCHEMA, tables())
    return path
