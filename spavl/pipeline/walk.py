"""Walk the stage table: what is made and unchanged is left alone, the rest is made slice by slice."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from hashlib import blake2b
from pathlib import Path
from typing import Any

import spavl
from spavl.errors import NothingMade, RunError, SettingsError
from spavl.models.identity import stamp_of, tried_again
from spavl.pipeline.collect import AGAIN, collect_fingerprint, collect_slices
from spavl.pipeline.live import calls_of_jobs, seconds_after
from spavl.pipeline.runner import Runner
from spavl.pipeline.session import Session
from spavl.pipeline.worker import Job, SliceMade
from spavl.records import ImageRecord
from spavl.run import ModelUse, Stage
from spavl.tables import FORMAT, read_footer, schema_of, slices_of, write_batches


def walk(session: Session, stages: Sequence[Stage], runner: Runner) -> None:
    """Make the tables of all stages, in order.

    Args:
        session: the settings and the run folder.
        stages: from `spavl.pipeline.stages.pipeline_of`.
        runner: does the work.

    Raises:
        NothingMade: a stage that must make something made nothing.
        RunError: a table of the run folder was written by another tool.
    """
    tables: dict[type[Any], tuple[Stage, tuple[Path, ...]]] = {}
    kept = []
    for stage in stages:
        before = tables.get(stage.reads) if stage.reads else None
        later = partial(seconds_after, session, stages, stage)
        make = _to_make(session, stage, before, runner, later) if before else _to_collect(session, stage)
        if make is None:
            kept.append(stage.name)
        else:
            with session.stage(stage.name):
                make()
        _note_counts(session, stage)
        tables[stage.writes] = (stage, _tables(session, stage))
    if kept:
        session.progress.log(f"kept, for nothing that they are made from has changed: {', '.join(kept)}")


def _tables(session: Session, stage: Stage) -> tuple[Path, ...]:
    return stage.tables(session.run.folder, session.settings)


def _to_make(
    session: Session, stage: Stage, before: tuple[Stage, tuple[Path, ...]], runner: Runner, later: Callable[[], float]
) -> Callable[[], None] | None:
    """Makes the tables of a stage that are not there or not of these inputs; None where there are none."""
    todo = [job for job in _jobs(session, stage, before) if not _is_made(session, job)]
    return partial(_run_jobs, session, todo, runner, later) if todo else None


def _note_counts(session: Session, stage: Stage) -> None:
    """Note how many records of a stage ended as what, and what their replies cost, whoever paid for them.

    Raises:
        NothingMade: the stage made nothing and must make something.
    """
    footers = [_own_footer(path) for path in _tables(session, stage)]
    counts = {name: n for name, n in _summed([footer["counts"] for footer in footers]).items() if n}
    usage = _summed([footer.get("usage", {}) for footer in footers])
    spent = session.run.manifest().get("spent", {}).get(stage.name, {})
    again = sum(map(partial(_tried_again, session), footers, _uses(session, stage)))
    session.run.note(
        counts={stage.name: counts},
        again={stage.name: again},
        **({"spent": {stage.name: {**spent, **usage}}} if usage else {}),
    )
    if stage.nothing and not any(footer["rows"] for footer in footers):
        what, try_ = stage.nothing
        failed = any(session.run.manifest().get("again", {}).values())
        raise NothingMade(what, where=f"stage {stage.name}", try_=try_, calls_failed=failed)


def _summed(parts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Amounts by name, added up."""
    names = dict.fromkeys(name for part in parts for name in part)
    return {name: sum(part.get(name, 0) for part in parts) for name in names}


def _uses(session: Session, stage: Stage) -> list[tuple[ModelUse, ...]]:
    """The models that a stage asks, for each of its tables."""
    uses = tuple(stage.models(session.settings))
    return [(use,) for use in uses] if stage.by_model else [uses]


def _tried_again(session: Session, footer: Mapping[str, Any], uses: Sequence[ModelUse]) -> int:
    """Records of a table whose calls are made again by the next run, for they may succeed then."""
    statuses = {status for use in uses for status in tried_again(session.spec(use.label, use.setting))}
    return sum(footer["counts"].get(status, 0) for status in statuses)


def _jobs(session: Session, stage: Stage, before: tuple[Stage, tuple[Path, ...]]) -> list[Job]:
    settings = session.settings
    inputs = before[1]
    footers = [_own_footer(path) for path in inputs]
    if stage.barrier and len(inputs) > 1:
        raise SettingsError(f"`{stage.name}` must know the whole table before it, which is several",
                            where=before[0].name, try_="put it after a stage that is not `by_model`")  # fmt: skip
    shared = stage.barrier(inputs[0], settings) if stage.barrier else None
    if isinstance(shared, Mapping):
        session.run.replace(**shared)
    uses = _uses(session, stage)
    if not uses:
        raise SettingsError(f"No model is named for `{stage.name}`", where=f"build.{stage.name}.models",
                            try_="name entries of `models`")  # fmt: skip
    return [
        Job(
            stage=stage, uses=of_table, path=path, inputs=inputs, order=before[0].order, slices=footers[0]["slices"],
            rows=sum(footer["rows"] for footer in footers), shared=shared,
            fingerprint=_fingerprint(session, stage, of_table, [footer["content"] for footer in footers], shared),
        )
        for of_table, path in zip(uses, _tables(session, stage), strict=True)
    ]  # fmt: skip


