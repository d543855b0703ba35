"""The page of an audit from a dataset and its findings: who is unsafe where, who beats whom, coverage, and examples."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from spavl.audit.finding import Finding
from spavl.pictures import FileSlice, Picture
from spavl.preferences.dataset import PreferenceDataset
from spavl.preferences.pairs import Pair
from spavl.report.audit import write_audit
from spavl.report.audit_data import AuditShown, CellsShown, FindingShown, Suspect, UnsafeShown, Wins
from spavl.statistics.intervals import LEVEL, Outcome, Rate, clustered_rate
from spavl.tables.query import query

PAGE = "audit.html"
"""Name of the page, beside `audit.json`."""
MOST_SUSPECTS = 24
"""Most examples on the page."""
MOST_SOURCES = 20
"""Most responders of the table of wins: those with most answers."""

_UNSAFE = """
SELECT coalesce(class1, 'no domain'), NOT chosen_safe, NOT rejected_safe,
    dense_rank() OVER (ORDER BY coalesce(image_id, context))
FROM pairs WHERE malformed = '' AND (chosen_safe IS NOT NULL OR rejected_safe IS NOT NULL)
"""
_WINS = """
SELECT chosen_source, rejected_source, count(*) FROM pairs
WHERE malformed = '' AND chosen_source IS NOT NULL AND rejected_source IS NOT NULL GROUP BY ALL
"""
_CELLS = """
SELECT class3, coalesce(question_type, 'any'), count(*) FROM pairs
WHERE malformed = '' AND class3 IS NOT NULL GROUP BY ALL
"""
_ABOUT = "SELECT number, class3, benign FROM pairs WHERE number IN (SELECT unnest(?::BIGINT[]))"


def write_audit_page(
    dataset: PreferenceDataset,
    findings: Sequence[Finding],
    folder: Path,
    *,
    verdict: str,
    suspected: Mapping[int, str],
    facts: Mapping[str, str],
    level: float = LEVEL,
    blur: bool = True,
) -> Path:
    """Write the page beside `audit.json`. Returns its path.

    Args:
        dataset: that was audited.
        findings: of the audit.
        folder: of the audit.
        verdict: one sentence.
        suspected: of what a pair is suspected, by its number, the most doubtful first.
        facts: what else is known, by its name.
        level: confidence level.
        blur: blur pictures that are not known to be harmless.

    Raises:
        RunError: the page cannot be written.
    """
    shown = AuditShown(
        dataset=Path(dataset.name).name or dataset.name, verdict=verdict, pairs=len(dataset.pairs),
        findings=shown_findings(findings), unsafe=tuple(_unsafe(dataset, level)), wins=_wins(dataset),
        cells=_cells(dataset), suspects=tuple(_suspects(dataset, suspected)), facts=facts, level=level, blur=blur,
    )  # fmt: skip
    return write_audit(shown, folder / PAGE)


def shown_findings(findings: Sequence[Finding]) -> tuple[FindingShown, ...]:
    """Findings as pages show them.

    Args:
        findings: of an audit.
    """
    return tuple(
        FindingShown(kind=one.kind, fault=one.weight == "fault", what=one.what, try_=one.try_, subject=one.subject,
                     rate=one.rate, limit=one.limit, pairs=one.pairs)
        for one in findings
    )  # fmt: skip


def _unsafe(dataset: PreferenceDataset, level: float) -> Iterator[UnsafeShown]:
    """Of every domain, and last of all together."""
    rows = query(_UNSAFE, pairs=dataset.rows)
    by_domain: dict[str, list[tuple[Outcome, Outcome, int]]] = {}
    for domain, chosen, rejected, cluster in rows:
        by_domain.setdefault(domain, []).append((chosen, rejected, cluster))
    for domain in sorted(by_domain):
        yield _shares(domain, by_domain[domain], level)
    if len(by_domain) > 1:
        yield _shares("all", [row[1:] for row in rows], level)


def _shares(domain: str, rows: Sequence[tuple[Outcome, Outcome, int]], level: float) -> UnsafeShown:
    def share(side: int) -> Rate | None:
        graded = [(row[side], row[2]) for row in rows if row[side] is not None]
        return clustered_rate([one for one, _ in graded], [at for _, at in graded], level=level) if graded else None

    return UnsafeShown(domain=domain, chosen=share(0), rejected=share(1))


def _wins(dataset: PreferenceDataset) -> Wins | None:
    """The table of the responders with most answers; None where fewer than two are told."""
    counts = {(one, other): n for one, other, n in query(_WINS, pairs=dataset.rows) if one != other}
    met: dict[str, list[int]] = {}
    for (one, other), n in counts.items():
        for place, name in enumerate((one, other)):
            met.setdefault(name, [0, 0])[place] += n
    most = sorted(met, key=lambda name: (-sum(met[name]), name))[:MOST_SOURCES]
    order = sorted(most, key=lambda name: (-met[name][0] / sum(met[name]), name))
    if len(order) < 2:
        return None
    return Wins(sources=tuple(order), counts=tuple(tuple(counts.get((a, b), 0) for b in order) for a in order))


def _cells(dataset: PreferenceDataset) -> CellsShown | None:
    found = {(name, kind): n for name, kind, n in query(_CELLS, pairs=dataset.rows)}
    names, kinds = sorted({name for name, _ in found}), sorted({kind for _, kind in found})
    rows = tuple((name, tuple(found.get((name, kind), 0) for kind in kinds)) for name in names)
    return CellsShown(columns=tuple(kind.replace("_", " ") for kind in kinds), rows=rows) if found else None


def _suspects(dataset: PreferenceDataset, suspected: Mapping[int, str]) -> Iterator[Suspect]:
    numbers = list(suspected)[:MOST_SUSPECTS]
    about = {number: rest for number, *rest in query(_ABOUT, [numbers], pairs=dataset.rows)}
    for number in numbers:
        topic, benign = about.get(number, (None, None))
        yield _suspect(dataset.pairs[number], suspected[number], topic or "", benign is True)


def _suspect(pair: Pair, why: str, topic: str, benign: bool) -> Suspect:
    found = (_source(picture) for picture in pair.all_pictures)
    return Suspect(
        pair_id=pair.pair_id, why=why, question=pair.question, chosen=pair.chosen, rejected=pair.rejected,
        pictures=tuple(one for one in found if one is not None), topic=topic, benign=benign,
    )  # fmt: skip


def _source(picture: Picture) -> Path | bytes | None:
    """The file of a picture, or its bytes; None where these are not to be had."""
    try:
        if isinstance(picture.source, FileSlice):
            return picture.source.read()
    except OSError:
        return None
    return picture.source if isinstance(picture.source, Path | bytes) else None
