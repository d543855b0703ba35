"""Exports loaded by `datasets`, TRL, LLaMA-Factory and ms-swift themselves."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from bench.measures import Measure
from spavl.pipeline.exports import FORMS, Exported, ExportRequest, export
from spavl.progress import NoProgress
from tests.interchange.conversations import write_source
from tests.tiny import tiny_llava

HERE = Path(__file__).parent
COUNT = 60
OTHERS = {
    "LLaMA-Factory": ("llamafactory", "SPAVL_BENCH_LLAMA_FACTORY"),
    "ms-swift": ("swift", "SPAVL_BENCH_SWIFT"),
}
"""Module of each trainer, and the variable that names a Python which has it."""
PLAIN = """
import datasets, json, logging, sys, warnings
from pathlib import Path
lines = []
handler = logging.Handler(logging.WARNING)
handler.emit = lambda record: lines.append(record.getMessage())
logging.getLogger("datasets").addHandler(handler)
warnings.simplefilter("error")
loaded = [datasets.load_dataset(folder, split="train", cache_dir=sys.argv[1]) for folder in sys.argv[2:]]
for rows in loaded:
    for row in rows:
        pass
print(json.dumps({"version": datasets.__version__, "rows": sum(map(len, loaded)), "warnings": lines}))
"""


def loaders(folder: Path) -> list[Measure]:
    """What the real loaders say of exports of rows with pictures, texts alone and earlier turns.

    Args:
        folder: an empty one.
    """
    source = write_source(folder / "source", [_row(number) for number in range(COUNT)])
    made = {form: _export(source, form, folder) for form in FORMS}
    checkpoint = tiny_llava(folder / "llava")
    return [
        _plain(made, folder),
        *(_trl(made[form], checkpoint) for form in ("trl", "trl-conversational")),
        *(_other("LLaMA-Factory", "llama_factory.py", made[form], [form, str(checkpoint)])
          for form in ("llama-factory-sharegpt", "llama-factory-alpaca")),
        _other("ms-swift", "ms_swift.py", made["ms-swift"], []),
    ]  # fmt: skip


def _row(number: int) -> dict[str, Any]:
    talk = [
        {"role": "user", "text": "tell me more", "images": [f"images/{number % 4}.png"]},
        {"role": "assistant", "text": "it is a cup"},
    ]
    return {
        "pair_id": f"p{number}", "question": "what is this", "chosen": f"a red cup {number}", "rejected": "no",
        "images": [f"images/{n}.png" for n in range(number % 4)], "earlier": talk if number % 3 == 0 else [],
        "system": "please" if number % 7 == 0 else "", "class1": "A", "chosen_safe": True if number % 2 else None,
        "rejected_outcome": "unsafe" if number % 5 else None, "weight": 1.0,
    }  # fmt: skip


def _export(source: Path, form: str, folder: Path) -> Exported:
    request = ExportRequest(source=str(source), form=form, out=folder / form, cache=folder / "cache")
    return export(request, NoProgress())


def _plain(made: dict[str, Exported], folder: Path) -> Measure:
    said = _ask([sys.executable, "-c", PLAIN, str(folder / "hf"), *(str(one.folder) for one in made.values())])
    expected = sum(one.rows for one in made.values())
    return _measure("datasets", f"all {len(made)} forms", expected, said)


def _trl(made: Exported, checkpoint: Path) -> Measure:
    if find_spec("trl") is None:
        return _skipped("TRL's DPOTrainer", made.form, "the package `trl`; it is in the extra of the benchmarks")
    said = _ask([sys.executable, str(HERE / "trl_dpo.py"), str(made.folder), str(checkpoint)])
    return _measure("TRL's DPOTrainer", made.form, made.rows, said, "every batch through its collator, a loss")


def _other(trainer: str, script: str, made: Exported, arguments: Sequence[str]) -> Measure:
    module, variable = OTHERS[trainer]
    python = os.environ.get(variable) or (sys.executable if find_spec(module) else "")
    if not python:
        return _skipped(trainer, made.form, f"{trainer}, in an environment whose Python {variable} names")
    said = _ask([python, str(HERE / script), str(made.folder), *arguments])
    return _measure(trainer, made.form, made.rows, said, "every picture opened")


def _ask(command: Sequence[str]) -> dict[str, Any]:
    """The last line that a process prints, or why there is none."""
    env = {**os.environ, "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(HERE.parents[2])}
    done = subprocess.run(command, capture_output=True, text=True, env=env, check=False)
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if done.returncode or not lines:
        return {"version": "", "rows": 0, "warnings": [(done.stderr.strip().splitlines() or ["it said nothing"])[-1]]}
    found: dict[str, Any] = json.loads(lines[-1])
    return found


def _measure(loader: str, form: str, rows: int, said: dict[str, Any], more: str = "every row read") -> Measure:
    wrong = abs(rows - said["rows"]) + len(said["warnings"])
    because = "; ".join(said["warnings"][:2])
    return Measure(
        f"rows that {loader} does not load, and warnings: {form}", value=wrong, floor=0, unit="", better="lower",
        how=f"{rows:,} rows with 0 to 4 pictures, {more}; version {said['version'] or _version(loader)}"
        + (f"; {because}" if because else ""),
    )  # fmt: skip


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "unknown"


def _skipped(loader: str, form: str, needs: str) -> Measure:
    return Measure(
        f"rows that {loader} does not load, and warnings: {form}", value=None, floor=0, unit="", better="lower",
        how=f"not here: it needs {needs}",
    )  # fmt: skip
