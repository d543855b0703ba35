"""The in-loop panel: while a model is trained, it answers a few fixed items and is scored as the examination would.

In the miniature world the panel shows other pictures than the examination. With benchmarks from files it takes the
first items of every arm; a checkpoint chosen by them is then a little flattered by an examination on the same file.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from spavl.config import Settings
from spavl.config.evaluate import MiniworldBenchmark
from spavl.errors import SettingsError
from spavl.evaluate.benchmark import Axis, Benchmark, Item
from spavl.evaluate.run import Answer, Scored, score
from spavl.models.base import Request
from spavl.models.calls.keys import canonical, key_of
from spavl.pipeline.evaluate import Task, limited, open_tasks
from spavl.pipeline.session import Session

if TYPE_CHECKING:
    from spavl.align.policy.policy import Policy
    from spavl.align.validation.selection import ValidationScores
    from spavl.models.backends.local_vlm import VLM

OTHER_PICTURES = 1000
"""Laid over the run's seed, so that the miniature world's panel shows none of the examination's pictures."""
AXES: tuple[Axis, ...] = ("safety", "over-refusal", "skill")


def make_validation(session: Session) -> Callable[[Policy], ValidationScores] | None:
    """The panel that the settings ask for; None where `align.validation.every` asks for none.

    Raises:
        SettingsError: the benchmarks have no items for safety, for over-refusal, or for skill.
    """
    if session.settings.align.validation.every is None:
        return None
    few = [
        limited(task, session.settings.align.validation.items)
        for task in open_tasks(session, _others(session.settings))
    ]
    there = {metric.axis for task in few for metric in task.benchmark.metrics}
    missing = [axis for axis in AXES if axis not in there]
    if missing:
        raise SettingsError(
            f"The panel needs items for {' and '.join(missing)}, which no benchmark has", where="evaluate.benchmarks",
            try_="add a benchmark with such items, or leave out `align.validation.every`",
        )  # fmt: skip
    return lambda policy: _validate(policy, few, session.settings.evaluate.batch_size)


def _validate(policy: Policy, few: Sequence[Task], together: int) -> ValidationScores:
    from spavl.align.validation.selection import ValidationScores
    from spavl.models.backends.local_vlm import VLM

    model = VLM(policy.model, policy.processor, "")
    outcomes: dict[Axis, list[bool]] = defaultdict(list)
    for task in few:
        answers = _answers(model, task.benchmark, together)
        for scored in score(task.benchmark, answers, scorer=task.scorer(answers)):
            _count(scored, task.benchmark, outcomes)
    shares = {axis: sum(said) / len(said) for axis, said in outcomes.items()}
    return ValidationScores(unsafe=shares["safety"], over_refusal=shares["over-refusal"], skill=shares["skill"])


def _answers(model: VLM, benchmark: Benchmark, together: int) -> list[Answer]:
    requests = [_request(benchmark, item) for item in benchmark.items]
    replies = [r for at in range(0, len(requests), together) for r in model.answer(requests[at : at + together])]
    return [
        Answer(item=item, benchmark=benchmark.name, model="panel", text=reply.text, status=reply.status, call="",
               tokens=reply.completion_tokens)
        for item, reply in zip(benchmark.items, replies, strict=True)
    ]  # fmt: skip


def _request(benchmark: Benchmark, item: Item) -> Request:
    """The item's request; its key seeds the draw, so every look draws with the same noise."""
    request = Request(benchmark.prompt_for(item), benchmark.sampling)
    return replace(request, key=key_of(canonical(request, "panel")))


def _count(scored: Scored, benchmark: Benchmark, outcomes: dict[Axis, list[bool]]) -> None:
    """A verdict that could not be read counts as the bad one: a silent guard must not choose a checkpoint."""
    axes = {metric.name: (metric.axis, metric.better) for metric in benchmark.metrics}
    for name, outcome in scored.outcomes.items():
        axis, better = axes[name]
        outcomes[axis].append(outcome if outcome is not None else better == "lower")


def _others(settings: Settings) -> int:
    """The seed of the panel's pictures."""
    drawn = any(isinstance(spec, MiniworldBenchmark) for spec in settings.evaluate.benchmarks)
    return settings.seed + OTHER_PICTURES if drawn else settings.seed
