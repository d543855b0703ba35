"""How long 100,000 pairs take in every form, and what memory."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from bench.measures import Measure
from spavl.preferences.dataset import open_dataset
from tests.interchange.conversations import write_source

PAIRS, PICTURES = 100_000, 4
SCRIPT = """
import json, resource, sys, time
from pathlib import Path
from spavl.pipeline.exports import ExportRequest, export
from spavl.progress import NoProgress
start = time.perf_counter()
out = Path(sys.argv[3])
made = export(ExportRequest(source=sys.argv[1], form=sys.argv[2], out=out, cache=Path(sys.argv[4])), NoProgress())
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
print(json.dumps({"seconds": time.perf_counter() - start, "cpu": time.process_time(), "gib": peak, "rows": made.rows}))
"""
FORMS = ("trl-conversational", "llama-factory-sharegpt", "parquet", "csv")


def speed(folder: Path) -> list[Measure]:
    """Processor time and memory of some forms, the slowest kinds among them; the source is converted before.

    Args:
        folder: an empty one.
    """
    answer = "words of an answer " * 20
    source = write_source(
        folder / "source",
        [{"pair_id": f"p{n}", "question": f"question {n}", "chosen": f"{answer}{n}", "rejected": answer,
          "images": [f"images/{n % PICTURES}.png"], "class1": "A", "chosen_safe": True} for n in range(PAIRS)],
    )  # fmt: skip
    open_dataset(source, cache=folder / "cache")
    found = {form: _run(source, form, folder) for form in FORMS}
    times = ", ".join(f"{form} {one['cpu']:.0f} s ({one['seconds']:.0f} s)" for form, one in found.items())
    return [
        Measure(
            "export of 100,000 pairs, the slowest of four forms", value=max(one["cpu"] for one in found.values()),
            floor=None, unit="s", better="lower",
            how="processor time (and by the clock), imports, the check that each row is read back as it is, and the "
            f"card included: {times}; the source was converted before, and its pictures are a few small files",
        ),
        Measure(
            "most memory of such an export", value=max(one["gib"] for one in found.values()), floor=None, unit="GiB",
            better="lower", how="resident, of a process of its own",
        ),
    ]  # fmt: skip


def _run(source: Path, form: str, folder: Path) -> dict[str, float]:
    command = [sys.executable, "-c", SCRIPT, str(source), form, str(folder / form), str(folder / "cache")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    assert found["rows"] == PAIRS
    return found
