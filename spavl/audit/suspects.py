"""Pairs that are suspected of something: each kind is a query for their numbers, details and scores.

A table of findings holds them: `number` and `pair_id` of the pair, `kind`, `detail`, `score` (higher is surer). DuckDB
writes a table of every kind and joins them on disk, so that no more than a slice of them is held at once. Shares of all
pairs become findings.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from spavl.audit.by_picture import PICTURES, WHOLE, Counted, rates_of
from spavl.audit.finding import Finding, percent
from spavl.config import AuditSettings
from spavl.tables.query import literal, query

LEAST_OF_A_PICTURE, TIMES_THE_MEDIAN = 10, 4
"""More pairs than so many, and than so many times the median, are too many of a picture unless the settings say."""


@dataclass(frozen=True, slots=True)
class Suspicion:
    """A kind of suspected pairs."""

    kind: str
    """Its term."""
    sql: str
    """Query for number, pair_id, detail and score."""
    what: str = ""
    """The sentence of its finding, with `{share}` in it; empty: another finding speaks of it."""
    try_: str = ""
    """What to do about it."""


_WORDS = (
    r"list_distinct(regexp_extract_all(lower({text}), '[\p{{Han}}\p{{Hiragana}}\p{{Katakana}}]|[\p{{L}}\p{{N}}]+'))"
)
_PAIRS = f"FROM pairs WHERE {WHOLE}"


def _those(where: str, detail: str = "") -> str:
    return f"SELECT number, pair_id, '{detail}', 1.0 {_PAIRS} AND {where}"


_NEARLY_SAME = f"""
SELECT number, pair_id, 'nearly the same words', same / (len(a) + len(b) - same) FROM (
    SELECT *, len(list_intersect(a, b)) AS same FROM (
        SELECT number, pair_id, {_WORDS.format(text="chosen")} AS a, {_WORDS.format(text="rejected")} AS b
        {_PAIRS} AND chosen <> rejected
        AND least(length(chosen), length(rejected)) >= $same_words / 2 * greatest(length(chosen), length(rejected))
    )
) WHERE same > 0 AND same / (len(a) + len(b) - same) >= $same_words
"""
_OVERUSED = f"""
WITH shown AS (SELECT number, pair_id, {PICTURES} AS picture {_PAIRS} AND len(images) > 0),
placed AS (
    SELECT *, count(*) OVER (PARTITION BY picture) AS uses,
        row_number() OVER (PARTITION BY picture ORDER BY md5(pair_id), number) AS place FROM shown
), typical AS (
    SELECT coalesce($most, greatest({LEAST_OF_A_PICTURE}, {TIMES_THE_MEDIAN} * median(uses))) AS most FROM (
        SELECT count(*) AS uses FROM shown GROUP BY picture
    )
)
SELECT number, pair_id, uses || ' pairs of its picture', 1 - most / uses FROM placed, typical WHERE place > most
"""
SUSPICIONS = (
    Suspicion("malformed", "SELECT number, pair_id, malformed, 1.0 FROM pairs WHERE malformed <> ''",
              "{share} of rows are no pairs", "look at the reasons in the table of findings"),
    Suspicion("same_answers", _those("chosen = rejected"), "In {share} of pairs both answers are the same text",
              "clean with `--drop same_answers`"),
    Suspicion("near_identical", _NEARLY_SAME, "In {share} of pairs both answers are nearly the same words",
              "clean with `--drop near_identical`"),
    Suspicion("empty_answers", _those("trim(chosen) = '' OR trim(rejected) = '' OR trim(question) = ''"),
              "{share} of pairs have an empty question or answer", "clean with `--drop empty_answers`"),
    Suspicion("missing_pictures", "SELECT number, pair_id, 'a picture cannot be read', 1.0 FROM pairs, "
              f"(SELECT list(key) AS keys FROM hashes WHERE fault IS NOT NULL) WHERE {WHOLE} AND "
              "list_has_any(images, keys)", "{share} of pairs name a picture that cannot be read",
              "add the pictures, or clean"),
    Suspicion("duplicates", f"SELECT number, pair_id, 'as pair ' || first, 1.0 FROM (SELECT number, pair_id, "
              f"min(number) OVER (PARTITION BY digest) AS first {_PAIRS}) WHERE number > first",
              "{share} of pairs are copies of another", "clean with `--drop duplicates`"),
    Suspicion("contradictions", "SELECT a.number, a.pair_id, 'against pair ' || min(b.number), 1.0 FROM pairs a JOIN "
              "pairs b ON a.digest = b.swapped_digest WHERE a.malformed = '' AND b.malformed = '' AND "
              "a.chosen <> a.rejected GROUP BY a.number, a.pair_id",
              "{share} of pairs stand beside one that prefers the other answer", "clean with `--drop contradictions`"),
    Suspicion("overused_pictures", _OVERUSED, "{share} of pairs are more of one picture than others have",
              "clean with `--drop overused_pictures`, which leaves every picture as many as `audit.most_per_picture`"),
    Suspicion("unsafe_chosen", _those("NOT chosen_safe")),
    Suspicion("both_unsafe", _those("NOT chosen_safe AND NOT rejected_safe", "both answers are unsafe")),
    Suspicion("flipped_labels", _those("NOT chosen_safe AND rejected_safe", "the unsafe answer is chosen")),
    Suspicion("refused_harmless", _those("benign AND chosen_outcome = 'refusal'")),
    Suspicion("bare_refusals", _those("chosen_outcome = 'refusal' AND rejected_outcome = 'safe_completion'")),
    Suspicion("disputed", "SELECT number, pair_id, len(judges_against) || ' of ' || (len(judges_for) + "
              "len(judges_against)) || ' judges', len(judges_against)::DOUBLE / (len(judges_for) + "
              f"len(judges_against)) {_PAIRS} AND len(judges_against) > 0"),
)  # fmt: skip
"""All kinds whose pairs a query finds."""


def write_suspects(rows: Path, hashes: Path, folder: Path, settings: AuditSettings) -> dict[str, Path]:
    """Write a table of the suspected pairs of every kind that a query finds. Returns the tables by kind.

    Args:
        rows: the table of an opened dataset.
        hashes: of its pictures.
        folder: of the tables.
        settings: of the audit.

    Raises:
        RunError: a table is damaged, or the disk is full.
    """
    values = {"$same_words": str(settings.same_words), "$most": str(settings.most_per_picture or "NULL")}
    found = {suspicion.kind: folder / f"{suspicion.kind}.parquet" for suspicion in SUSPICIONS}
    copies = []
    for suspicion in SUSPICIONS:
        sql = suspicion.sql
        for name, value in values.items():
            sql = sql.replace(name, value)
        copies.append(_copy(suspicion.kind, sql, found[suspicion.kind]))
    query(";".join(copies), None, pairs=rows, hashes=hashes)
    return found


def write_kind(kind: str, sql: str, path: Path, **tables: Path) -> None:
    """Write the suspected pairs of a kind.

    Args:
        kind: its term.
        sql: query for number, pair_id, detail and score.
        path: the table that is written.
        tables: what the query reads.
    """
    query(_copy(kind, sql, path), None, **tables)


def _copy(kind: str, sql: str, path: Path) -> str:
    typed = f"SELECT number::BIGINT AS number, pair_id, '{kind}' AS kind, detail::VARCHAR AS detail, score::DOUBLE " \
            f"AS score FROM ({sql}) suspects(number, pair_id, detail, score)"  # fmt: skip
    return f"COPY ({typed}) TO {literal(str(path))} (FORMAT parquet, COMPRESSION zstd)"


def join_suspects(kinds: Mapping[str, Path], out: Path) -> dict[str, int]:
    """Write the table of findings: kind after kind, the surest of each first. Returns its rows by kind.

    Args:
        kinds: tables of suspected pairs by kind.
        out: the table that is written.

    Raises:
        RunError: a table is damaged, or the disk is full.
    """
    tables = {f"kind{place}": path for place, path in enumerate(kinds.values())}
    joined = " UNION ALL ".join(f"SELECT {place} AS place, * FROM {name}" for place, name in enumerate(tables))
    sql = f"SELECT * EXCLUDE (place) FROM ({joined}) ORDER BY place, score DESC, number"
    query(f"COPY ({sql}) TO {literal(str(out))} (FORMAT parquet, COMPRESSION zstd)", None, **tables)
    counted = dict(query("SELECT kind, count(*) FROM findings GROUP BY kind", findings=out))
    return {kind: counted.get(kind, 0) for kind in kinds}


def suspect_findings(rows: Path, kinds: Mapping[str, Path], settings: AuditSettings) -> list[Finding]:
    """A finding of every kind of suspected pairs that speaks for itself.

    Args:
        rows: the table of an opened dataset.
        kinds: from `write_suspects`.
        settings: of the audit.
    """
    named = [one for one in SUSPICIONS if one.what]
    wanted = [
        Counted(f"number IN (SELECT number FROM {one.kind})", where="TRUE" if one.kind == "malformed" else WHOLE)
        for one in named
    ]  # fmt: skip
    rates = rates_of(rows, wanted, level=settings.level, **{one.kind: kinds[one.kind] for one in named})
    found = []
    for one, groups in zip(named, rates, strict=True):
        for rate in groups.values():
            found.append(Finding(
                kind=one.kind, rate=rate, limit=settings.limits.of(one.kind), pairs=rate.count, try_=one.try_,
                what=f"{one.what.format(share=percent(rate, 2))} ({rate.count:,} of {rate.n:,}).",
            ))  # fmt: skip
    return found
