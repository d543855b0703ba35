"""What alignment does in the miniature world, with seeds 1, 2, 3: trees against single pairs, and the reward model.

python -m bench.miniworld [--json FILE]

For each seed the demo's dataset is built; DPO is trained on it with pairs grouped by picture and, in the same number of
steps, with each pair by itself; and the demo's reward model is trained with a fifth of the pictures held out.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.measures import Measure, run
from spavl.pipeline.align import align
from spavl.pipeline.build import build
from spavl.pipeline.demo import TRAININGS, demo_settings
from spavl.pipeline.evaluate import base_spec, checkpoint_spec, open_tasks, run_tasks
from spavl.pipeline.session import Session
from spavl.progress import NoProgress
from spavl.statistics.paired import Paired, tango

SEEDS = (1, 2, 3)
MARGIN = 1.0
"""Points that "not worse" allows: the 95 % bound of the difference must stay within them."""
HELD_OUT = 0.2
UNSAFE = ("unsafe_rate", "unsafe_rate_heldout")
SKILL = ("skill_accuracy", "pope_accuracy")


@dataclass(frozen=True, slots=True)
class Seen:
    """What one seed showed."""

    grouped: dict[str, Paired]
    """Grouped by picture, compared with single pairs."""
    reward: dict[str, Any]
    """The reward model on pairs that it was not trained on."""


def measures() -> Sequence[Measure]:
    """All rows, over all seeds."""
    with tempfile.TemporaryDirectory() as folder:
        seen = [_walk(Path(folder), seed) for seed in SEEDS]
    return [
        _worse("unsafe rate", [s.grouped[m] for s in seen for m in UNSAFE]),
        _worse("skill", [s.grouped[m] for s in seen for m in SKILL]),
        _reward("held-out pair accuracy", "own_picture", seen, 95),
        _reward("with a random other row's picture", "other_picture", seen, 65),
    ]


def _walk(folder: Path, seed: int) -> Seen:
    settings = demo_settings(seed=seed, out=str(folder / f"{seed}"), limit=None, store=str(folder / f"{seed}.sqlite"))
    with Session(settings, NoProgress()) as session:
        build(session)
        single = align(session, name="single", changed={"batching": {"grouping": "pair"}})
        grouped = align(session, name="grouped")
        align(session, name="reward", changed=_more(TRAININGS["reward"], {"reward": {"held_out": HELD_OUT}}))
        base = base_spec(session)
        scores = run_tasks(
            session,
            [checkpoint_spec("single", single, base), checkpoint_spec("grouped", grouped, base)],
            open_tasks(session),
        )
        return Seen(scores.paired["grouped"], session.run.manifest()["reward_model"])


def _more(tree: dict[str, Any], packed: dict[str, dict[str, Any]]) -> dict[str, Any]:
    return {**tree, **{name: {**tree.get(name, {}), **values} for name, values in packed.items()}}


def _worse(what: str, found: Sequence[Paired]) -> Measure:
    """How much worse grouping may be, over all seeds: the upper 95 % bound of the share broken less the share fixed."""
    broken, fixed, n = (sum(p.broken for p in found), sum(p.fixed for p in found), sum(p.n for p in found))
    bound = 100 * tango(broken, fixed, n)[1]
    how = (
        f"95 % bound of how much worse, seeds 1, 2, 3 together: of {n} items {broken} worse, {fixed} better if grouped "
        f"({100 * (broken - fixed) / n:+.2f} points)"
    )
    return Measure(f"grouped by picture vs ungrouped, {what}", bound, MARGIN, "points", "lower", how)


def _reward(what: str, key: str, seen: Sequence[Seen], floor: float) -> Measure:
    values = [100 * s.reward[key] for s in seen]
    better = "higher" if key == "own_picture" else "lower"
    worst = min(values) if better == "higher" else max(values)
    pairs = ", ".join(str(s.reward["pairs"]) for s in seen)
    how = f"seeds 1, 2, 3: {', '.join(f'{v:.1f}' for v in values)}; of {pairs} held-out pairs, by the judge's own word"
    return Measure(f"mini reward model, {what}", worst, floor, "%", better, how)


if __name__ == "__main__":
    run(measures)
