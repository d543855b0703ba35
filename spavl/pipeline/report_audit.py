"""What the report shows of the audit of a run's pairs, from `audit.json` in the run folder."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from spavl.errors import RunError
from spavl.report.audit_data import AuditSummary, FindingShown
from spavl.statistics.intervals import Rate

AUDIT = Path("audit") / "audit.json"
"""Where the audit of a run's own pairs is kept in its folder."""


def audit_summary(folder: Path) -> AuditSummary | None:
    """The verdict and the findings; None where the run was not audited.

    Args:
        folder: the run folder.

    Raises:
        RunError: the file is damaged.
    """
    path = folder / AUDIT
    if not path.is_file():
        return None
    try:
        found = json.loads(path.read_text("utf-8"))
        findings = tuple(_finding(one) for one in found["findings"])
        return AuditSummary(verdict=found["verdict"], findings=findings)
    except (OSError, RecursionError, ValueError, KeyError, TypeError) as error:
        raise RunError(f"The audit cannot be read: {error}", where=str(path), try_="run `spavl audit` again") from error


def _finding(one: Mapping[str, Any]) -> FindingShown:
    rate = Rate(**one["rate"]) if one.get("rate") else None
    return FindingShown(
        kind=one["kind"], fault=one["weight"] == "fault", what=one["what"], try_=one.get("try_", ""), rate=rate,
        limit=one.get("limit"), subject=one.get("subject", ""), pairs=one.get("pairs", 0),
    )  # fmt: skip
