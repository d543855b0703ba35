"""What alignment does to a pretrained language model with eyes: the demo in real language, at length.

python -m bench.real [--only answers judge skill] [--json FILE] [--folder FOLDER]

`answers`: on the demo's dataset three models are trained, DPO with the anchor, plain DPO, and the blind control, and
all are examined on 300 items a metric. `judge`: the model itself is the judge. `skill`: what their language model can
still do, always on the processor. The file is written anew after every piece, and what was called or trained is kept
in the folder: run again, it goes on. A part may be measured on another machine than the rest, with the folder copied
there; the file says on which. It takes hours without a GPU; `make bench` leaves it out.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import chdir, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench.measures import machine, table
from bench.real_language.rows import table_rows
from bench.real_language.skill import measure_skill, text_only_skill
from spavl.atomic import write_json
from spavl.config import Settings
from spavl.config.load import merge
from spavl.errors import NothingMade
from spavl.miniworld.languages import REAL
from spavl.pipeline.align import align
from spavl.pipeline.build import build
from spavl.pipeline.demo import DEMOS, dataset_facts, demo_settings, make_ready
from spavl.pipeline.evaluate import (
    Scores,
    base_spec,
    blank_benchmarks,
    checkpoint_spec,
    open_benchmarks,
    run_benchmarks,
)
from spavl.pipeline.miniworld import wrong_verdicts
from spavl.pipeline.session import Session
from spavl.progress import TerminalProgress
from spavl.records import Judgment, PreferencePair
from spavl.run import peak_memory_mb
from spavl.statistics.agreement import swap_agreement
from spavl.statistics.intervals import rate, rate_of
from spavl.tables import read_table

PARTS = ("answers", "judge", "skill")
SEED = 1
PER_SUBSET = 300
TRAININGS: dict[str, dict[str, Any]] = {
    "anchored": {},
    "plain": {"loss": {"sft_anchor": 0.0}},
    "blind": {"blind": True},
}
"""The models that are trained, with their overrides of the demo's align settings."""
LABELS = {
    "text_only": "text only", "base": "base", "anchored": "anchored DPO", "plain": "plain DPO",
    "blind": "blind control",
}  # fmt: skip
SELF_JUDGE: dict[str, Any] = {
    "out": "self-judge",
    "limit": 106,
    "judges": [{"name": "itself", "model": "standard", "sampling": {"max_tokens": 96}}],
    "build": {"judge": {"judges": ["itself"]}, "match": {"per_question": 1}},
}
"""What differs where the model that is aligned is the judge: its verdict stands last, so it is given room for it."""


class Results:
    """What was measured, written anew after every part; parts of an earlier run stay until they are measured again.

    Args:
        file: the JSON file.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        found = json.loads(file.read_text("utf-8")) if file.exists() else {}
        empty: dict[str, Any] = {
            part: {} for part in ("models", "paired", "trainings", "seconds", "stopped", "machines")
        }
        self.parts = {**empty, **found}

    def put(self, part: str, value: Any) -> None:
        """Replace a part, and write the file with its rows.

        Args:
            part: its key in the file.
            value: plain data.
        """
        self.parts[part] = value
        self._write()

    def model(self, name: str, **facts: Any) -> None:
        """Add facts of a model, and write the file.

        Args:
            name: of the model.
            facts: `rates` or `skill`.
        """
        models = self.parts["models"]
        models[name] = {"label": LABELS[name], **models.get(name, {}), **facts}
        self.put("models", {one: models[one] for one in LABELS if one in models})

    @contextmanager
    def timed(self, part: str) -> Iterator[None]:
        """Keep how long the block took, with what it took before it was stopped; one found again keeps its first time.

        Args:
            part: its name.
        """
        began = time.perf_counter()
        seconds, stopped = self.parts["seconds"], self.parts["stopped"]
        try:
            yield
        except BaseException:
            stopped[part] = stopped.get(part, 0.0) + round(time.perf_counter() - began, 1)
            self._write()
            raise
        took = stopped.pop(part, 0.0) + time.perf_counter() - began
        seconds[part] = max(round(took, 1), seconds.get(part, 0.0))
        self.parts["peak_rss_mb"] = max(peak_memory_mb(), self.parts.get("peak_rss_mb", 0))
        self._write()

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The rows of the table."""
        return [measure.row() for measure in table_rows(self.parts["models"], self.parts["paired"])]

    def _write(self) -> None:
        write_json(self._file, {**self.parts, "measures": self.rows})


def measure(results: Results, parts: Sequence[str] = PARTS) -> None:
    """Measure parts in the current folder, the quickest answers first.

    Args:
        results: gets every piece when it is known.
        parts: of `PARTS`.
    """
    settings = _settings({"out": "run", "evaluate": {"benchmarks": [_world(PER_SUBSET)]}})
    make_ready(DEMOS["real"], settings)
    measured = {
        "answers": lambda: _measure_answers(results, settings),
        "judge": lambda: _measure_judge(results),
        "skill": lambda: _measure_skills(results, settings),
    }
    for part in PARTS:
        if part in parts:
            measured[part]()
            results.put("machines", {**results.parts["machines"], part: machine()})


