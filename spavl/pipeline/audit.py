"""`spavl audit`: what is wrong with a preference dataset, ours or anybody's, in one folder and one sentence."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import spavl
from spavl.atomic import write_json
from spavl.audit.facts import diversity_findings, facts_of
from spavl.audit.finding import Finding
from spavl.audit.judges import judge_findings
from spavl.audit.pictures import duplicate_pictures
from spavl.audit.probes import ProbeKind
from spavl.audit.shares import not_possible, share_findings
from spavl.audit.source_outcome import source_findings
from spavl.audit.suspects import suspect_findings, write_suspects
from spavl.errors import RunError
from spavl.pipeline.audit_page import write_audit_page
from spavl.pipeline.audit_probes import run_probes
from spavl.pipeline.exports import CACHE, dataset_folder
from spavl.pipeline.session import Session
from spavl.plural import plural
from spavl.preferences.dataset import PreferenceDataset, content_of, open_dataset
from spavl.preferences.picture_hashes import picture_hashes
from spavl.progress import Progress
from spavl.run import Run
from spavl.tables.query import query

FILE, FINDINGS, FOLDER = "audit.json", "findings.parquet", "audit"
"""Files of an audit, and its folder in a run folder."""
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
    not_possible: tuple[str, ...]
    """Kinds of findings for which the dataset does not say enough."""
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

    @property
    def run(self) -> Run | None:
        """The run, where the source is its folder."""
        folder = Path(self.source)
        return Run(folder) if (folder / "run.json").is_file() else None

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
        return run.folder / FOLDER if run else Path(f"audit-{Path(self.source).stem or 'dataset'}")


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
    folder = _folder(request.folder, request.pairs)
    dataset = open_dataset(request.pairs, cache=CACHE, limit=request.limit)
    hashes = picture_hashes(dataset, progress)
    pictures, rows = duplicate_pictures(dataset.rows, hashes, progress)
    counts = write_suspects(dataset.rows, hashes, folder / FINDINGS, more=rows)
    probes = run_probes(session, dataset, request.probes, count=request.sample, folder=folder) if session else None
    findings = [
        *suspect_findings(counts, len(dataset.pairs)), *share_findings(dataset.rows), pictures,
        *diversity_findings(dataset.rows), *source_findings(dataset.rows), *judge_findings(_judgments(request.run)),
        *(probes.findings if probes else ()),
    ]  # fmt: skip
    made = Audited(
        folder=folder, findings=_sorted(findings), not_possible=tuple(not_possible(dataset.rows)), suspects=counts,
        verdict=verdict_of(findings, len(dataset.pairs)), failed=probes.failed if probes else 0,
    )  # fmt: skip
    facts = facts_of(dataset.rows)
    asked = {"probes": probes.plain()} if probes else {}
    write_json(folder / FILE, {**_plain(made, dataset), "facts": facts, **asked})
    write_audit_page(dataset, made.findings, folder, verdict=made.verdict, suspected=_suspected(folder), facts={})
    return made


def verdict_of(findings: Sequence[Finding], pairs: int) -> str:
    """One sentence: how many faults there are, and which.

    Args:
        findings: of the audit.
        pairs: rows of the dataset.
    """
    kinds = list(dict.fromkeys(one.kind for one in findings if one.weight == "fault"))
    looked = len({one.kind for one in findings})
    if not kinds:
        return f"No fault was found in {pairs:,} pairs by {plural(looked, 'check')}."
    named = ", ".join(kind.replace("_", " ") for kind in kinds)
    return f"{plural(len(kinds), 'kind')} of faults in {pairs:,} pairs: {named}."


def _sorted(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    return tuple(sorted(findings, key=lambda one: one.weight != "fault"))


def _folder(folder: Path, source: str) -> Path:
    """The folder, made where it is missing; what is not an audit of these pairs is never written over."""
    there = {one.name for one in folder.iterdir()} if folder.is_dir() else set()
    if there and not there & {FILE, FINDINGS}:
        raise RunError("This folder holds something else than an audit", where=str(folder),
                       try_="name another with --out")  # fmt: skip
    if FILE in there and (other := read_audit(folder).get("dataset")) != source:
        raise RunError(f"This is the audit of other pairs: {other}", where=str(folder), try_="name another with --out")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"The folder of the audit cannot be made: {error.strerror}", where=str(folder),
                       try_="name another with --out") from error  # fmt: skip
    return folder


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
        "findings": [asdict(one) for one in made.findings], "not_possible": list(made.not_possible),
        "suspects": dict(made.suspects),
    }  # fmt: skip


def _suspected(folder: Path) -> dict[int, str]:
    """The surest suspects of every kind, by number of the pair."""
    placed = "SELECT *, row_number() OVER (PARTITION BY kind ORDER BY score DESC, number) AS place FROM findings"
    sql = f"SELECT number, kind FROM ({placed}) ORDER BY place, kind LIMIT {MOST_SHOWN}"  # fmt: skip
    found: dict[int, str] = {}
    for number, kind in query(sql, findings=folder / FINDINGS):
        found.setdefault(number, kind.replace("_", " "))
    return found


def read_audit(folder: Path) -> dict[str, Any]:
    """What `audit.json` of an audit says.

    Args:
        folder: of the audit.

    Raises:
        RunError: there is none, or it is damaged.
    """
    try:
        return dict(json.loads((folder / FILE).read_text("utf-8")))
    except (OSError, ValueError) as error:
        raise RunError(f"There is no audit here: {error}", where=str(folder), try_="run `spavl audit`") from error
