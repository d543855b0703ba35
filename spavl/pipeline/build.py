"""Pictures → preference pairs: the stages of the table, then the dataset that is published and trained on."""

from __future__ import annotations

import shutil
from typing import Any

from spavl.dataset.export import export, exported
from spavl.dataset.pair import swap_agreement
from spavl.pipeline.runner import open_runner
from spavl.pipeline.session import Session
from spavl.pipeline.stages import pipeline_of
from spavl.pipeline.walk import walk
from spavl.run import changes
from spavl.tables import read_footer


def build(session: Session) -> dict[str, Any]:
    """Build the preference dataset of a run. Returns the counts of every stage by name.

    It can be run again after anything: tables that are there and made from the same are left alone, the others are
    remade from the records and the call store, and only calls that were never made are made. A changed setting changes
    keys of calls, so answers of two settings are never mixed.

    Args:
        session: the settings, and the run folder that tables and dataset are written to.

    Raises:
        DataError: no picture can be used, or no match became a pair.
        RunError: a table of the run folder was written by another tool, or the Ray cluster does not answer.
        MissingExtra: Ray is to do the work and is not installed.
    """
    log_changed_settings(session)
    with open_runner(session) as runner:
        walk(session, pipeline_of(session.settings, allow_code=session.allow_code), runner)
    _export(session)
    counts: dict[str, Any] = session.run.manifest()["counts"]
    session.run.note(
        calls={"answered from the store": session.store.hits, "made": session.store.calls},
        swap_agreement=swap_agreement(counts["pair"]),
    )
    return counts


def log_changed_settings(session: Session) -> None:
    """Log how the settings of a run folder changed since its last run, and keep the new ones.

    Args:
        session: the settings and the run folder.
    """
    now = session.settings.model_dump(mode="json")
    before = session.run.settings_before()
    difference = changes(before, now) if before else []
    if difference:
        session.progress.log("The settings of this run folder changed; tables are remade, only missing calls are made:")
        for line in difference:
            session.progress.log(f"  {line}")
    session.run.keep_settings(now)
    session.run.note(seed=session.settings.seed)


def _export(session: Session) -> None:
    """Write the dataset, unless it is there and made from these pairs. An old one never outlives its pairs."""
    run = session.run
    footer = read_footer(run.pairs) or {}
    with session.stage("export") as counts:
        counts.update(exported(run.dataset, footer["content"]))
        if sum(counts.values()) != footer["rows"] or not (run.dataset / "README.md").exists():
            shutil.rmtree(run.dataset, ignore_errors=True)
            counts.update(export(run.pairs, folder=run.folder, out=run.dataset, made_from=footer["content"]))
