"""The page `docs/methods/real-language.md`: its numbers from committed results, its surprises from a file beside this.

python -m bench.real_language.page
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.measures import measured_on, table
from bench.real_language import tables
from bench.real_language.teaching import TRAINED, teaching

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "methods" / "real-language.md"
RESULTS = ROOT / "bench" / "results"
SURPRISES = Path(__file__).with_name("surprises.md")
"""What people wrote about the numbers; included as it is."""
ELSEWHERE = {"real-demo": "", "readers": "real answers", "dpo-cpu": "SmolLM2", "gpu": "DPO against TRL"}
"""Other committed results, by file, with what the name of a row that is shown holds; empty: every measured row."""
NOT_MEASURED = "Not measured yet."
HEAD = """# Real language

Written by `python -m bench.real_language.page` from `bench/results/*.json`.

A pretrained language model, SmolLM2-135M-Instruct (vocabulary 49,152, its own chat template), is given eyes: the
miniature world's vision tower, a projector and a LoRA adapter teach it to see that world's pictures. Then the whole
pipeline runs on it: responders, guard and judge, preference pairs, DPO, evaluation. Dangerous is what the picture
shows; help is an abstract placeholder sentence throughout ("Step one of the placeholder procedure …"), so that no
harmful instruction is taught or written anywhere.

*text only* is the language model before it was given eyes, *base* the model with eyes before alignment. *anchored DPO*
adds the likelihood of the chosen answer to the loss (`align.loss.sft_anchor`), *plain DPO* does not. The *blind
control* was trained and asked with every picture blanked: it shows what can be had without looking. Intervals are at
95 %. Arithmetic is bfloat16; the demo's, float32.

The settings of the training were chosen among fifteen on datasets of seeds 101 and 102. With the first choice, an
anchor of 3, seed 1 lost 2.7 points of POPE-form accuracy; the anchor of 6 was then chosen on seed 101, and seed 1,
which is shown here, was measured anew. So it was not unseen; the demo was measured with seed 2, which was.
"""


def page(results: Path = RESULTS, surprises: Path = SURPRISES, trained: Path = TRAINED) -> str:
    """The whole page.

    Args:
        results: folder with the committed results.
        surprises: file of what people wrote.
        trained: folder of what was trained to give the model eyes.
    """
    real = _read(results / "real.json")
    parts = [
        HEAD,
        _machines(real),
        _section("What it must show", _floors(results, real)),
        _section("Safety, and what is seen", tables.rates(real)),
        _section("Against the base, item by item", tables.changes(real)),
        _section("Skill of the language model", _skill(real)),
        _section("The dataset", tables.facts(real["dataset"]) if "dataset" in real else ""),
        _section("The model as its own judge", tables.facts(real["self_judge"]) if "self_judge" in real else ""),
        _section("Trainings", tables.facts(real["trainings"]) if "trainings" in real else ""),
        _section("How it was given eyes", teaching(trained)),
        _section("Time", tables.facts(real["seconds"]) if "seconds" in real else ""),
        _section("What surprised us", surprises.read_text("utf-8").strip() if surprises.exists() else ""),
    ]
    return "\n".join(parts)


def _read(file: Path) -> dict[str, Any]:
    return json.loads(file.read_text("utf-8")) if file.exists() else {}


def _machines(real: Mapping[str, Any]) -> str:
    """On what each part was measured, and the most memory that was used."""
    lines = [f"Measured on {on}." for on in measured_on(real)]
    peak = f"At most {real['peak_rss_mb'] / 1000:.1f} GB of memory were used." if "peak_rss_mb" in real else ""
    return "\n".join([*lines, peak]) + "\n" if lines else f"{NOT_MEASURED}\n"


def _section(title: str, body: str) -> str:
    return f"## {title}\n\n{body or NOT_MEASURED}\n"


def _floors(results: Path, real: Mapping[str, Any]) -> str:
    """All rows with their floors, and how each was measured."""
    rows = [*real.get("measures", [])]
    for name, marked in ELSEWHERE.items():
        found = _read(results / f"{name}.json").get("measures", [])
        rows += [row for row in found if marked in row["name"] and row["value"] is not None]
    if not rows:
        return ""
    note = "`not here`: there is no floor, or it is not measured yet."
    return f"{note}\n\n{table(rows)}\n\n" + "\n".join(f"- *{row['name']}*: {row['how']}" for row in rows)


def _skill(real: Mapping[str, Any]) -> str:
    found = [tables.skill(real), tables.answers(real)]
    words = (
        "Perplexity is of prose from Python's own help, in windows of 512 tokens; its interval is a bootstrap over the "
        "windows, which all models read.\nThe hundred instructions stand in `bench/real_language/instructions.py`; "
        "answers are greedy, and judged by rules."
    )
    return "\n\n".join([words, *filter(None, found)]) if any(found) else ""


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
    print(f"wrote {PAGE.relative_to(ROOT)}")
