"""Audit of the judges of a dataset: how steady each is when the answers swap places, and how far they agree."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from itertools import combinations
from pathlib import Path
from typing import Any

from spavl.records import Winner
from spavl.statistics.agreement import nominal_alpha, position_bias, swap_agreement_of
from spavl.statistics.intervals import Rate, rate_of
from spavl.tables.query import query

MOST_UNREADABLE = 0.2
"""Share of a judge's whole replies without a readable verdict above which it is warned of."""
_BY_MATCH = """
SELECT judge, match_id, coalesce(nullif(class2, ''), class3) AS category,
    max(winner) FILTER ("order" = 'ab') AS ab, max(winner) FILTER ("order" = 'ba') AS ba
FROM judgments GROUP BY judge, match_id, category
"""
_VERDICTS = f"""
SELECT judge, category, ab, ba, count(*) FROM ({_BY_MATCH}) GROUP BY ALL ORDER BY ALL
"""
_STATUSES = """
SELECT judge, count(*), count(*) FILTER (judgment_status = 'unreadable'),
    count(*) FILTER (judgment_status IN ('ok', 'unreadable'))
FROM judgments GROUP BY judge
"""
_LABELS = "SELECT match_id, CASE WHEN ab = ba THEN ab END AS label FROM ({votes})"
Counts = Counter[tuple[Winner | None, Winner | None]]
"""Matches by their winners in both reading orders."""


def audit(tables: Sequence[Path], names: Sequence[str] = ()) -> dict[str, Any]:
    """What is known of every judge by its name, and how far judges agree, as plain data.

    Args:
        tables: of judgments, one of every judge, or of one that holds those of one judge.
        names: what `run.json` calls the tables, such as their paths in the run folder.
    """
    of_tables = [_of_table(table) for table in tables]
    shown = names or [str(table) for table in tables]
    judges = {
        judge: {**figures, "table": name}
        for found, name in zip(of_tables, shown, strict=True) for judge, figures in found.items()
    }  # fmt: skip
    alone = {next(iter(found)): table for found, table in zip(of_tables, tables, strict=True) if len(found) == 1}
    return {"judges": judges, "agreement": _agreement(alone) if len(alone) > 1 else {}}


def counts_of(verdicts: Sequence[Sequence[Any]]) -> Counts:
    """Matches by their winners in both orders, as `audit` notes them.

    Args:
        verdicts: (winner in order `ab`, winner in order `ba`, matches).
    """
    return Counter({(ab, ba): n for ab, ba, n in verdicts})


def swap_agreement(judges: Mapping[str, Mapping[str, Any]]) -> float | None:
    """Share of matches whose two readable verdicts of a judge agree, over all judges; None where no match has two.

    Args:
        judges: from `audit`.
    """
    read = sum((counts_of(found["verdicts"]) for found in judges.values()), Counts())
    both = sum(n for pair, n in read.items() if None not in pair)
    return 1 - sum(n for (ab, ba), n in read.items() if None not in (ab, ba) and ab != ba) / both if both else None


def unreadable_judges(judges: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """A sentence for every judge of whose verdicts too many cannot be read.

    Args:
        judges: from `audit`.
    """
    return [
        f"the verdicts of the judge `{name}` cannot be read: {found['unreadable']:,} of {found['replies']:,}"
        for name, found in judges.items()
        if found["replies"] and found["unreadable"] / found["replies"] > MOST_UNREADABLE
    ]


def _of_table(table: Path) -> dict[str, dict[str, Any]]:
    """What is known of the judges of a table."""
    by_judge: dict[str, dict[str, Counts]] = {}
    for judge, category, ab, ba, n in query(_VERDICTS, judgments=table):
        by_judge.setdefault(judge, {}).setdefault(category, Counts())[ab, ba] += n
    calls = {judge: counts for judge, *counts in query(_STATUSES, judgments=table)}
    return {judge: _judge(categories, calls[judge]) for judge, categories in by_judge.items()}


def _judge(categories: Mapping[str, Counts], calls: Sequence[int]) -> dict[str, Any]:
    whole = sum(categories.values(), Counts())
    asked, unreadable, replies = calls
    return {
        **_figures(whole),
        "asked": asked, "replies": replies, "unreadable": unreadable,
        "verdicts": [[ab, ba, n] for (ab, ba), n in whole.items()],
        "categories": {name: _figures(counts) for name, counts in categories.items()},
    }  # fmt: skip


def _figures(counts: Counts) -> dict[str, Any]:
    """Consistency and bias, each with its interval."""
    agree, bias = swap_agreement_of(counts).agree, position_bias(counts)
    return {
        "matches": counts.total(), "consistent": asdict(agree), "position_bias": asdict(bias),
        "first_in_both": _share(counts, ("a", "b")), "last_in_both": _share(counts, ("b", "a")),
    }  # fmt: skip


def _share(counts: Counts, pattern: tuple[Winner, Winner]) -> float | None:
    read = sum(n for pair, n in counts.items() if None not in pair)
    return counts[pattern] / read if read else None


def _agreement(tables: Mapping[str, Path]) -> dict[str, Any]:
    """How far judges agree over the matches where both, or all, say the same in both orders."""
    votes = {f"votes{place}": table for place, table in enumerate(tables.values())}
    labels = [_LABELS.format(votes=_BY_MATCH.replace("FROM judgments", f"FROM {name}")) for name in votes]
    both = {
        f"{one} ~ {other}": asdict(_same(first, second, votes))
        for (one, first), (other, second) in combinations(zip(tables, labels, strict=True), 2)
    }
    counted = ", ".join(f"count(*) FILTER (label = '{label}')" for label in ("a", "b", "tie"))
    units = f"SELECT {counted} FROM ({' UNION ALL '.join(labels)}) GROUP BY match_id"
    rows = query(f"SELECT a, b, t, count(*) FROM ({units}) u(a, b, t) GROUP BY ALL", None, **votes)
    return {"same": both, "alpha": nominal_alpha({(a, b, tie): n for a, b, tie, n in rows})}


def _same(first: str, second: str, votes: Mapping[str, Path]) -> Rate:
    """How often two judges have the same vote, where both have one."""
    sql = (
        f"SELECT x.label = y.label, count(*) FROM ({first}) x JOIN ({second}) y USING (match_id) "
        "WHERE x.label IS NOT NULL AND y.label IS NOT NULL GROUP BY 1"
    )
    same: dict[bool, int] = dict(query(sql, None, **votes))
    return rate_of(same.get(True, 0), sum(same.values()))
