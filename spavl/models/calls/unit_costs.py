"""What a call of a model takes, measured on the calls that a store holds: tokens, money, seconds, bytes, failures."""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from spavl.models.calls.files import open_to_read, sqlite_errors
from spavl.models.calls.maintenance import MODEL
from spavl.records import TRIED_AGAIN

MOST_ROWS: Final = 20_000
"""Most rows that are looked at, spread evenly over the store: enough for a mean, and read in a second."""
_LETTERS = "length(CAST(request AS BLOB)) + length(CAST(text AS BLOB)) + length(CAST(thought AS BLOB))"
_LOST = ", ".join(f"'{status}'" for status in TRIED_AGAIN)
MEANS: Final = f"""
SELECT {MODEL} AS model, count(*), avg(prompt_tokens), avg(completion_tokens), avg(cost),
       avg(latency * max(1, attempts)), avg(status IN ({_LOST})), avg({_LETTERS})
FROM calls WHERE id IN (SELECT value FROM json_each(?)) GROUP BY model
"""
SIZE: Final = "SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()"


@dataclass(frozen=True, slots=True)
class UnitCost:
    """What one call of a model takes on average."""

    calls: int
    """Calls that it was measured on."""
    prompt_tokens: float
    """Tokens of its prompt; 0 where the model does not say."""
    completion_tokens: float
    """Tokens of its answer."""
    cost: float
    """What it cost, in the currency of the prices that held then."""
    seconds: float
    """Seconds of its attempts; of a model that answers a list at once, its share of the list's."""
    failed: float
    """Share of the calls that brought no answer."""
    bytes: float
    """Bytes of the store's file."""


def unit_costs(path: Path) -> dict[str, UnitCost]:
    """What a call takes, by identity of the model; empty where there is no store yet.

    Args:
        path: the call store; another process may write into it.

    Raises:
        RunError: it is no call store, or it is damaged.
    """
    if not path.exists():
        return {}
    with closing(open_to_read(path)) as connection, sqlite_errors(path):
        rows, last = connection.execute("SELECT count(*), max(id) FROM calls").fetchone()
        if not rows:
            return {}
        step = max(1, last // MOST_ROWS)
        found = connection.execute(MEANS, (json.dumps(list(range(last, 0, -step))),)).fetchall()
        size = connection.execute(SIZE).fetchone()[0]
    # Pages hold more than letters: what the file has beyond them is shared out alike.
    beyond = size / rows - sum(row[1] * row[7] for row in found) / sum(row[1] for row in found)
    beyond = max(0.0, beyond)
    return {
        model: UnitCost(calls, asked, answered, cost, seconds, failed, letters + beyond)
        for model, calls, asked, answered, cost, seconds, failed, letters in found
    }