def _measure_answers(results: Results, settings: Settings) -> None:
    with Session(settings, TerminalProgress()) as session:
        with results.timed("build"):
            build(session)
        results.put("dataset", dataset_facts(session, REAL))
        scores = _scores(session, results, "base", None, None)
        for name, changed in TRAININGS.items():
            scores = _scores(session, results, name, _train(session, results, name, changed), scores)


def _measure_judge(results: Results) -> None:
    with results.timed("judge itself"):
        results.put("self_judge", _self_judge())


def _measure_skills(results: Results, settings: Settings) -> None:
    base = Path(settings.align.model)
    results.model("text_only", skill=text_only_skill(Path("skill-text-only.json")))
    for name, folder in {"base": base, **_trained(settings)}.items():
        with results.timed(f"skill {name}"):
            results.model(name, skill=measure_skill(folder, Path(f"skill-{name}.json")))


def _trained(settings: Settings) -> dict[str, Path]:
    """The adapters that were trained and are there, by name."""
    found = {name: Path(settings.out) / "align" / name / "adapter" for name in TRAININGS}
    return {name: adapter for name, adapter in found.items() if adapter.is_dir()}


def _world(per_subset: int) -> dict[str, Any]:
    return {"kind": "miniworld", "language": "real", "per_subset": per_subset}


def _settings(changed: Mapping[str, Any]) -> Settings:
    """The demo's settings with changes."""
    demo = demo_settings(DEMOS["real"], seed=SEED, out=None, limit=None, store="calls.sqlite")
    return Settings.model_validate(merge(demo.model_dump(), changed))


def _train(session: Session, results: Results, name: str, changed: Mapping[str, Any]) -> Path:
    """Train a model, or find it; notes what it was trained with."""
    with results.timed(f"align {name}"):
        made = align(session, name=name, changed=changed, replace=True)
    session.free()
    used = Settings.model_validate(merge(session.settings.model_dump(), {"align": changed})).align
    steps = [json.loads(line) for line in (made.parent / "metrics.jsonl").read_text("utf-8").splitlines()]
    results.parts["trainings"][name] = {
        "pairs": session.run.manifest()["aligned"][name]["pairs"],
        "steps": steps[-1]["step"],
        "settings": {
            "learning_rate": used.optimiser.learning_rate, "epochs": used.optimiser.epochs, "beta": used.loss.beta,
            "sft_anchor": used.loss.sft_anchor, "rank": used.freeze.rank, "blind": used.blind,
        },
    }  # fmt: skip
    return made


def _scores(session: Session, results: Results, name: str, folder: Path | None, before: Scores | None) -> Scores:
    """The scores before, with those of one more model; the blind control is examined without pictures."""
    base = base_spec(session)
    spec = base if folder is None else checkpoint_spec(name, folder, base)
    blind = TRAININGS.get(name, {}).get("blind", False)
    benchmarks = blank_benchmarks(session) if blind else open_benchmarks(session)
    with results.timed(f"evaluate {name}"):
        found = run_benchmarks(session, [spec], benchmarks, against=before)
    session.free()
    _note(results, found)
    return found


def _note(results: Results, scores: Scores) -> None:
    results.parts["metrics"] = scores.metrics
    results.parts["paired"] = {
        name: {m: asdict(p) for m, p in by_metric.items()} for name, by_metric in scores.paired.items()
    }
    for name, rates in scores.rates.items():
        results.model(name, rates={m: asdict(r) for m, r in rates.items()})


def _self_judge() -> dict[str, Any]:
    """What the dataset becomes where the model itself compares the answers."""
    with Session(_settings(SELF_JUDGE), TerminalProgress()) as session:
        stopped = None
        try:
            build(session)
        except NothingMade as error:
            stopped = error.render()
        judgments = read_table(session.run.judgments, Judgment)
        pairs = read_table(session.run.pairs, PreferencePair) if session.run.pairs.exists() else []
    return {"model": "base itself", "stopped_by": stopped, "pairs": len(pairs), **_verdicts(judgments)}


def _verdicts(judgments: list[Judgment]) -> dict[str, Any]:
    """How consistent, readable and right verdicts are."""
    by_match: dict[str, dict[str, Any]] = {}
    for j in judgments:
        by_match.setdefault(j.match.match_id, {})[j.order] = j.winner
    agreement = swap_agreement([(found.get("ab"), found.get("ba")) for found in by_match.values()])
    wrong, asked = wrong_verdicts(judgments, REAL)
    return {
        "asked": len(judgments),
        "unreadable": asdict(rate(j.winner is None for j in judgments)),
        "swap_agreement": asdict(agreement.agree),
        "first": asdict(agreement.first),
        "right": asdict(rate_of(asked - wrong, asked)),
    }


def main() -> None:
    """Measure, write and print.

    Raises:
        SystemExit: always, with status 1 if a floor does not hold.
    """
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, metavar="FILE", default=Path("bench/results/real.json"))
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--folder", type=Path, default=Path(".spavl/bench-real"), help="keeps calls and trainings")
    options = parser.parse_args()
    results = Results(options.json.resolve())
    options.folder.mkdir(parents=True, exist_ok=True)
    with chdir(options.folder):
        measure(results, options.only)
    print(table(results.rows))
    raise SystemExit(int(any(row["holds"] is False for row in results.rows)))


if __name__ == "__main__":
    main()
