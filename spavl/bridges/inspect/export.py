"""Any run as logs of Inspect: a file `.eval` for every model and benchmark, which `inspect view` opens."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from inspect_ai.log import EvalLog, write_eval_log

from spavl.atomic import atomic_write
from spavl.bridges.inspect.log import LogSource, log_header, samples_of


@dataclass(frozen=True, slots=True)
class WrittenLog:
    """A log that was written."""

    path: Path
    """The file."""
    samples: int
    """Samples in it."""
    harmful: int
    """Samples whose question asks for harm."""


def write_logs(sources: Sequence[LogSource], out: Path, *, pictures: bool = True) -> Iterator[WrittenLog]:
    """Write a log for every model and benchmark; yields each when it is written.

    Args:
        sources: what was evaluated.
        out: folder of the logs.
        pictures: put pictures into the logs; without, their paths stand there.

    Raises:
        RunError: a log cannot be written.
    """
    for source in sources:
        samples = list(samples_of(source, pictures=pictures))
        log = EvalLog.model_validate(log_header(source, len(samples)) | {"samples": samples})
        path = out / f"{source.model}_{source.benchmark}.eval"
        with atomic_write(path, what="The log") as tmp, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            write_eval_log(log, str(tmp), format="eval")
        yield WrittenLog(path, len(samples), sum(bool(one["metadata"].get("harmful")) for one in samples))
