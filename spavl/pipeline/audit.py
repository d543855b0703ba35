"""`spavl audit`: what is wrong with a preference dataset, ours or anybody's, in one folder and one sentence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import spavl
from spavl.audit.facts import Facts, diversity_findings, facts_of
from spavl.audit.finding import Finding, weighed
from spavl.audit.judges import judge_findings
from spavl.audit.mislabels import doubts
from spavl.audit.not_possible import not_possible
from spavl.audit.pictures import KIND, duplicate_pictures
from spavl.audit.probes import ProbeKind
from spavl.audit.shares import share_findings
from spavl.audit.source_outcome import alone_findings
from spavl.audit.suspects import join_suspects, suspect_findings, write_suspects
from spavl.config import AuditSettings
from spavl.pipeline.audit_files import FINDINGS, FOLDER, claimed_folder, commit, named_after, parts_of
from spavl.pipeline.audit_page import audit_page
from spavl.pipeline.audit_probes import Probes, run_probes
from spavl.pipeline.exports import CACHE, dataset_folder
from spavl.pipeline.session import Session
from spavl.plural import plural
from spavl.preferences.dataset import PreferenceDataset, content_of, open_dataset
from spavl.preferences.picture_hashes import picture_hashes
from spavl.progress import Progress
from spavl.run import Run, run_at
from spavl.tables.query import query

MOST_SHOWN = 40
"""Most suspected pairs that the page shows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Audited:
    """What an audit found."""

    folder: Path
    """Where it is."""
    verdict: str
    """One sentence."""
    findings: tuple[Finding, ...]
    """Faults first."""
    not_possible: Mapping[str, str]
    """Kinds of findings for which the dataset does not say enough, and what it lacks."""
    suspects: Mapping[str, int]
    """Suspected pairs by kind, as the table of findings has them."""
    failed: int = 0
    """Calls of probes that brought no answer."""

    @property
    def faults(self) -> tuple[Finding, ...]:
        """The findings that are faults."""
        return tuple(one for one in self.findings if one.weight == "fault")


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditRequest:
    """What is to be audited."""

    source: str
    """A run folder, or pairs of any public form."""
    out: Path | None = None
    """Folder of the audit; None: `audit` in the run folder, else `audit-NAME` here."""
    limit: int | None = None
    """Only the first so many pairs."""
    probes: tuple[ProbeKind, ...] = ()
    """What is asked of the judges."""
    sample: int = 200
    """Pairs that a probe asks about."""
    settings: AuditSettings = field(default_factory=AuditSettings)
    """From where on a finding is a fault."""

    @property
    def run(self) -> Run | None:
        """The run, where the source is its folder."""
        return run_at(Path(self.source))

    @property
    def pairs(self) -> str:
        """What the pairs are read from.

        Raises:
            RunError: the run has no dataset yet.
        """
        return dataset_folder(self.source)

    @property
    def folder(self) -> Path:
        """Folder of the audit."""
        run = self.run
        if self.out is not None:
            return self.out
        return run.folder / FOLDER if run else named_after(Path(self.source))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Looked:
    """What every part of an audit brought."""

    findings: Sequence[Finding]
    """Not yet weighed."""
    tables: Mapping[str, Path]
    """Suspected pairs by kind."""
    reasons: Mapping[str, str]
    """Kinds that nothing can be said of, and why."""
    facts: Facts
    """What else is known."""


def audit(request: AuditRequest, progress: Progress, session: Session | None = None) -> Audited:
    """Audit a dataset: files of findings, a page, and a verdict.

    Args:
        request: what is to be audited.
        progress: shows bars.
        session: names the judges that probes ask; None: none is asked.

    Raises:
        DataError: there are no pairs, or they cannot be read.
        RunError: the folder holds something else, or cannot be written.
    """
    dataset = open_dataset(request.pairs, cache=CACHE, limit=request.limit)  # what cannot be read leaves no folder
    folder = claimed_folder(request.folder, request.pairs)
    probes = run_probes(session, dataset, request.probes, count=request.sample, folder=folder) if session else None
    with parts_of(folder) as parts:
        looked = _looked(request, dataset, parts, progress)
        counts = join_suspects(looked.tables, parts / FINDINGS)
        made = _made(request, dataset, looked, counts, probes)
        suspected = _suspected(parts / FINDINGS)
        asked = {"probes": probes.plain()} if probes else {}
        plain = {**_plain(made, dataset), "facts": looked.facts.plain(), **asked}
        commit(folder, parts / FINDINGS, lambda: (plain, audit_page(dataset, made.findings, looked.facts, **_shown(
            made, request.settings), suspected=suspected)))  # fmt: skip
    return made


