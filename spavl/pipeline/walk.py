"""Walk the stage table: what is made and unchanged is left alone, the rest is made slice by slice."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any

import spavl
from spavl.errors import DataError, RunError, SettingsError
from spavl.models.identity import identity_of
from spavl.pipeline.collect import collect_fingerprint, collect_slices
from spavl.pipeline.runner import Runner
from spavl.pipeline.session import Session
from spavl.pipeline.worker import Job, SliceMade
from spavl.run import ModelUse, Stage
from spavl.tables import FORMAT, read_footer, schema_of, write_batches

Counts = Mapping[str, int]
"""How many records of a stage ended as what."""


def walk(session: Session, stages: Sequence[Stage], runner: Runner) -> None:
    """Make the tables of all stages, in order.

    Args:
        session: the settings and the run folder.
        stages: from `spavl.pipeline.stages.pipeline_of`.
        runner: does the work.

    Raises:
        DataError: a stage that must make something made nothing.
        RunError: a table of the run folder was written by another tool.
    """
    tables: dict[type[Any], tuple[Stage, tuple[Path, ...]]] = {}
    for stage in stages:
        before = tables.get(stage.reads) if stage.reads else None
        paths = table_paths(session, stage)
        with session.stage(stage.name) as counts:
            counts.update(_run_stage(session, stage, before, runner))
        tables[stage.writes] = (stage, paths)


def table_paths(session: Session, stage: Stage) -> tuple[Path, ...]:
    """The tables of a stage: one for each of its models where it is `by_model`, else one.

    Args:
        session: the settings and the run folder.
        stage: a stage of the table.
    """
    folder = session.run.folder
    if stage.by_model:
        return tuple(folder / "parts" / stage.name / f"{use.label}.parquet" for use in stage.models(session.settings))
    return (folder / (stage.file or f"parts/{stage.name}.parquet"),)


def _run_stage(
    session: Session,
    stage: Stage,
    before: tuple[Stage, tuple[Path, ...]] | None,
    runner: Runner,
) -> dict[str, int]:
    """Make the tables of a stage that are not there or not of these inputs; returns the counts of all."""
    if before is None:
        return _collect(session, stage)
    jobs = _jobs(session, stage, before)
    todo = [job for job in jobs if not _is_made(job)]
    if todo:
        _run_jobs(session, stage, todo, runner)
    else:
        session.progress.log(f"  {stage.name:<34} kept: nothing that it is made from has changed")
    footers = [read_footer(job.path) or {} for job in jobs]
    counts = sum((Counter(footer["counts"]) for footer in footers), Counter[str]())
    if stage.nothing and not any(footer["rows"] for footer in footers):
        what = f"No {stage.noun or 'record'} was made by `{stage.name}`"
        raise DataError(what, where=f"{dict(counts)}", try_=stage.nothing)
    return dict(counts)


def _jobs(session: Session, stage: Stage, before: tuple[Stage, tuple[Path, ...]]) -> list[Job]:
    settings = session.settings
    inputs = before[1]
    footers = [_own_footer(path) for path in inputs]
    shared = stage.barrier(inputs[0], settings) if stage.barrier else None
    if isinstance(shared, Mapping):
        session.run.replace(**shared)
    uses: Sequence[ModelUse | None] = list(stage.models(settings)) or [None]
    if stage.by_model and uses == [None]:
        raise SettingsError(f"No model is named for `{stage.name}`", where=f"build.{stage.name}.models",
                            try_="name entries of `models`")  # fmt: skip
    for use in uses:
        if use is not None:
            session.spec(use.label, use.setting)
    return [
        Job(
            stage=stage, use=use, path=path, inputs=inputs, order=before[0].order, slices=footers[0]["slices"],
            rows=sum(footer["rows"] for footer in footers), shared=shared,
            fingerprint=_fingerprint(session, stage, use, [footer["content"] for footer in footers], shared),
        )
        for use, path in zip(uses, table_paths(session, stage), strict=True)
    ]  # fmt: skip


def _fingerprint(session: Session, stage: Stage, use: ModelUse | None, contents: list[str], shared: Any) -> str:
    """Hash of all that decides a table: code, settings, templates, model, and what it is made from."""
    model = None
    if use is not None:
        spec = session.spec(use.label, use.setting)
        model = [spec.name, identity_of(spec), use.sampling.model_dump(mode="json"), session.settings.seed]
    form = [spavl.__version__, FORMAT, stage.name, stage.decides(session.settings), model, contents, shared]
    return fingerprint_of(form)


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


def _is_made(job: Job) -> bool:
    """Whether the table is there, made from the same, without calls that failed, for those are tried again."""
    if not job.path.exists():
        return False
    footer = _own_footer(job.path)
    return bool(footer["made_from"] == job.fingerprint and not footer["counts"].get("failed"))


def _run_jobs(session: Session, stage: Stage, jobs: Sequence[Job], runner: Runner) -> None:
    guard = threading.Lock()
    total = sum(round(job.rows * (job.use.calls if job.use else 1)) for job in jobs)
    done = 0
    with session.progress.bar(stage.name) as bar:

        def on_progress(more: int) -> None:
            nonlocal done
            with guard:
                done = min(total, done + more)
                bar(done, total)

        def write(job: Job, slices: Iterator[SliceMade]) -> None:
            _write(job, slices, on_progress if job.use is None else None)

        runner.run(jobs, write, on_progress)
        bar(total, total)


def _write(job: Job, slices: Iterator[SliceMade], on_rows: Any) -> None:
    counts: Counter[str] = Counter()

    def rows() -> Iterator[Any]:
        for made in slices:
            counts.update(made.counts)
            if on_rows is not None:
                on_rows(made.rows)
            yield made.table

    schema = schema_of(job.stage.writes)
    said = {"made_from": job.fingerprint, "counts": counts}
    write_batches(job.path, schema, rows(), footer=lambda: said, hashed=True)


def _collect(session: Session, stage: Stage) -> dict[str, int]:
    """Collect the pictures, unless the table is there and neither they nor the settings have changed."""
    (path,) = table_paths(session, stage)
    fingerprint = fingerprint_of([spavl.__version__, FORMAT, stage.decides(session.settings),
                                  session.settings.build.batch_size, collect_fingerprint(session)])  # fmt: skip
    footer = _own_footer(path) if path.exists() else None
    if footer is None or footer["made_from"] != fingerprint or not _pictures_are_there(session, path):
        counts: Counter[str] = Counter()
        said = {"made_from": fingerprint, "counts": counts}
        slices = collect_slices(session, counts)
        write_batches(path, schema_of(stage.writes), slices, footer=lambda: said, hashed=True)
    else:
        session.progress.log(f"  {stage.name:<34} kept: neither pictures nor settings have changed")
    counts = Counter(_own_footer(path)["counts"])
    if not counts["made"]:
        raise DataError("None of the pictures can be used", where=str(session.run.folder / "rejected.json"),
                        try_="the file names every one with its reason")  # fmt: skip
    return dict(counts)


def _pictures_are_there(session: Session, path: Path) -> bool:
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        for number in range(file.num_row_groups):
            column = file.read_row_group(number, columns=["image_file"])["image_file"]
            if not all((session.run.folder / name).exists() for name in column.to_pylist()):
                return False
    return True
