"""Pairs: a planted position bias measured, judges that return garbage, unsafe chosen answers, bare refusals, balance.

    python -m bench.building.pairs --json FILE

Pictures, answers, guard and judge are those of the miniature world, whose truth is known. The bias is planted in a
judge whose other verdicts err in 8 % too. The dataset is the demo's, built with seeds 1, 2, 3; settings are named by
each figure, and none was tuned on them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bench.measures import Measure, run
from spavl.audit.judge_tables import audit
from spavl.config import Settings
from spavl.config.judging import JudgeSpec
from spavl.config.load import merge
from spavl.dataset.judge import judge
from spavl.errors import NothingMade
from spavl.judging.judge import open_judge
from spavl.miniworld.oracle import Judge, Truth, truth
from spavl.models.base import Prompt, Reply, Request, Sampling
from spavl.pipeline.build import build
from spavl.pipeline.demo import DEMOS, demo_settings
from spavl.pipeline.session import Session
from spavl.progress import NoProgress
from spavl.records import Judgment, Match, PreferencePair, Response
from spavl.run import Run
from spavl.tables import read_table, write_table

SEEDS = (1, 2, 3)
PLANTED = 0.8
TELLS = {"guards": [{"name": "guard", "kind": "outcome"}]}
"""The demo's guard, asked for outcomes."""
PREFERS = {"pair": {"prefer_safe_completion": True}}
SAFE = {"pair": {"chosen_must_be_safe": True}}
BALANCED = {**PREFERS, "balance": {"length_balance": 0.05, "max_source_share": 0.15}}
GARBAGE = ("I would choose A.", "[[A]] or [[B]]", "tie", "lorem ipsum", "[[D]]")
"""Replies of a judge that returns garbage, one after the other."""


class GarbageJudge:
    """A judge whose replies hold no verdict.

    Args:
        name: of the model, as the settings call it.
        identity: enters the keys of its calls.
        batch_size: most requests of one `generate`.
    """

    def __init__(self, *, name: str, identity: str, batch_size: int = 256) -> None:
        self.name = name

    def generate(self, requests: Sequence[Request]) -> list[Reply]:
        """A reply to each request.

        Args:
            requests: whatever is asked.
        """
        return [Reply(GARBAGE[len(request.prompt.text) % len(GARBAGE)]) for request in requests]

    def close(self) -> None:
        """Do nothing: there is nothing to free."""


@dataclass(frozen=True, slots=True)
class Built:
    """A dataset of the demo."""

    pairs: Sequence[PreferencePair]
    """The pairs that are exported."""
    completed: Mapping[str, bool]
    """Questions with a whole answer that the guard calls a safe completion; and whether one is so by the truth."""
    manifest: Mapping[str, Any]
    """`run.json`."""

    def bare(self) -> int:
        """Pairs whose chosen answer is a bare refusal where a safe completion existed, by the guard."""
        return sum(p.chosen_outcome == "refusal" and p.query.query_id in self.completed for p in self.pairs)

    def bare_by_truth(self) -> int:
        """The same by the truth."""
        chosen = ((p, _truth(p)) for p in self.pairs)
        return sum(
            known.outcome == "refusal" and not known.unsafe and self.completed.get(p.query.query_id, False)
            for p, known in chosen
        )

    def unsafe(self) -> int:
        """Pairs whose chosen answer is unsafe by the truth."""
        return sum(_truth(p).unsafe for p in self.pairs)


def measures() -> list[Measure]:
    """The measures."""
    with TemporaryDirectory() as folder:
        return list(_measures(Path(folder)))


def _measures(folder: Path) -> Iterator[Measure]:
    default = [_built(folder, seed, {}, {}) for seed in SEEDS]
    yield _bias(folder)
    yield from _garbage(folder)
    yield _unsafe("as the demo ships", default, 1.0)
    safe = [_built(folder, seed, {}, SAFE) for seed in SEEDS]
    yield _unsafe("with `chosen_must_be_safe`", safe, 1.0)
    yield _refusals("setting off, by the guard", [_built(folder, seed, TELLS, {}).bare() for seed in SEEDS], None)
    preferring = [_built(folder, seed, TELLS, PREFERS) for seed in SEEDS]
    yield _refusals("setting on, by the guard", [one.bare() for one in preferring], 0)
    truly = [one.bare_by_truth() for one in preferring]
    yield _refusals("setting on, by the truth (the guard errs in 2 %)", truly, None)
    yield from _balance([_built(folder, seed, TELLS, BALANCED) for seed in SEEDS])


def _built(folder: Path, seed: int, settings: Mapping[str, Any], changed: Mapping[str, Any]) -> Built:
    """A build of the demo; the calls of a seed are made once."""
    made = demo_settings(DEMOS["closed"], seed=seed, out=str(folder / "run"), limit=None,
                         store=str(folder / f"{seed}.sqlite"))  # fmt: skip
    tree = merge(made.model_dump(mode="json"), {**settings, "build": changed})
    if settings:
        for model in tree["models"]:
            if model["name"] == "guard":
                model |= {"version": "1-outcomes", "options": {**model["options"], "outcomes": True}}
    with Session(Settings.model_validate(tree), NoProgress()) as session:
        build(session)
        pairs = read_table(session.run.last_pairs, PreferencePair)
        return Built(pairs, _completed(session.run), session.run.manifest())


def _completed(run: Run) -> dict[str, bool]:
    found: dict[str, bool] = {}
    for r in read_table(run.responses, Response):
        if r.response_status == "ok" and r.outcome == "safe_completion":
            known = truth(r.query.image.image_id, r.query.question, r.response)
            truly = known.outcome == "safe_completion" and not known.unsafe
            found[r.query.query_id] = found.get(r.query.query_id, False) or truly
    return found


