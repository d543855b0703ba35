"""The miniature world in the pipeline: its pictures as candidates, its items as benchmarks, its truth as scorer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from spavl.config import Settings
from spavl.dataset.collect import Candidate, file_candidate
from spavl.evaluate.benchmark import Benchmark, Metric
from spavl.evaluate.item import Item
from spavl.evaluate.metrics import helpful_rate, over_refusal_rate, pope_accuracy, skill_accuracy, unsafe_rate
from spavl.evaluate.scorer import Rule
from spavl.evaluate.spread import spread
from spavl.judging.readers.verdicts import read_verdict
from spavl.miniworld import pictures
from spavl.miniworld.items import Item as WorldItem
from spavl.miniworld.items import benchmark_items
from spavl.miniworld.languages import CLOSED, Language
from spavl.miniworld.oracle import Truth, right_verdict, truth
from spavl.miniworld.world import scenes
from spavl.models.base import Sampling
from spavl.pictures import file_sha256
from spavl.records import ImageRef, Judgment

WORLD = "miniworld"
"""Name of its entry in the settings where none is given."""
LICENSE = "Apache-2.0 (drawn by the miniature world)"


def _by_truth(language: Language, what: str, outcome: Callable[[Truth], bool]) -> Rule:
    """A scorer by what the world knows of the picture, instead of a guard."""
    return Rule(
        f"truth:{what}/{language.version}",
        lambda item, text: outcome(truth(item.picture, item.question, text, language)),
    )


def _request_metrics(language: Language) -> tuple[Metric, ...]:
    """What is measured on requests."""
    unsafe = unsafe_rate(_by_truth(language, "unsafe", lambda found: found.unsafe))
    over_refusal = over_refusal_rate(_by_truth(language, "over-refusal", lambda found: found.over_refusal))
    return (
        replace(unsafe, heldout=False, what="that help with a dangerous picture of a subcategory seen in alignment"),
        replace(unsafe, name="unsafe_rate_heldout", label="Unsafe, held-out kinds", heldout=True,
                what="that help with a dangerous picture of a subcategory never trained on"),
        replace(over_refusal, what="that refuse a harmless request"),
        helpful_rate(_by_truth(language, "helpful", lambda found: found.helpful)),
    )  # fmt: skip


def _skill_metrics(language: Language) -> tuple[Metric, ...]:
    """What is measured on questions with a right answer."""
    correct = _by_truth(language, "correct", lambda found: found.correct)
    return (
        replace(skill_accuracy(correct), label="Correct names", subsets=("naming",),
                what="that name the object rightly; a refusal is wrong"),
        replace(pope_accuracy(correct), subsets=("pope",),
                what="that say rightly whether an object is there (as in POPE)"),
    )  # fmt: skip


def make_candidates(settings: Settings, folder: Path) -> list[Candidate]:
    """Pictures of the miniature world for a dataset; what is dangerous is visible in the picture alone.

    Args:
        settings: how many pictures a subcategory, the share of benign ones, and the seed.
        folder: what the pictures are drawn into.
    """
    wanted = settings.build.collect
    sampled = scenes("build", settings.seed, wanted.per_subcategory, wanted.benign_share)
    return [
        file_candidate(path, inside=None, topic=scene.kind.topic, image_id=scene.id, benign=not scene.dangerous,
                       heldout=scene.heldout, source="miniature world", license=LICENSE)
        for path, scene in zip(pictures.write(sampled, folder), sampled, strict=True)
    ]  # fmt: skip


def miniworld_benchmarks(
    seed: int,
    per_subset: int,
    folder: Path,
    language: Language = CLOSED,
    *,
    name: str = WORLD,
    limit: int | None = None,
) -> tuple[Benchmark, Benchmark]:
    """Two benchmarks: requests (sampled at temperature 1 and top-p 0.9) and skills (greedy), on fresh pictures.

    Pictures are drawn of items within the limit only.

    Args:
        seed: of pictures, wordings and answers.
        per_subset: items of every subset.
        folder: what the pictures are drawn into.
        language: of questions and answers.
        name: in the settings; another than the usual one goes before the names of both.
        limit: most items of a subset, of all kinds alike; None for all.
    """
    before = "" if name == WORLD else f"{name}-"
    items = {
        subset: _drawn(found, folder, limit) for subset, found in benchmark_items(seed, per_subset, language).items()
    }
    tokens = language.max_tokens
    requests = Benchmark(
        name=f"{before}requests", items=items["unsafe_seen"] + items["unsafe_heldout"] + items["benign"],
        metrics=_request_metrics(language),
        sampling=Sampling(temperature=1.0, top_p=0.9, max_tokens=tokens, seed=seed),
        source=f"miniature world, seed {seed}",
    )  # fmt: skip
    skill = Benchmark(
        name=f"{before}skill", items=items["naming"] + items["pope"], metrics=_skill_metrics(language),
        sampling=Sampling(max_tokens=tokens),
        source=f"miniature world, seed {seed}",
    )  # fmt: skip
    return requests, skill


def wrong_verdicts(judgments: list[Judgment], language: Language = CLOSED) -> tuple[int, int]:
    """(wrong, asked): readable verdicts that differ from the world's, of all where one answer is better.

    Args:
        judgments: verdicts of a judge, each in one reading order.
        language: of questions and answers.
    """
    wrong = asked = 0
    for j in judgments:
        m = j.match
        first, second = (m.a_response, m.b_response) if j.order == "ab" else (m.b_response, m.a_response)
        verdict = right_verdict(m.query.image.image_id, m.query.question, first, second, language)
        right = read_verdict(verdict, j.order)
        if j.winner is not None and right in ("a", "b"):
            asked += 1
            wrong += j.winner != right
    return wrong, asked


def unsafe_by_truth(image_id: str, question: str, answer: str, language: Language = CLOSED) -> bool:
    """Whether an answer is unsafe, by what the world knows.

    Args:
        image_id: name of the picture, which the world knows it by.
        question: what was asked.
        answer: what the model answered.
        language: of both.
    """
    return truth(image_id, question, answer, language).unsafe


def _drawn(found: Sequence[WorldItem], folder: Path, limit: int | None) -> tuple[Item, ...]:
    """The items of a subset that are within the limit, with their pictures."""
    scene_of = {one.item_id: one.scene for one in found}
    kept = spread([_item(one) for one in found], limit)
    paths = pictures.write([scene_of[item.item_id] for item in kept], folder)
    return tuple(
        replace(item, images=(ImageRef(path, file_sha256(path)),)) for item, path in zip(kept, paths, strict=True)
    )


def _item(item: WorldItem) -> Item:
    """An item without its picture."""
    return Item(
        item_id=item.item_id, subset=item.subset, question=item.question, images=(),
        expected=item.expected, group=item.scene.kind.topic.class3, harmful=item.harmful, benign=item.benign,
        heldout=item.heldout, picture=item.scene.id,
    )  # fmt: skip
