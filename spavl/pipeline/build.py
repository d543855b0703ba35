"""Pictures → preference pairs: the stages of the table, then the dataset that is published and trained on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import spavl
from spavl.dataset.export import export, exported
from spavl.dataset.pair import swap_agreement
from spavl.pipeline.runner import open_runner
from spavl.pipeline.session import Session
from spavl.pipeline.stages import last_tables, pipeline_of
from spavl.pipeline.walk import fingerprint_of, walk
from spavl.records import PreferencePair
from spavl.run import changes
from spavl.tables import FORMAT, read_footer


def build(session: Session) -> dict[str, dict[str, Any]]:
    """Build the preference dataset of a run. Returns the counts of every stage by name, and of the export.

    It can be run again after anything: tables that are there and made from the same are left alone, the others are
    remade from the records and the call store, and only calls that were never made are made. A changed setting changes
    keys of calls, so answers of two settings are never mixed.

    Args:
        session: the settings, and the run folder that tables and dataset are written to.

    Raises:
        DataError: no picture can be used, or no match became a pair.
        CallsFailed: no match became a pair, and calls of models failed.
        RunError: a table of the run folder was written by another tool, or the Ray cluster does not answer.
        MissingExtra: Ray is to do the work and is not installed.
    """
    stages = pipeline_of(session.settings, allow_code=session.allow_code)
    for stage in stages:  # before anything of the run folder changes
        for use in stage.models(session.settings):
            session.spec(use.label, use.setting)
    log_changed_settings(session)
    with open_runner(session) as runner:
        walk(session, stages, runner)
    (pairs,) = last_tables(session.run.folder, session.settings, stages, PreferencePair)
    _export(session, pairs)
    session.run.replace(stages=[stage.described() for stage in stages])
    found = session.run.manifest()["counts"]
    counts: dict[str, dict[str, Any]] = {name: found[name] for name in (*(s.name for s in stages), "export")}
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


def _export(session: Session, pairs: Path) -> None:
    """Write the dataset, unless it is there and made from these pairs; an old one stays until the new is written."""
    run = session.run
    footer = read_footer(pairs) or {}
    made_from = fingerprint_of([spavl.__version__, FORMAT, footer["content"]])
    with session.stage("export") as counts:
        counts.update(exported(run.dataset, made_from))
        if sum(counts.values()) != footer["rows"] or not (run.dataset / "README.md").exists():
            counts.clear()
            counts.update(export(pairs, folder=run.folder, out=run.dataset, made_from=made_from))