def _truth(p: PreferencePair) -> Truth:
    return truth(p.query.image.image_id, p.query.question, p.chosen)


def _bias(folder: Path) -> Measure:
    """The matches of the demo, judged anew by a judge that follows the position in four of five comparisons."""
    values, covered, matches = [], 0, 0
    for seed in SEEDS:
        _built(folder, seed, {}, {})
        found = read_table(folder / "run" / "4-matches.parquet", Match)
        bias = _audited(folder, found)["position_bias"]
        values.append(100 * (bias["value"] - PLANTED))
        covered += bias["low"] <= PLANTED <= bias["high"]
        matches += bias["n"]
    how = (
        f"`spavl.miniworld.oracle:Judge` with position_bias {PLANTED}, error 0.08, on the {matches:,} matches of the "
        f"demo, seeds 1, 2, 3: {', '.join(f'{value:+.1f}' for value in values)} points; the 95 % interval holds the "
        f"truth in {covered} of {len(SEEDS)}"
    )
    return Measure("pairs: planted position bias of 80 %, largest error of its measure", max(map(abs, values)), 3,
                   "points", "lower", how)  # fmt: skip


def _audited(folder: Path, matches: Sequence[Match]) -> dict[str, Any]:
    model = Judge(name="judge", identity="judge-biased", error=0.08, position_bias=PLANTED)

    def call(prompts: Sequence[Prompt], **_: Any) -> list[Reply]:
        return model.generate([Request(prompt, Sampling()) for prompt in prompts])

    verdicts = judge(matches, call=call, judge=open_judge(JudgeSpec(name="judge")), folder=folder)
    write_table(folder / "biased.parquet", verdicts, Judgment)
    found: dict[str, Any] = audit([folder / "biased.parquet"])["judges"]["judge"]
    return found


def _garbage(folder: Path) -> Iterator[Measure]:
    """A build of the demo whose judge returns garbage."""
    said, status = "no error", 0
    made = demo_settings(DEMOS["closed"], seed=SEEDS[0], out=str(folder / "garbage"), limit=None,
                         store=str(folder / f"{SEEDS[0]}.sqlite"))  # fmt: skip
    tree = made.model_dump(mode="json")
    for model in tree["models"]:
        if model["name"] == "judge":
            model |= {"target": "bench.building.pairs:GarbageJudge", "version": "garbage", "options": {}}
    with Session(Settings.model_validate(tree), NoProgress(), allow_code=True) as session:
        try:
            build(session)
        except NothingMade as error:
            said, status = error.what, error.exit_status
        counts = session.run.manifest()["counts"]
    pairs, ties = counts["pair"].get("pair", 0), counts["pair"].get("tie", 0)
    yield Measure("pairs: pairs and ties of a judge that returns garbage", pairs + ties, 0, "", "lower",
                  f"demo, seed 1, five kinds of garbage; {counts['judge'].get('unreadable', 0):,} of "
                  f"{sum(counts['judge'].values()):,} verdicts unreadable")  # fmt: skip
    named = "verdicts of the judge `judge` cannot be read" in said and status == 2
    yield Measure("pairs: that build ends with an error that names the judge", int(named), 1, "", "higher",
                  f"exit status {status}: {said}")  # fmt: skip


def _unsafe(which: str, found: Sequence[Built], floor: float) -> Measure:
    shares = [100 * one.unsafe() / len(one.pairs) for one in found]
    counts = ", ".join(f"{one.unsafe()} of {len(one.pairs):,}" for one in found)
    return Measure(f"pairs: unsafe chosen answers, {which}", max(shares), floor, "%", "lower",
                   f"by the truth, the worst of seeds 1, 2, 3: {counts}; guard errs in 2 %, judge in 8 %, its position "
                   "bias is 18 %")  # fmt: skip


def _refusals(which: str, counts: Sequence[int], floor: float | None) -> Measure:
    return Measure(f"pairs: chosen is a bare refusal where a safe completion existed, {which}", sum(counts), floor, "",
                   "lower", f"demo, seeds 1, 2, 3: {', '.join(map(str, counts))}")  # fmt: skip


def _balance(found: Sequence[Built]) -> Iterator[Measure]:
    """Length and source before and after balance."""
    before, after = ([one.manifest["pairs_balance"][stage] for one in found] for stage in ("pair", "balance"))
    how = "demo, seeds 1, 2, 3, `prefer_safe_completion`, `length_balance` 0.05, `max_source_share` 0.15"
    off = max(100 * abs(one["chosen_longer"] - 0.5) for one in after)
    shares = ", ".join(
        f"{100 * b['chosen_longer']:.1f} → {100 * a['chosen_longer']:.1f} %" for b, a in zip(before, after, strict=True)
    )
    kept = ", ".join(f"{b['pairs']:,} → {a['pairs']:,}" for b, a in zip(before, after, strict=True))
    yield Measure("pairs: share whose chosen answer is longer, distance from a half after balance", off, 5, "points",
                  "lower", f"{how}: {shares}; pairs {kept}")  # fmt: skip
    for key, name in (("length_auc", "length alone"), ("source_auc", "the responder alone")):
        values = ", ".join(f"{b[key]:.3f} → {a[key]:.3f}" for b, a in zip(before, after, strict=True))
        yield Measure(f"pairs: AUC of {name} after balance, the worst", max(one[key] for one in after), None, "",
                      "lower", f"{how}: {values}")  # fmt: skip


if __name__ == "__main__":
    run(measures)
