"""The agreement of a run's review: measured, written beside it, noted in `run.json`, and read back for the report."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spavl.atomic import write_text
from spavl.errors import DataError
from spavl.pipeline.agreement import AgreementReport, agreement_of, position_biases
from spavl.pipeline.agreement_words import agreement_shown
from spavl.pipeline.pairs_to_fix import write_to_fix
from spavl.pipeline.people import REVIEWS, People, read_people, review_folders, reviews_of
from spavl.plural import plural
from spavl.report.agreement import AgreementShown, AgreementTable
from spavl.run import Run
from spavl.statistics.intervals import LEVEL
from spavl.tables.query import query

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
    notes: tuple[str, ...] = ()
    """What is to be said of the labels, as sentences."""


def run_agreement(
    folder: Path, *, name: str | None = None, files: Sequence[Path] = (), level: float = LEVEL
) -> RunAgreement:  # fmt: skip
    """Measure how far people agree with one another and with the judges of a run, and write it down.

    Args:
        folder: the run folder.
        name: of the review; None: the only one.
        files: further labels, such as exports that others filled in; where they do not say when a label was given, that
            of the review counts.
        level: confidence level.

    Raises:
        RunError: there is no run, or no review.
        DataError: labels cannot be read, or nobody has judged anything.
    """
    run = Run(folder).found()
    reviews = review_folders(run, name) if name is not None or not files else reviews_of(run)
    names = ", ".join(path.name for path in reviews)
    if len(reviews) > 1 and not files:
        raise DataError(f"This run has several reviews: {names}", where=str(folder), try_="name one with `--name`")
    reviews = reviews if len(reviews) == 1 else []
    people = read_people([*files, *reviews])
    if not reviews and people.strangers and names:
        raise DataError(f"Labels are of items that no file brings, and this run has several reviews: {names}",
                        where=", ".join(map(str, files)), try_="name theirs with `--name`")  # fmt: skip
    refuse_nothing(people, [*files, *reviews])
    gone = _refuse_another(run, people, files)
    manifest = run.manifest()
    report = agreement_of(people, position_biases(manifest.get("judges") or {}), level=level)
    own = reviews[0] if reviews else run.folder / REVIEWS / OF_FILES
    write_to_fix(own / TO_FIX, report.to_fix)
    write_text(own / FILE, json.dumps(report.as_plain_data(), indent=2, ensure_ascii=False) + "\n")
    shown = agreement_shown(own.name, report)
    run.replace(agreement={**manifest.get("agreement", {}), own.name: _plain(shown)})
    return RunAgreement(report, own, tuple(_notes(people, gone)))


def _notes(people: People, gone: int) -> Iterator[str]:
    yield from people.remarks
    if len(people.made_from) > 1:
        yield f"The items were drawn from {len(people.made_from)} versions of the pairs or answers, and count together."
    if gone:
        yield f"Not among the pairs of this run as they are now: {plural(gone, 'labelled pair')}."
    if people.skipped:
        yield f"Skipped, and counted nowhere: {people.skipped:,}."
    if people.strangers:
        yield f"Of items that are in none of the reviews, and counted nowhere: {plural(people.strangers, 'label')}."


def _refuse_another(run: Run, people: People, files: Sequence[Path]) -> int:
    """How many labelled pairs the run does not have.

    Raises:
        DataError: they came with files, and it has none of them.
    """
    pairs = {one.item.item_id for one in people.of_kind("pair")}
    if not pairs or not run.pairs.is_file():
        return 0
    there = query(
        "SELECT pair_id FROM pairs WHERE list_contains(?::VARCHAR[], pair_id)", [list(pairs)], pairs=run.pairs
    )
    gone = len(pairs) - len(there)
    if files and gone == len(pairs):
        raise DataError("None of the labelled pairs is of this run", where=", ".join(map(str, files)),
                        try_="look at the paths; name the run that the pairs were drawn from")  # fmt: skip
    return gone


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
