"""Parity of tree and separate sequences for every family: log-probabilities, gradients, and that a broken tree differs.

python -m bench.parity [--page FILE] [--json FILE]

`--page docs/reference/families.md` also writes the page of families.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import torch
import transformers

from bench.measures import Measure, run
from spavl.models.families import family_of
from spavl.models.families.family import Family
from spavl.models.trees.batch import TreeBatch, collate
from spavl.models.trees.pack import PackedTree, build_trees, pack_tree
from spavl.models.trees.parity import parity
from spavl.models.trees.score import answer_logprobs
from tests.families import CASES, WINDOW, Case, build, rows
from tests.mixed_rows import mixed_batch, plain_sums

LOGPROBS, GRADIENTS = 1e-4, 1e-5
"""Largest relative errors that hold."""
HEAD = """# Families

Written by `python -m bench.parity --page FILE`. For every family a tiny random checkpoint (real classes, real picture
processor, float32, CPU) scores the same answers twice: as trees, and as separate sequences through transformers' own
masks and positions. Two pictures, three questions each, two answers of unequal length a question; all weights are
trained. *log-probs*: largest difference of an answer's sum, relative. *gradients*: norm of the difference over the
norm. *broken*: the least difference made by breaking the tree on purpose (a sibling's answer seen, positions not
restarted, windows or two-way pictures left out, picture changed). A family, language model or vision tower that is not
here is refused by name before the first step. *window*: the sliding window. *pictures*: how many a
conversation may have. *mixed*: rows of text only,
with one picture, with two and of two turns in one batch, against a plain forward pass of transformers for each answer:
the largest relative difference of a sum.

| family | language model | `model_type` | pictures | picture tokens | window | log-probs | gradients | broken | mixed |
|---|---|---|---|---|---|---|---|---|---|"""


@dataclass(frozen=True, slots=True)
class ParityResult:
    """What was measured on one tiny checkpoint."""

    case: Case
    """How the checkpoint was built."""
    family: Family
    """Its family."""
    language: str
    """`model_type` of its language model."""
    logprobs: float
    """Largest relative difference of an answer's summed log-probability."""
    gradients: float
    """Norm of the gradients' difference over their norm."""
    controls: float
    """The smallest difference that a deliberately broken tree made."""
    mixed: float
    """Largest relative difference of an answer in a batch of mixed rows from a plain forward pass of transformers."""
    tokens: tuple[int, ...]
    """Shortest and longest separate sequence."""
    picture_tokens: tuple[int, ...]
    """Tokens of every picture."""


def measures() -> Sequence[Measure]:
    """Rows for the worst of all families, then for each checkpoint."""
    found = [measure_family(case) for case in CASES.values()]
    families = {result.family.facts.name for result in found}
    how = (
        f"{len(found)} tiny random checkpoints of {len(families)} families, float32, CPU; "
        "two pictures × 3 questions × 2 answers; every parameter trained; sequences longer than every sliding window"
    )
    name = "tree vs separate, fp32"
    worst = [
        _at_most(
            f"{name}: Σ log-prob difference, every family", max(result.logprobs for result in found), LOGPROBS, how
        ),
        _at_most(
            f"{name}: gradient relative error, every family", max(result.gradients for result in found), GRADIENTS, how
        ),
        Measure(
            name=f"{name}: difference made by a broken mask, position or picture, least of every family",
            value=min(result.controls for result in found),
            floor=10 * LOGPROBS,
            unit="",
            better="higher",
            how="a sibling seen, positions not restarted, windows or two-way pictures left out, picture changed",
        ),
    ]
    worst.append(
        _at_most(
            "rows of 0, 1, 2 pictures and of two turns mixed: Σ log-prob against plain forward, every family",
            max(result.mixed for result in found),
            LOGPROBS,
            "one batch of trees against one forward pass of transformers an answer; a family that takes at most one "
            "picture in a conversation has the rows with at most one",
        )
    )
    each = [
        _at_most(f"{result.case.name}: {what}", value, floor, f"window {WINDOW}" if result.case.slides else "no window")
        for result in found
        for what, value, floor in (("log-probs", result.logprobs, LOGPROBS), ("gradients", result.gradients, GRADIENTS))
    ]
    return [*worst, *each]


