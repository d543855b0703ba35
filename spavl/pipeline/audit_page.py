"""The page of an audit from a dataset and its findings: who is unsafe where, who beats whom, coverage, and examples."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import pyarrow.parquet as pq

from spavl.audit.facts import OPENINGS_NAMED, Facts
from spavl.audit.finding import Finding
from spavl.pictures import FileSlice, Picture
from spavl.preferences.dataset import PreferenceDataset
from spavl.preferences.pairs import Pair
from spavl.report.audit import render_audit
from spavl.report.audit_data import AuditShown, CellsShown, FindingShown, Suspect, UnsafeShown, Wins
from spavl.statistics.intervals import LEVEL
from spavl.tables.query import query
from spavl.taxonomy import load_taxonomy

MOST_SUSPECTS = 24
"""Most examples on the page."""
MOST_SOURCES = 20
"""Most responders of the table of wins: those with most answers."""

_ABOUT = "SELECT number, class3, benign FROM pairs WHERE number IN (SELECT unnest(?::BIGINT[]))"


def audit_page(
    dataset: PreferenceDataset,
    findings: Sequence[Finding],
    facts: Facts,
    *,
    verdict: str,
    suspected: Mapping[int, str],
    not_possible: Mapping[str, str] = MappingProxyType({}),
    level: float = LEVEL,
    blur: bool = True,
) -> str:
    """The page of an audit as HTML.

    Args:
        dataset: that was audited.
        findings: of the audit.
        facts: what else is known.
        verdict: one sentence.
        suspected: of what a pair is suspected, by its number, the most doubtful first.
        not_possible: kinds of findings that nothing can be said of, and why.
        level: confidence level.
        blur: blur pictures that are not known to be harmless.
    """
    return render_audit(AuditShown(
        dataset=Path(dataset.name).name or dataset.name, verdict=verdict, pairs=len(dataset.pairs),
        findings=shown_findings(findings), unsafe=_unsafe(facts), wins=_wins(facts), cells=_cells(facts),
        suspects=tuple(_suspects(dataset, suspected)), facts=_facts(dataset, facts), level=level, blur=blur,
        unanswered=_unanswered(not_possible),
    ))  # fmt: skip


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


def _unsafe(facts: Facts) -> tuple[UnsafeShown, ...]:
    shown = load_taxonomy().display
    return tuple(
        UnsafeShown(domain=shown(name), chosen=one, rejected=other) for name, (one, other) in facts.unsafe.items()
    )  # fmt: skip


def _wins(facts: Facts) -> Wins | None:
    """The table of the responders with most answers; None where fewer than two are told."""
    counts = {(one, other): n for one, other, n in facts.wins if one != other}
    met: dict[str, list[int]] = {}
    for (one, other), n in counts.items():
        for place, name in enumerate((one, other)):
            met.setdefault(name, [0, 0])[place] += n
    most = sorted(met, key=lambda name: (-sum(met[name]), name))[:MOST_SOURCES]
    order = sorted(most, key=lambda name: (-met[name][0] / sum(met[name]), name))
    if len(order) < 2:
        return None
    return Wins(sources=tuple(order), counts=tuple(tuple(counts.get((a, b), 0) for b in order) for a in order))


def _cells(facts: Facts) -> CellsShown | None:
    if facts.coverage is None:
        return None
    columns = tuple(kind.replace("_", " ") for kind in facts.coverage.types)
    return CellsShown(columns=columns, rows=tuple(facts.coverage.counts.items()))


def _facts(dataset: PreferenceDataset, facts: Facts) -> dict[str, str]:
    """What else is known, by its name."""
    found = {"pictures": f"{pq.read_metadata(dataset.pictures).num_rows:,}"}
    graded = sum(facts.outcomes.values())
    if graded:
        found |= {name: f"{count:,} ({100 * count / graded:.1f} %)" for name, count in facts.outcomes.items()}
    if facts.openings:
        found["openings of refusals"] = f"{len(facts.openings):,}, {facts.entropy:.1f} bits"
        found["most frequent openings"] = "; ".join(f"{text} … ({n:,})" for text, n in facts.openings[:OPENINGS_NAMED])
    return found


def _unanswered(not_possible: Mapping[str, str]) -> dict[str, str]:
    """Kinds by the reason that they share."""
    found: dict[str, list[str]] = {}
    for kind, why in not_possible.items():
        found.setdefault(why, []).append(kind.replace("_", " "))
    return {why: ", ".join(kinds) for why, kinds in found.items()}


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
