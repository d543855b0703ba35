"""The agreement of a run's review: measured, written beside it, noted in `run.json`, and read back for the report."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spavl.atomic import write_text
from spavl.errors import DataError
from spavl.pipeline.agreement import AgreementReport, agreement_of, position_biases
from spavl.pipeline.agreement_words import agreement_shown
from spavl.pipeline.pairs_to_fix import write_to_fix
from spavl.pipeline.people import REVIEWS, People, read_people, review_folders, reviews_of
from spavl.report.agreement import AgreementShown, AgreementTable
from spavl.run import Run
from spavl.statistics.intervals import LEVEL

FILE = "agreement.json"
"""What was measured, in the folder of the review."""
TO_FIX = "to-fix.csv"
"""Pairs to fix, there too."""
OF_FILES = "imported"
"""Name of the review that labels of files alone are measured as."""


@dataclass(frozen=True, slots=True)
class RunAgreement:
    """What was measured, and where it lies."""

    report: AgreementReport
    """All of it."""
    folder: Path
    """Where `agreement.json` and `to-fix.csv` were written."""


def run_agreement(
    folder: Path, *, name: str | None = None, files: Sequence[Path] = (), level: float = LEVEL
) -> RunAgreement:  # fmt: skip
    """Measure how far people agree with one another and with the judges of a run, and write it down.

    Args:
        folder: the run folder.
        name: of the review; None: the only one.
        files: further labels, such as exports that others filled in; where several annotators share a name, the review
            has the last word.
        level: confidence level.

    Raises:
        RunError: there is no run, or no review.
        DataError: labels cannot be read, or nobody has judged anything.
    """
    run = Run(folder).found()
    reviews = review_folders(run, name) if name is not None or not files else reviews_of(run)
    if len(reviews) > 1 and files and name is None:
        reviews = []
    if len(reviews) > 1:
        names = ", ".join(path.name for path in reviews)
        raise DataError(f"This run has several reviews: {names}", where=str(folder), try_="name one with `--name`")
    people = read_people([*files, *reviews])
    refuse_nothing(people, [*files, *reviews])
    manifest = run.manifest()
    report = agreement_of(people, position_biases(manifest.get("judges") or {}), level=level)
    own = reviews[0] if reviews else run.folder / REVIEWS / OF_FILES
    write_to_fix(own / TO_FIX, report.to_fix)
    write_text(own / FILE, json.dumps(report.as_plain_data(), indent=2, ensure_ascii=False) + "\n")
    shown = agreement_shown(own.name, report)
    run.replace(agreement={**manifest.get("agreement", {}), own.name: _plain(shown)})
    return RunAgreement(report, own)


def refuse_nothing(people: People, where: Sequence[Path]) -> None:
    """Refuse labels that are of nothing.

    Args:
        people: what people said.
        where: where that was read.

    Raises:
        DataError: nobody has judged anything.
    """
    if people.items:
        return
    gone = f"; {people.strangers:,} labels are of items that are in none of the reviews" if people.strangers else ""
    raise DataError(f"Nobody has judged an item yet{gone}", where=", ".join(map(str, where)),
                    try_="`spavl labels import` adds labels; every one counts at once")  # fmt: skip


def _plain(shown: AgreementShown) -> dict[str, Any]:
    tables = [{"caption": t.caption, "head": t.head, "rows": t.rows} for t in shown.tables]
    return {"verdict": shown.verdict, "tables": tables}


def agreements_shown(manifest: Mapping[str, Any]) -> tuple[AgreementShown, ...]:
    """The reviews that the report shows, and the calibration of guards by labels.

    Args:
        manifest: `run.json`.
    """
    found = dict(manifest.get("agreement", {}))
    if own := manifest.get("calibration"):
        found["calibration"] = own
    return tuple(
        AgreementShown(
            name=name, verdict=one["verdict"],
            tables=tuple(AgreementTable(t["caption"], tuple(t["head"]), tuple(map(tuple, t["rows"])))
                         for t in one["tables"]),
        )
        for name, one in found.items()
    )  # fmt: skip
