"""Which pairs an arm is trained on: drawn by a seed, stratified, a smaller number always inside a larger one.

All pairs that fit are put in order: harmless or not, type of question, subcategory, and within these as the seed and
their content decide. From a place that the seed decides they are taken in the order of van der Corput's sequence, of
which every beginning is spread evenly: so any number of pairs keeps the shares of the strata, as systematic sampling
does (Cochran, Sampling Techniques, ch. 8), and more pairs never mean others.
"""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

import numpy as np

from spavl.errors import DataError
from spavl.plural import plural
from spavl.rows import listed
from spavl.study.arm import ArmPairs
from spavl.tables.query import query

_IN_ORDER = """
SELECT number FROM pairs WHERE $where
ORDER BY coalesce(benign, false), coalesce(question_type, ''), coalesce(class3, ''), md5(concat(hex(digest), ':', ?)),
         number
"""


def available(rows: Path, wanted: ArmPairs) -> int:
    """The most pairs that an arm could be trained on.

    Args:
        rows: table of the dataset's pairs (`PreferenceDataset.rows`).
        wanted: which pairs; its size does not count.

    Raises:
        DataError: a share of harmless pairs is wanted, and the dataset does not say which are.
    """
    if wanted.benign_share is None:
        return _count(rows, wanted, None)
    harmless, harmful, share = _count(rows, wanted, True), _count(rows, wanted, False), wanted.benign_share
    if benign_share(rows) is None and share > 0:
        raise DataError("The pairs do not say which of them are about harmless pictures", where="column `benign`",
                        try_="a dataset of spavl says it, or a column `benign` of true and false")  # fmt: skip
    most = [count / part for count, part in ((harmless, share), (harmful, 1 - share)) if part > 0]
    size = int(min(most) + 1e-9)
    while size and (round(size * share) > harmless or size - round(size * share) > harmful):
        size -= 1
    return size


def benign_share(rows: Path) -> float | None:
    """The share of a dataset's pairs that are about harmless pictures; None where no pair is said to be.

    Args:
        rows: table of the dataset's pairs (`PreferenceDataset.rows`).
    """
    share = query("SELECT coalesce(count_if(benign), 0) / greatest(count(*), 1) FROM pairs", pairs=rows)[0][0]
    return float(share) or None


def draw(rows: Path, wanted: ArmPairs, seed: int) -> np.ndarray:
    """The numbers of the pairs that an arm is trained on, in the order of the dataset, int64 [P].

    Args:
        rows: table of the dataset's pairs (`PreferenceDataset.rows`).
        wanted: which pairs, and how many.
        seed: decides which of those that fit.

    Raises:
        DataError: there are fewer than wanted.
    """
    most = available(rows, wanted)
    size = most if wanted.size is None else wanted.size
    if not most or size > most:
        raise DataError(f"{plural(size, 'pair')} {'is' if size == 1 else 'are'} wanted, and {most:,} fit",
                        where=described(wanted), try_="a smaller `size`, or more pairs")  # fmt: skip
    if wanted.benign_share is None:
        return np.sort(_drawn(rows, wanted, None, size, seed))
    harmless = round(size * wanted.benign_share)
    parts = [_drawn(rows, wanted, True, harmless, seed), _drawn(rows, wanted, False, size - harmless, seed)]
    return np.sort(np.concatenate(parts))


def described(wanted: ArmPairs) -> str:
    """Which pairs an arm wants, in a phrase.

    Args:
        wanted: which pairs.
    """
    parts = ["pairs"]
    parts += [f"of the dataset {wanted.dataset.path}"] if wanted.dataset and wanted.dataset.path else []
    parts += [f"whose answers are of {', '.join(wanted.responders)}"] if wanted.responders else []
    parts += [f"with a question of type {wanted.question_type}"] if wanted.question_type else []
    parts += [f"of no subcategory of {listed(wanted.without)}"] if wanted.without else []
    share = wanted.benign_share
    parts += [f"of which {100 * share:g} % are about harmless pictures"] if share is not None else []
    return " ".join(parts)


def _drawn(rows: Path, wanted: ArmPairs, benign: bool | None, size: int, seed: int) -> np.ndarray:
    where, values = _where(wanted, benign)
    found = query(_IN_ORDER.replace("$where", where), [*values, str(seed)], pairs=rows)
    numbers = np.fromiter((row[0] for row in found), dtype=np.int64, count=len(found))
    start = int.from_bytes(sha256(f"{seed}:{benign}".encode()).digest()[:8]) % max(1, len(numbers))
    drawn: np.ndarray = np.roll(numbers, -start)[evenly(len(numbers))[:size]]
    return drawn


def evenly(count: int) -> np.ndarray:
    """The places 0 … count - 1 in an order of which every beginning is spread evenly (van der Corput), int64 [count].

    Args:
        count: how many places.
    """
    bits = max(1, (count - 1).bit_length())
    places = np.arange(2**bits)
    backwards = np.zeros_like(places)
    for bit in range(bits):
        backwards |= ((places >> bit) & 1) << (bits - 1 - bit)
    order: np.ndarray = backwards[backwards < count]
    return order


def _count(rows: Path, wanted: ArmPairs, benign: bool | None) -> int:
    where, values = _where(wanted, benign)
    return int(query(f"SELECT count(*) FROM pairs WHERE {where}", values, pairs=rows)[0][0])


def _where(wanted: ArmPairs, benign: bool | None) -> tuple[str, list[object]]:
    """The condition of the pairs that fit, and the values of its `?`."""
    conditions, values = ["true"], list[object]()
    if wanted.responders:
        conditions += ["list_contains(?, chosen_source) AND list_contains(?, rejected_source)"]
        values += [list(wanted.responders)] * 2
    if wanted.question_type is not None:
        conditions += ["question_type = ?"]
        values += [wanted.question_type]
    if wanted.without:
        conditions += ["NOT list_contains(?, coalesce(class3, ''))"]
        values += [list(wanted.without)]
    if benign is not None:
        conditions += ["benign = ?"]
        values += [benign]
    return " AND ".join(conditions), values