def _looked(request: AuditRequest, dataset: PreferenceDataset, parts: Path, progress: Progress) -> _Looked:
    """All that is found without asking a model."""
    settings, rows = request.settings, dataset.rows
    hashes = picture_hashes(dataset, progress)
    tables = write_suspects(rows, hashes, parts, settings)
    tables[KIND] = parts / f"{KIND}.parquet"
    alike = duplicate_pictures(rows, hashes, tables[KIND], progress, settings)
    doubted = doubts(rows, parts, progress, settings)
    facts = facts_of(rows, settings)
    findings = [
        *suspect_findings(rows, tables, settings), *share_findings(rows, settings), *([alike] if alike else ()),
        *doubted.findings, *diversity_findings(rows, facts, settings), *alone_findings(rows, settings),
        *judge_findings(_judgments(request.run), settings),
    ]  # fmt: skip
    return _Looked(findings=findings, tables={**tables, **doubted.tables}, reasons=doubted.not_possible, facts=facts)


def _made(
    request: AuditRequest, dataset: PreferenceDataset, looked: _Looked, counts: Mapping[str, int], probes: Probes | None
) -> Audited:
    every = [*looked.findings, *(probes.findings if probes else ())]
    findings = [
        one if one.pairs or one.subject else replace(one, pairs=counts.get(one.kind, 0))
        for one in weighed(every, level=request.settings.level)
    ]  # fmt: skip
    reasons = not_possible(dataset.rows, {one.kind for one in every}, looked.reasons)
    return Audited(
        folder=request.folder, findings=_sorted(findings), not_possible=reasons, suspects=counts,
        verdict=verdict_of(findings, len(dataset.pairs), len(reasons)), failed=probes.failed if probes else 0,
    )  # fmt: skip


def verdict_of(findings: Sequence[Finding], pairs: int, unanswered: int = 0) -> str:
    """One sentence: how many faults there are, and which; or that there is none, and by how many checks.

    Args:
        findings: of the audit.
        pairs: rows of the dataset.
        unanswered: kinds of findings for which the dataset does not say enough.
    """
    kinds = list(dict.fromkeys(one.kind for one in findings if one.weight == "fault"))
    looked = len({one.kind for one in findings})
    if not kinds:
        more = f"; {unanswered:,} more need what is not told" if unanswered else ""
        return f"No fault was found in {pairs:,} pairs by {plural(looked, 'check')}{more}."
    named = ", ".join(kind.replace("_", " ") for kind in kinds)
    return f"{plural(len(kinds), 'kind')} of faults in {pairs:,} pairs: {named}."


def _sorted(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    return tuple(sorted(findings, key=lambda one: one.weight != "fault"))


def _judgments(run: Run | None) -> list[Path]:
    """The tables of what judges said of all matches of a run; none for a dataset from elsewhere."""
    if run is None:
        return []
    named = {judge["table"] for judge in (run.manifest().get("judges") or {}).values()}
    return [path for path in (run.folder / name for name in sorted(named)) if path.is_file()]


def _plain(made: Audited, dataset: PreferenceDataset) -> dict[str, Any]:
    return {
        "verdict": made.verdict, "pairs": len(dataset.pairs), "dataset": dataset.name,
        "audited": content_of(dataset), "made_by": f"spavl {spavl.__version__}",
        "findings": [asdict(one) for one in made.findings], "not_possible": dict(made.not_possible),
        "suspects": dict(made.suspects),
    }  # fmt: skip


def _shown(made: Audited, settings: AuditSettings) -> dict[str, Any]:
    """What the page is given beside findings and facts."""
    return {"verdict": made.verdict, "not_possible": made.not_possible, "level": settings.level}


def _suspected(findings: Path) -> dict[int, str]:
    """The surest suspects of every kind, by number of the pair."""
    placed = "SELECT *, row_number() OVER (PARTITION BY kind ORDER BY score DESC, number) AS place FROM findings"
    sql = f"SELECT number, kind FROM ({placed}) WHERE place <= {MOST_SHOWN} ORDER BY place, kind LIMIT {MOST_SHOWN}"
    found: dict[int, str] = {}
    for number, kind in query(sql, findings=findings):
        found.setdefault(number, kind.replace("_", " "))
    return found