@cache
def measure_family(case: Case) -> ParityResult:
    """Build a checkpoint and compare tree and separate packing of the same rows; then break the tree and compare again.

    Args:
        case: what checkpoint to build.
    """
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    model, processor = build(case)
    family = family_of(model, processor)
    trees = [pack_tree(tree, family) for tree in build_trees(rows())]
    tree, separate = collate(trees, family), collate(trees, family, "separate")
    intact = parity(model, family, tree, separate, gradients=True)
    broken = [parity(model, other, batch, separate).logprobs for other, batch in _broken(family, trees, tree)]
    assert intact.gradients is not None
    return ParityResult(
        case=case,
        family=family,
        language=model.config.get_text_config().model_type,
        logprobs=intact.logprobs,
        gradients=intact.gradients,
        controls=min(broken),
        mixed=_mixed(model, processor, family),
        tokens=(int(separate.lengths.min()), int(separate.lengths.max())),
        picture_tokens=tuple(tree.picture_tokens),
    )


@torch.no_grad()
def _mixed(model: Any, processor: Any, family: Family) -> float:
    rows_, batch = mixed_batch(family)
    plain = plain_sums(model, processor, rows_, batch)
    return float(((answer_logprobs(model, batch, family).sums - plain) / plain).abs().max())


def _broken(family: Family, trees: list[PackedTree], tree: TreeBatch) -> list[tuple[Family, TreeBatch]]:
    """The tree with a mistake of every kind: in mask, positions, pictures, windows, two-way pictures."""
    first, second = trees[0].answers[:2]
    end = tree.end.clone()
    end[0, first.start : first.stop] = second.stop
    shift = torch.arange(tree.ids.shape[1]) - tree.depth
    pixels = {**tree.pixels, "pixel_values": tree.pixels["pixel_values"].flip(-1)}
    ways = [
        (family, replace(tree, end=end)),
        (family, replace(tree, positions=tree.positions + shift)),
        (family, replace(tree, pixels=pixels)),
    ]
    if any(family.masks.values()):
        ways.append((replace(family, masks=dict.fromkeys(family.masks)), tree))
    if tree.picture_index is not None:
        ways.append((family, replace(tree, picture_index=None)))
    return ways


def _at_most(name: str, value: float, floor: float, how: str) -> Measure:
    return Measure(name=name, value=value, floor=floor, unit="", better="lower", how=how)


def page() -> str:
    """The page of families in Markdown, with what was measured on each checkpoint."""
    lines = [HEAD]
    for result in (measure_family(case) for case in CASES.values()):
        window = f"{WINDOW} of {result.tokens[0]}–{result.tokens[1]} tokens" if result.case.slides else "—"
        sizes = ", ".join(map(str, dict.fromkeys(result.picture_tokens)))
        kind = result.case.name.split("+")[0]
        pictures = "any" if result.family.facts.several_pictures else "at most 1"
        cells = (result.family.facts.name, result.language, f"`{kind}`", pictures, sizes, window)
        errors = (f"{value:.0e}" for value in (result.logprobs, result.gradients, result.controls, result.mixed))
        lines.append(f"| {' | '.join([*cells, *errors])} |")
    return "\n".join(lines) + "\n"


def main(measure: Callable[[], Sequence[Measure]] = measures) -> None:
    """Measure, and write the page if `--page` names a file.

    Args:
        measure: gives the rows.
    """
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--page", type=Path, metavar="FILE")
    options, others = parser.parse_known_args()
    if options.page:
        options.page.write_text(page(), "utf-8")
    run(measure, others)


if __name__ == "__main__":
    main()