def _fingerprint(session: Session, stage: Stage, uses: Sequence[ModelUse], contents: list[str], shared: Any) -> str:
    """Hash of all that decides a table: code, settings, templates, models, and what it is made from."""
    models = [_decides_replies(session, use) for use in uses]
    form = [spavl.__version__, FORMAT, stage.name, stage.decides(session.settings), models, contents, shared]
    return fingerprint_of(form)


def _decides_replies(session: Session, use: ModelUse) -> list[Any]:
    spec = session.spec(use.label, use.setting)
    sampling = use.sampling.model_dump(mode="json")
    return [use.name, spec.name, stamp_of(spec), sampling, session.settings.seed, use.decides()]


def fingerprint_of(form: Any) -> str:
    """Hash of plain data, as 32 hexadecimal digits.

    Args:
        form: strings, numbers, lists and mappings.
    """
    return blake2b(json.dumps(form, sort_keys=True).encode(), digest_size=16).hexdigest()


def _own_footer(path: Path) -> dict[str, Any]:
    """What a table says of itself.

    Raises:
        RunError: another tool has written it.
    """
    footer = read_footer(path)
    if footer is None:
        raise RunError(
            "This table was written by another tool" if path.exists() else "This table is gone", where=str(path),
            try_="move it away if you need it, and run again: it is remade without any call",
        )  # fmt: skip
    return footer


def _is_made(session: Session, job: Job) -> bool:
    """Whether the table is there, made from the same, without calls that failed, for those are tried again."""
    if not job.path.exists():
        return False
    footer = _own_footer(job.path)
    whole = footer["slices"] == job.slices
    return bool(whole and footer["made_from"] == job.fingerprint and not _tried_again(session, footer, job.uses))


def _run_jobs(session: Session, jobs: Sequence[Job], runner: Runner, later: Callable[[], float]) -> None:
    guard = threading.Lock()
    tell_calls = calls_of_jobs(session, jobs, runner.usage, later)
    total = sum(round(job.rows * (sum(use.calls for use in job.uses) or 1)) for job in jobs)
    done = 0
    asked: dict[str, dict[str, float]] = {}
    stage = jobs[0].stage.name
    with session.progress.bar(stage, tell_calls) as bar:

        def on_progress(more: int) -> None:
            nonlocal done
            with guard:
                done = min(total, done + more)
                bar(done, total)

        def write(job: Job, slices: Iterator[SliceMade]) -> None:
            asked.update(_write(job, slices, None if job.uses else on_progress))

        runner.run(jobs, write, on_progress)
        bar(total, total)
    if asked:
        before = session.run.manifest().get("asked", {}).get(stage, {})
        session.run.note(asked={stage: {**before, **asked}})


def _write(job: Job, slices: Iterator[SliceMade], on_rows: Any) -> dict[str, dict[str, float]]:
    """Write a table. Returns what the calls for it took, by who was asked."""
    counts: Counter[str] = Counter()
    usage: dict[str, float] = {}
    asked: dict[str, dict[str, float]] = {}

    def rows() -> Iterator[Any]:
        for made in slices:
            counts.update(made.counts)
            for name, amount in made.usage.items():
                usage[name] = usage.get(name, 0) + amount
            for use, one in made.asked.items():
                asked[use] = _summed([asked.get(use, {}), one])
            if on_rows is not None:
                on_rows(made.rows)
            yield made.table

    schema = schema_of(job.stage.writes)
    said = {"made_from": job.fingerprint, "counts": counts, "usage": usage}
    write_batches(job.path, schema, rows(), footer=lambda: said, hashed=True)
    return asked  # times are in it: they stand in `run.json`, for a table is the same whoever makes it


def _to_collect(session: Session, stage: Stage) -> Callable[[], None] | None:
    """Collects the pictures; None where the table is there, all of them came, and nothing has changed."""
    (path,) = _tables(session, stage)
    settings = session.settings
    pictures, total = collect_fingerprint(session)
    form = [spavl.__version__, FORMAT, stage.decides(settings), settings.build.batch_size, pictures]
    fingerprint = fingerprint_of(form)
    footer = _own_footer(path) if path.exists() else None
    made = footer is not None and footer["made_from"] == fingerprint and not footer["counts"].get(AGAIN)
    if made and _pictures_are_there(session, path):
        return None

    def make() -> None:
        counts: Counter[str] = Counter()
        said = {"made_from": fingerprint, "counts": counts}
        slices = collect_slices(session, counts, total)
        write_batches(path, schema_of(stage.writes), slices, footer=lambda: said, hashed=True)

    return make


def _pictures_are_there(session: Session, path: Path) -> bool:
    return (session.run.folder / "rejected.json").exists() and all(
        (session.run.folder / image.image_file).exists() for images in slices_of(path, ImageRecord) for image in images
    )
