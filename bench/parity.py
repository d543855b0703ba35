"""Tree against separate sequences, for every family: log-probabilities, gradients, and that a broken tree is noticed.

`python -m bench.parity --page docs/reference/families.md` also writes the page of families.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import torch
import transformers

from bench.measures import Measure, run
from spavl.models.families import family_of
from spavl.models.families.family import Family
from spavl.models.trees.batch import TreeBatch, collate
from spavl.models.trees.pack import PackedTree, build_trees, pack_tree
from spavl.models.trees.parity import parity
from tests.families import CASES, WINDOW, Case, build, rows

LOGPROBS, GRADIENTS = 1e-4, 1e-5
HEAD = """# Families

Written by `python -m bench.parity --page FILE`. For every family a tiny random checkpoint (real classes, real picture
processor, float32, CPU) scores the same answers twice: as trees, and as separate sequences through transformers' own
masks and positions. Two pictures, three questions each, two answers of unequal length a question; all weights are
trained. *log-probs*: largest difference of an answer's sum, relative. *gradients*: norm of the difference over the
norm. *broken*: the least difference made by breaking the tree on purpose (a sibling's answer seen, positions not
restarted, windows or two-way pictures left out, picture changed). A family, language model or vision tower that is not
here is refused by name before the first step.

| family | language model | `model_type` | picture tokens | sliding window | log-probs | gradients | broken |
|---|---|---|---|---|---|---|---|"""


@dataclass(frozen=True, slots=True)
class Proof:
    """What was measured of one tiny checkpoint."""

    case: Case
    family: Family
    language: str
    logprobs: float
    gradients: float
    controls: float
    """The smallest difference that a deliberately broken tree made."""
    tokens: tuple[int, ...]
    """Longest and shortest separate sequence."""
    picture_tokens: tuple[int, ...]


def measures() -> Sequence[Measure]:
    """The worst of all families, then each family."""
    found = [prove(case) for case in CASES.values()]
    how = (
        f"{len(found)} tiny random checkpoints of {len({p.family.facts.name for p in found})} families, float32, CPU; "
        "two pictures × 3 questions × 2 answers; every parameter trained; sequences longer than every sliding window"
    )
    name = "tree vs separate, fp32"
    worst = [
        _at_most(f"{name}: Σ log-prob difference, every family", max(p.logprobs for p in found), LOGPROBS, how),
        _at_most(f"{name}: gradient relative error, every family", max(p.gradients for p in found), GRADIENTS, how),
        Measure(
            name=f"{name}: difference made by a broken mask, position or picture, least of every family",
            value=min(p.controls for p in found),
            floor=10 * LOGPROBS,
            unit="",
            better="higher",
            how="a sibling seen, positions not restarted, windows or two-way pictures left out, picture changed",
        ),
    ]
    each = [
        _at_most(f"{p.case.name}: {what}", value, floor, f"window {WINDOW}" if p.case.slides else "no window")
        for p in found
        for what, value, floor in (("log-probs", p.logprobs, LOGPROBS), ("gradients", p.gradients, GRADIENTS))
    ]
    return [*worst, *each]


@cache
def prove(case: Case) -> Proof:
    """Build a checkpoint, lay the same rows both ways, compare; then break the tree in every way and compare again."""
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    model, processor = build(case)
    family = family_of(model, processor)
    trees = [pack_tree(tree, family) for tree in build_trees(rows())]
    tree, apart = collate(trees, family), collate(trees, family, "separate")
    whole = parity(model, family, tree, apart, gradients=True)
    broken = [parity(model, other, batch, apart).logprobs for other, batch in _broken(family, trees, tree)]
    assert whole.gradients is not None
    return Proof(
        case=case,
        family=family,
        language=model.config.get_text_config().model_type,
        logprobs=whole.logprobs,
        gradients=whole.gradients,
        controls=min(broken),
        tokens=(int(apart.lengths.min()), int(apart.lengths.max())),
        picture_tokens=tuple(tree.picture_tokens),
    )


def _broken(family: Family, trees: list[PackedTree], tree: TreeBatch) -> list[tuple[Family, TreeBatch]]:
    first, second = trees[0].answers[:2]
    end = tree.end.clone()
    end[0, first.start : first.stop] = second.stop
    running = torch.arange(tree.ids.shape[1]) - tree.depth
    pixels = {**tree.pixels, "pixel_values": tree.pixels["pixel_values"].flip(-1)}
    ways = [
        (family, replace(tree, end=end)),
        (family, replace(tree, positions=tree.positions + running)),
        (family, replace(tree, pixels=pixels)),
    ]
    if any(family.masks.values()):
        ways.append((replace(family, masks=dict.fromkeys(family.masks)), tree))
    if tree.blocks is not None:
        ways.append((family, replace(tree, blocks=None)))
    return ways


def _at_most(name: str, value: float, floor: float, how: str) -> Measure:
    return Measure(name=name, value=value, floor=floor, unit="", better="lower", how=how)


def page() -> str:
    """The page of families, with what was measured of each."""
    lines = [HEAD]
    for proof in (prove(case) for case in CASES.values()):
        window = f"{WINDOW} of {proof.tokens[0]}–{proof.tokens[1]} tokens" if proof.case.slides else "—"
        sizes = ", ".join(map(str, dict.fromkeys(proof.picture_tokens)))
        kind = proof.case.name.split("+")[0]
        cells = (proof.family.facts.name, proof.language, f"`{kind}`", sizes, window)
        errors = (f"{value:.0e}" for value in (proof.logprobs, proof.gradients, proof.controls))
        lines.append(f"| {' | '.join([*cells, *errors])} |")
    return "\n".join(lines) + "\n"


def main(measure: Callable[[], Sequence[Measure]] = measures) -> None:
    """Measure; write the page if asked to."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--page", type=Path, metavar="FILE")
    mine, others = parser.parse_known_args()
    if mine.page:
        mine.page.write_text(page(), "utf-8")
    run(measure, others)


if __name__ == "__main__":
    main()
