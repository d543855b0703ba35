"""In-loop validation: a model that trains answers a few fixed items and is scored as in the evaluation.

In the miniature world its pictures are not those of the evaluation. With benchmarks from files it takes the first items
of every subset; a checkpoint chosen by them then scores a little too well in an evaluation on the same file.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, final

from spavl.config import Settings
from spavl.config.align import ValidationSettings
from spavl.config.benchmarks import MiniworldBenchmark
from spavl.errors import SettingsError
from spavl.evaluate.benchmark import Axis, Benchmark
from spavl.evaluate.item import Item
from spavl.evaluate.run import Scored, score
from spavl.evaluate.scorer import Answer
from spavl.models.base import Reply, Request
from spavl.models.calls.keys import canonical, key_of
from spavl.models.thought import split_thought
from spavl.pipeline.evaluate import limited, open_benchmarks
from spavl.pipeline.session import Session
from spavl.statistics.clusters import effective_size

if TYPE_CHECKING:
    from spavl.align.policy.policy import Policy
    from spavl.align.validation.selection import ValidationScores
    from spavl.models.backends.local_vlm import VLM

SEED_OFFSET = 1000
"""Added to the run's seed, so that validation in the miniature world shows none of the evaluation's pictures."""
AXES: tuple[Axis, ...] = ("safety", "over-refusal", "skill")
"""What is measured; each needs a benchmark with such items."""
NAMES: dict[Axis, str] = {"safety": "unsafe", "over-refusal": "over_refusal", "skill": "skill"}
"""What the share of each axis is called."""
RIGHTS: tuple[Axis, ...] = ("helpfulness", "skill")
"""Axes of which the share of good answers is told; of the others it is that of bad ones."""
IDENTITY = "panel"
"""Stands for the model in the keys that seed the sampling; changing it changes every answer."""


@final
@dataclass(frozen=True, slots=True)
class Validation:
    """In-loop validation on fixed items: a function from policy to scores."""

    benchmarks: Sequence[Benchmark]
    """The items, with how they are asked and graded."""
    batch_size: int
    """Items that are answered together."""

    def __call__(self, policy: Policy) -> ValidationScores:
        """Scores of a policy: every process lets it answer its share of the items, the first grades all answers.

        Args:
            policy: the model in training.
        """
        from spavl.align.validation.processes import of_first
        from spavl.models.backends.local_vlm import VLM

        most, features = policy.family.max_pixels, policy.features
        model = VLM(policy.model, policy.processor, "", policy.family, max_pixels=most, features=features)
        answered = [(benchmark, _answers(model, benchmark, self.batch_size)) for benchmark in self.benchmarks]
        return of_first(lambda: _scores(answered))

    @property
    def identity(self) -> str:
        """Hash of what is asked and what is expected: scores on other items are not compared with each other."""
        digest = hashlib.sha256()
        for benchmark in self.benchmarks:
            for item in benchmark.items:
                asked = [benchmark.name, item.subset, *item.answers, _request(benchmark, item).key]
                digest.update(json.dumps(asked, default=str).encode())
        return digest.hexdigest()


def make_validation(session: Session, settings: ValidationSettings) -> Validation | None:
    """In-loop validation as the settings ask for it; None where they do not.

    Args:
        session: the benchmarks' settings, and the run folder.
        settings: whether and on how many items.

    Raises:
        SettingsError: the benchmarks have no items for safety, for over-refusal, or for skill.
    """
    if settings.every is None:
        return None
    opened = open_benchmarks(session, _seed(session.settings))
    benchmarks = [limited(benchmark, settings.items) for benchmark in opened]
    covered = {m.axis for benchmark in benchmarks for m in benchmark.metrics if m.better != "neither"}
    missing = [axis for axis in AXES if axis not in covered]
    if missing:
        raise SettingsError(
            f"In-loop validation needs items for {' and '.join(missing)}, which no benchmark has",
            where="evaluate.benchmarks", try_="add a benchmark with such items, or leave out `align.validation.every`",
        )  # fmt: skip
    return Validation(benchmarks, session.settings.evaluate.batch_size)


def _scores(answered: Sequence[tuple[Benchmark, list[Answer]]]) -> ValidationScores:
    from spavl.align.validation.selection import ValidationScores

    outcomes: dict[Axis, list[bool]] = defaultdict(list)
    clusters: dict[Axis, list[str]] = defaultdict(list)
    for benchmark, answers in answered:
        for scored in score(benchmark, answers):
            for axis in _count(scored, benchmark, outcomes):
                item = scored.answer.item
                clusters[axis].append(json.dumps([benchmark.name, item.cluster, "" if item.cluster else item.item_id]))
    shares = {axis: sum(counted) / len(counted) for axis, counted in outcomes.items()}
    items = {name: effective_size([float(o) for o in outcomes[axis]], clusters[axis]) for axis, name in NAMES.items()}
    return ValidationScores(
        unsafe=shares["safety"], over_refusal=shares["over-refusal"], skill=shares["skill"], items=items
    )


def _answers(model: VLM, benchmark: Benchmark, batch_size: int) -> list[Answer]:
    from spavl.align.validation.processes import share_out

    def replies_to(requests: Sequence[Request]) -> list[Reply]:
        starts = range(0, len(requests), batch_size)
        return [reply for start in starts for reply in model.answer(requests[start : start + batch_size])]

    replies = share_out([_request(benchmark, item) for item in benchmark.items], replies_to)
    return [_answer(item, benchmark, reply) for item, reply in zip(benchmark.items, replies, strict=True)]


def _answer(item: Item, benchmark: Benchmark, reply: Reply) -> Answer:
    """The answer, its thought apart as the engine would put it."""
    thought, text = split_thought(reply.text)
    return Answer(item=item, benchmark=benchmark.name, model="validation", text=text, thought=thought,
                  status=reply.status, call="", tokens=reply.completion_tokens)  # fmt: skip


def _request(benchmark: Benchmark, item: Item) -> Request:
    """The item's request; its key seeds the sampling, so every validation samples with the same noise."""
    request = Request(benchmark.prompt_for(item), benchmark.sampling)
    return replace(request, key=key_of(canonical(request, IDENTITY)))


def _count(scored: Scored, benchmark: Benchmark, outcomes: dict[Axis, list[bool]]) -> list[Axis]:
    """Sort outcomes by axis, each by the first metric that improves in a direction: errors, or rights on `RIGHTS`.

    Returns the axes that counted.

    An unreadable verdict counts as bad, so that a guard that fails chooses no checkpoint.
    """
    counted = [m for m in benchmark.metrics if m.better != "neither" and m.name in scored.outcomes]
    first = {metric.axis: metric for metric in reversed(counted)}
    for axis, metric in first.items():
        outcome = scored.outcomes[metric.name]
        good = outcome is not None and (outcome >= 0.5) == (metric.better == "higher")
        outcomes[axis].append(good if axis in RIGHTS else not good)
    return list(first)


def _seed(settings: Settings) -> int:
    """The seed of validation's pictures."""
    generated = any(isinstance(spec, MiniworldBenchmark) for spec in settings.evaluate.benchmarks)
    return settings.seed + SEED_OFFSET if generated else settings.seed
