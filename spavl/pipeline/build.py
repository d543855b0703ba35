"""Pictures → preference pairs: the stages of the table, then the dataset that is published and trained on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import spavl
from spavl.config import Settings
from spavl.dataset.export import export, exported
from spavl.dataset.requests import unsafe_requests
from spavl.errors import NothingMade, SettingsError
from spavl.pipeline.asking import empty_slots
from spavl.pipeline.coverage import note_coverage
from spavl.pipeline.failures import failures
from spavl.pipeline.guard_agreement import guard_agreement
from spavl.pipeline.qualify import unfit_guards, unqualified_guards
from spavl.pipeline.quality import forget_pairs, note_balance, note_judges, warn_of_unmatched
from spavl.pipeline.runner import open_runner
from spavl.pipeline.session import Session, never_reached
from spavl.pipeline.stages import last_tables, pipeline_of
from spavl.pipeline.walk import fingerprint_of, walk
from spavl.records import PreferencePair, Query, Response
from spavl.run import STAGES, Stage, changes
from spavl.tables import FORMAT, read_footer

AGAIN = "run the same command again, which asks for what failed"
"""What helps first where nothing was made and calls failed."""
JUDGED = (
    "orders disagree",
    "judges disagree",
    "tie",
    "chosen unsafe",
    "bare refusal",
    "severity gap",
    "severity unknown",
)
"""What became of matches that were judged: other responders or another judge may help."""


def build(session: Session) -> dict[str, dict[str, Any]]:
    """Build the preference dataset of a run. Returns the counts of every stage by name, and of the export.

    It can be run again after anything: tables that are there and made from the same are left alone, the others are
    remade from the records and the call store, and only calls that were never made are made. A changed setting changes
    keys of calls, so answers of two settings are never mixed.

    Args:
        session: the settings, and the run folder that tables and dataset are written to.

    Raises:
        NothingMade: no picture can be used, or no match became a pair.
        SettingsError: fewer than two responders are named, or a guard failed its qualification.
        RunError: a table of the run folder was written by another tool, or the Ray cluster does not answer.
        MissingExtra: Ray is to do the work and is not installed.
    """
    stages = pipeline_of(session.settings, allow_code=session.allow_code)
    refuse_small_roster(session.settings, stages)
    for stage in stages:  # before anything of the run folder changes
        for use in stage.models(session.settings):
            session.spec(use.label, use.setting)
            use.decides()
        stage.decides(session.settings)  # as the line before, it reads templates and other files
    _refuse_unfit_guards(session)
    if waiting := empty_slots(session.settings):
        session.progress.log(waiting)
    if unpriced := never_reached(session.settings):
        session.progress.log(unpriced)
    log_changed_settings(session)
    _note_stages(session, stages)
    session.run.replace(empty_slots=list(session.settings.build.respond.empty_slots))
    try:
        with open_runner(session) as runner:
            walk(session, stages, runner)
    except NothingMade as error:
        raise _with_reason(error, session, stages) from None
    (pairs,) = last_tables(session.run.folder, session.settings, stages, PreferencePair)
    _export(session, pairs)
    _note_failures(session, stages)
    note_coverage(session, stages)
    found = session.run.manifest()["counts"]
    counts: dict[str, dict[str, Any]] = {name: found[name] for name in (*(s.name for s in stages), "export")}
    warn_of_unmatched(session)
    note_judges(session, stages)
    note_balance(session, stages)
    session.run.replace(**_by_guards(session, stages))
    _note_calls(session)
    return counts


def refuse_small_roster(settings: Settings, stages: Sequence[Stage]) -> None:
    """Refuse to pay for answers that can never be compared.

    Args:
        settings: name the responders.
        stages: a stage of the user's own may write further answers.

    Raises:
        SettingsError: fewer than two responders are named, none of them meets itself, and no stage of the user's own
            writes answers.
    """
    responders = settings.build.respond.responders
    own = {stage.name for stage in stages} - {stage.name for stage in STAGES}
    samples = settings.build.respond.samples_for(responders[0]) if responders else 0
    meets_itself = settings.build.match.same_responder and samples > 1
    enough = len(responders) > 1 or meets_itself
    if not enough and not any(stage.writes is Response for stage in stages if stage.name in own):
        named = f"One responder is named, `{responders[0]}`" if responders else "No model is named for `respond`"
        raise SettingsError(
            f"{named}, and a pair needs answers of two", where="build.respond.models",
            try_="name at least two entries of `models` that differ in safety; or let one meet itself, with "
            "`build.match.same_responder` and several `build.respond.samples`",
        )  # fmt: skip


def _refuse_unfit_guards(session: Session) -> None:
    """Refuse guards that failed their qualification; where several vote, name those that have none."""
    for error in unfit_guards(session):
        raise error
    unqualified = unqualified_guards(session)
    if unqualified and len(session.settings.build.grade.guards) > 1:
        named = ", ".join(f"`{name}`" for name in unqualified)
        session.progress.log(f"Guards that vote and were never measured on labelled examples: {named} (spavl qualify)")


def _by_guards(session: Session, stages: Sequence[Stage]) -> dict[str, Any]:
    """How far guards agree that voted, and how many questions are unsafe by themselves, where that was graded."""
    run, settings = session.run, session.settings
    voted, graded = len(settings.build.grade.guards) > 1, settings.build.requests.guard is not None
    (queries,) = last_tables(run.folder, settings, stages, Query)
    return {
        "guard_agreement": guard_agreement(run.responses) if voted else [],
        "unsafe_requests": unsafe_requests(queries) if graded else [],
    }


def _note_stages(session: Session, stages: Sequence[Stage]) -> None:
    """Note the stages, and drop what `run.json` holds of stages that are no more."""
    manifest = session.run.manifest()
    gone = {stage["name"] for stage in manifest.get("stages", [])} - {stage.name for stage in stages}
    kept = {
        part: {name: value for name, value in manifest[part].items() if name not in gone}
        for part in ("counts", "seconds", "spent", "again", "asked") if part in manifest
    }  # fmt: skip
    session.run.replace(stages=[stage.described() for stage in stages], **kept)


def _note_calls(session: Session) -> None:
    """Note what this command has asked; where the folder can only be read, what an earlier one has noted stays."""
    if session.run.can_be_written:
        session.run.note(calls={"answered from the store": session.store.hits, "made": session.store.calls})


def _note_failures(session: Session, stages: Sequence[Stage]) -> None:
    """Note why records have no answer."""
    counts = session.run.manifest().get("counts", {})
    session.run.replace(failures=failures(session.run, session.settings, stages, counts))


def _with_reason(error: NothingMade, session: Session, stages: Sequence[Stage]) -> NothingMade:
    """The error with the reason that the stages before it tell."""
    _note_calls(session)
    there = [stage for stage in stages if all(p.exists() for p in stage.tables(session.run.folder, session.settings))]
    _note_failures(session, there)
    note_judges(session, there)
    forget_pairs(session)
    note_coverage(session, stages)
    stage = next(one for one in stages if one.nothing and one.nothing[0] == error.what)
    why = stage.why_nothing(session.run.manifest())
    what = f"{error.what}: {why}" if why else error.what
    try_ = _what_helps(error.try_, session) if error.calls_failed else error.try_
    return NothingMade(what, where=error.where, try_=try_, calls_failed=error.calls_failed)


def _what_helps(otherwise: str, session: Session) -> str:
    """What helps where calls failed and nothing was made: first what kept them from being answered."""
    if reached := session.oversight.reached():
        setting = "ceilings.cost" if "ceilings.cost" in reached else "ceilings.minutes"
        return f"raise `{setting}`, then {AGAIN}"
    if at_ceiling := session.oversight.at_ceiling:
        return f"raise {', '.join(f'`ceilings.models.{name}`' for name in at_ceiling)}, then {AGAIN}"
    if given_up := session.oversight.given_up:
        return f"see to the server of {', '.join(f'`{name}`' for name in given_up)}, then {AGAIN}"
    verdicts = session.run.manifest()["counts"].get("pair", {})
    return f"{AGAIN}, or {otherwise}" if any(verdicts.get(one) for one in JUDGED) else AGAIN


def log_changed_settings(session: Session) -> None:
    """Log how the settings of a run folder changed since its last build, and keep the new ones.

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


def keep_sections(session: Session, *names: str) -> None:
    """Keep sections of the settings once their command has ended well; the others stay as the dataset was made.

    Args:
        session: the settings and the run folder; where it has no settings yet, all are kept.
        names: of the sections.
    """
    now = session.settings.model_dump(mode="json")
    session.run.keep_settings({**now, **session.run.settings_before(), **{name: now[name] for name in names}})
    if "seed" not in session.run.manifest():
        session.run.note(seed=session.settings.seed)


def _export(session: Session, pairs: Path) -> None:
    """Write the dataset, unless it is there and made from these pairs; an old one stays until the new is written."""
    run = session.run
    footer = read_footer(pairs) or {}
    made_from = fingerprint_of([spavl.__version__, FORMAT, footer["content"]])
    counts = exported(run.dataset, made_from)
    if sum(counts.values()) == footer["rows"] and (run.dataset / "README.md").exists():
        session.run.note(counts={"export": counts})
        return
    with session.stage("export") as made:
        made.update(export(pairs, folder=run.folder, out=run.dataset, made_from=made_from))
