"""The bridge to Inspect against the real package: logs that it opens, our model as provider, our benchmark as task.

FOLDER/bin/python -m bench.evaluating.bridging.inspect_bridge [--json FILE]

Runs in an environment that holds inspect_ai and what spavl's base install needs, with this repository on PYTHONPATH.
Half a minute; nothing is downloaded.
"""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path

import yaml
from inspect_ai import eval as inspect_eval
from inspect_ai.log import list_eval_logs, read_eval_log

from bench.evaluating.bridging.yes_no_items import write_items
from bench.measures import Measure, run
from spavl.bridges.inspect.entry_point import provider, spavl_benchmark
from spavl.bridges.inspect.export import write_logs
from spavl.bridges.inspect.log import log_sources
from spavl.bridges.inspect.sessions import session_of
from spavl.pipeline.evaluate import evaluate

ITEMS, PICTURES = 300, 10
METRIC = "pope_accuracy"


def measures() -> list[Measure]:
    """Logs of a run as Inspect reads them, and an evaluation by Inspect against our own."""
    os.environ.setdefault("INSPECT_DISPLAY", "none")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        settings = str(_settings(folder))
        session = session_of(settings, allow_code=True)
        scores = evaluate(session, models=["even", "odd"])
        start = time.perf_counter()
        written = list(write_logs(log_sources(folder / "run"), folder / "logs"))
        seconds = time.perf_counter() - start
        logs = [read_eval_log(str(one.path)) for one in written]
        listed = len(list_eval_logs(str(folder / "logs")))
        frame = _frame(folder / "logs")
        before = session.store.calls
        (log,) = inspect_eval(
            spavl_benchmark(settings, allow_code=True), model="spavl/even", display="none", log_dir=str(folder / "own"),
            model_args={"settings": settings, "allow_code": True}, log_realtime=False, fail_on_error=True,
        )  # fmt: skip
        assert provider is not None and log.results is not None, log.error
        theirs = log.results.scores[0].metrics["mean"].value
        size = sum(one.path.stat().st_size for one in written)
        ours = scores.rates["even"][METRIC].value
        rates = [next(s for s in one.results.scores if s.name == METRIC).metrics["mean"].value for one in logs]
        names = ("even", "odd")
        pictures = sum(part.type == "image" for s in logs[0].samples for m in s.input for part in m.content)
        return [
            Measure("Inspect bridge: samples that it reads of two logs", sum(len(one.samples) for one in logs),
                    (2 * ITEMS, 2 * ITEMS), "", "between", f"{listed} logs listed, {pictures} pictures "
                    f"in the first; `samples_df`: {frame}; {size / 2 / ITEMS / 1024:.1f} KiB and "
                    f"{1000 * seconds / 2 / ITEMS:.1f} ms a sample"),
            Measure("Inspect bridge: rates of the logs less ours, at most",
                    max(abs(rate - scores.rates[one][METRIC].value) for rate, one in zip(rates, names, strict=True)),
                    0, "", "lower", f"{METRIC}: {rates}"),
            Measure("Inspect bridge: accuracy by its own `eval` less ours", abs(theirs - ours), 1e-12, "", "lower",
                    f"{theirs:.4f} and {ours:.4f}; status {log.status}; {session.store.calls - before} further calls: "
                    "the provider does not tell a class of your own the item, which is part of such a call's key"),
        ]  # fmt: skip


def _settings(folder: Path) -> Path:
    items = write_items(folder / "items", ITEMS, PICTURES)
    options = {"notes": str(folder / "notes"), "seconds": 0}
    noting = {
        "kind": "python",
        "target": "bench.evaluating.bridging.noting_model:NotingModel",
        "batch_size": 8,
        "options": options,
    }
    settings = {
        "out": str(folder / "run"), "store": str(folder / "calls.sqlite"),
        "models": [noting | {"name": "even", "version": "1"}, noting | {"name": "odd", "version": "2"}],
        "evaluate": {"benchmarks": [{"kind": "file", "name": "yes-no", "path": str(items)}]},
    }  # fmt: skip
    path = folder / "settings.yaml"
    path.write_text(yaml.safe_dump(settings), "utf-8")
    return path


def _frame(logs: Path) -> str:
    from inspect_ai.analysis import samples_df

    frame = samples_df(str(logs), quiet=True)
    return f"{len(frame)} rows"


if __name__ == "__main__":
    run(measures)
