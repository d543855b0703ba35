"""The demo's controls: how long they take, whether they keep what they should, and what flips under them.

    make demo
    python -m bench.evaluating.controls --json FILE

Base, DPO and PPO of a finished demo are asked anew, with an empty call store, in a copy of the run folder: first their
own answers, then every control. Another run folder than `runs/demo` is named by `SPAVL_DEMO`.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.measures import Measure, run
from spavl.config import Settings
from spavl.config.controls import CorruptionControl
from spavl.evaluate.controls import controlled, make_control
from spavl.evaluate.controls.corruptions import CORRUPTIONS
from spavl.evaluate.item import Item
from spavl.pipeline.controls import controls_of
from spavl.pipeline.demo import DEMOS, demo_settings
from spavl.pipeline.evaluate import base_spec, checkpoint_spec, open_benchmarks, run_benchmarks
from spavl.pipeline.session import Session
from spavl.progress import NoProgress

DEMO = Path(os.environ.get("SPAVL_DEMO", "runs/demo"))
MODELS = ("dpo", "ppo")
"""The aligned models that are asked, beside the base."""
MOST_SECONDS = 360.0
SEEDS = 5
"""Shuffles that are looked at."""


@contextmanager
def session_of(folder: Path) -> Iterator[Session]:
    """A session on a copy of the demo's run folder, with an empty call store.

    Args:
        folder: where both are made.
    """
    shutil.copytree(DEMO, folder / "run", ignore=shutil.ignore_patterns("controls", "state"))
    settings: Settings = demo_settings(
        DEMOS["closed"], seed=1, out=str(folder / "run"), limit=None, store=str(folder / "calls.sqlite")
    )
    with Session(settings, NoProgress()) as session:
        yield session


def evaluated(session: Session) -> dict[str, Any]:
    """`run.json` after base, DPO and PPO were asked everything.

    Args:
        session: of `session_of`.
    """
    base = base_spec(session)
    trained = session.run.aligned()
    specs = [base, *(checkpoint_spec(name, trained[name], base) for name in MODELS)]
    run_benchmarks(session, specs, open_benchmarks(session))
    found: dict[str, Any] = json.loads((session.run.folder / "run.json").read_text("utf-8"))
    return found


def seconds(known: dict[str, Any]) -> list[Measure]:
    """How long the controls of all three models took.

    Args:
        known: `run.json`.
    """
    names = ("base", *MODELS)
    took = {name: known["seconds"][f"controls {name}"] for name in names}
    asked = sum(one["items"] for name in names for one in known["controls"][name])
    own = sum(known["seconds"][f"evaluate {name}"] for name in names)
    each = ", ".join(f"{name} {spent:.1f} s" for name, spent in took.items())
    how = f"{asked:,} answers, none stored: {each}; pictures made among it; the 7,200 own answers took {own:.1f} s"
    return [Measure("controls of the demo: base, DPO and PPO", round(sum(took.values()), 1), MOST_SECONDS, "s", "lower",
                    how)]  # fmt: skip


def flips(known: dict[str, Any]) -> list[Measure]:
    """What flips under every control, for the first metrics of safety and of over-refusal.

    Args:
        known: `run.json`.
    """
    found = []
    for axis in ("safety", "over-refusal"):
        metric = next(name for name, one in known["metrics"].items() if one["axis"] == axis)
        for one in known["controls"]["dpo"]:
            if metric in one["metrics"]:
                rate = one["metrics"][metric]["flips"]
                how = f"{one['what']}; {100 * rate['low']:.1f}–{100 * rate['high']:.1f} %, n = {rate['n']}"
                name = f"DPO under {one['control']}: {known['metrics'][metric]['label'].lower()} that flip"
                found.append(Measure(name, round(100 * rate["value"], 1), None, "%", "lower", how))
    return found


def kept(session: Session) -> list[Measure]:
    """Items whose id, flags or truth a control changed, and shuffled items that show their own picture.

    Args:
        session: of `session_of`.
    """
    wrong = pictures = asked = own = alike = shown = 0
    for benchmark in open_benchmarks(session):
        for control in controls_of(session):
            made = controlled(benchmark, control, 120)
            changed = made.benchmark.items if made.benchmark else ()
            asked += len(changed)
            wrong += sum(_known(a) != _known(b) for a, b in zip(changed, made.originals, strict=True))
        for seed in range(SEEDS):
            under = controlled(benchmark, _shuffled(session, seed), None)
            items = under.benchmark.items if under.benchmark else ()
            by_picture = {item.images[0].sha256: item for item in benchmark.items}
            for now, before in zip(items, under.originals, strict=True):
                giver = by_picture[now.images[0].sha256]
                pictures += 1
                own += now.images == before.images
                shown += giver.group == before.group
                alike += giver.harmful == before.harmful and (before.harmful or before.benign)
    how = f"{asked:,} items of all controls of the demo"
    shuffles = f"all items of both benchmarks, {SEEDS} seeds: {pictures:,}"
    return [
        Measure("controls: items whose id, flags or answer changed", wrong, 0, "", "lower", how),
        Measure("shuffled: items that show their own picture", own, 0, "", "lower", shuffles),
        Measure("shuffled: pictures of the same subject", round(100 * shown / pictures, 2), None, "%", "lower",
                shuffles),
        Measure("shuffled: pictures of the same safety", round(100 * alike / pictures, 2), None, "%", "lower",
                f"{shuffles}; two thirds of the requests are harmful, so that half of these can have no other"),
    ]  # fmt: skip


def _shuffled(session: Session, seed: int) -> Any:
    spec = next(spec for spec in session.settings.evaluate.controls if spec.called == "shuffled")
    return make_control(spec, session.world, seed)


def _known(item: Item) -> tuple[Any, ...]:
    return item.item_id, item.subset, item.harmful, item.benign, item.heldout, item.expected, item.group, item.unit


def deterministic(session: Session, folder: Path) -> list[Measure]:
    """Corrupted pictures whose bytes differ when they are made again elsewhere.

    Args:
        session: of `session_of`.
        folder: two folders are made in it.
    """
    benchmark = open_benchmarks(session)[0]
    differ = total = 0
    for kind in CORRUPTIONS:
        for level in (1, 2, 3):
            spec = CorruptionControl.model_validate({"kind": kind, "level": level})
            twice = [controlled(benchmark, make_control(spec, folder / name, 1), 60).benchmark for name in "ab"]
            hashes = [[item.images[0].sha256 for item in made.items] for made in twice if made]
            total += len(hashes[0])
            differ += sum(a != b for a, b in zip(*hashes, strict=True))
    how = f"{total:,} pictures: 6 corruptions × 3 levels × 60 items, made twice in two folders"
    return [Measure("corruptions: pictures that differ when made again", differ, 0, "", "lower", how)]


def measures() -> list[Measure]:
    """All measures of the controls."""
    if not (DEMO / "run.json").is_file():
        return [Measure("controls of the demo: base, DPO and PPO", None, MOST_SECONDS, "s", "lower",
                        f"there is no finished demo in {DEMO}: run `make demo` first")]  # fmt: skip
    with tempfile.TemporaryDirectory() as name, session_of(Path(name)) as session:
        known = evaluated(session)
        return [*seconds(known), *kept(session), *deterministic(session, Path(name)), *flips(known)]


if __name__ == "__main__":
    run(measures)
