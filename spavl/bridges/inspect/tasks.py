"""Our benchmarks as tasks of Inspect: the same items, prompts, scorers and clusters."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import anyio.to_thread
from inspect_ai import Task, task
from inspect_ai.dataset import MemoryDataset, Sample
from inspect_ai.model import (
    ChatMessageAssistant,
    ChatMessageSystem,
    ChatMessageUser,
    Content,
    ContentImage,
    ContentText,
    GenerateConfig,
)
from inspect_ai.scorer import Score, Scorer, Target, mean, scorer, stderr
from inspect_ai.solver import TaskState, generate

from spavl.bridges.inspect.sessions import session_of
from spavl.errors import SettingsError
from spavl.evaluate.benchmark import Benchmark, Metric
from spavl.evaluate.item import Item
from spavl.evaluate.run import score
from spavl.evaluate.scorer import Answer
from spavl.pipeline.evaluate import open_benchmarks
from spavl.records import ImageRef, Status


@task  # type: ignore[untyped-decorator]
def spavl_benchmark(settings: str, benchmark: str = "", allow_code: bool = False) -> Task:
    """A benchmark of a settings file.

    Args:
        settings: path of the file.
        benchmark: its name; the first unless given.
        allow_code: run benchmarks of your own.

    Raises:
        SettingsError: there is none of that name.
    """
    found = {one.name: one for one in open_benchmarks(session_of(settings, allow_code))}
    name = benchmark or next(iter(found))
    if name not in found:
        raise SettingsError(f"There is no benchmark `{name}`", where=settings, try_=f"it has {', '.join(found)}")
    return as_inspect_task(found[name])


def as_inspect_task(benchmark: Benchmark) -> Task:
    """A benchmark as a task: a sample an item, answered once, scored by the benchmark's own scorers.

    Every metric is a scorer of its own, whose rate is the mean over the samples that count in it, with a standard error
    over clusters. What stands for several items at once (a unit, weights, an unweighted mean over groups) is not told
    by Inspect's means; `spavl bridge inspect` writes such rates into a log.

    Args:
        benchmark: the benchmark.

    Raises:
        SettingsError: a metric joins several items, or weighs them.
    """
    joined = [m.name for m in benchmark.metrics if m.together or m.macro or m.weight]
    plain = [m for m in benchmark.metrics if m.name not in joined]
    if not plain:
        raise SettingsError("All metrics join items, which Inspect's means cannot", where=benchmark.name,
                            try_="evaluate here, and `spavl bridge inspect RUN`")  # fmt: skip
    sampling = benchmark.sampling
    return Task(
        name=benchmark.name,
        dataset=MemoryDataset(
            [_sample(benchmark, item) for item in benchmark.items if not item.missing], benchmark.name
        ),
        solver=generate(),
        scorer=[_scorer(benchmark, metric) for metric in plain],
        config=GenerateConfig(
            temperature=sampling.temperature, top_p=sampling.top_p, max_tokens=sampling.max_tokens, seed=sampling.seed
        ),
        epochs=benchmark.samples,
        version=benchmark.protocol(),
        metadata={
            "protocol": benchmark.protocol(),
            "source": benchmark.source,
            "left_out": joined,
            "without_picture": sum(1 for item in benchmark.items if item.missing),
        },
    )


def _sample(benchmark: Benchmark, item: Item) -> Sample:
    prompt = benchmark.prompt_for(item)
    messages: list[Any] = [ChatMessageSystem(content=prompt.system)] if prompt.system else []
    for turn in prompt.turns:
        content = [*map(_picture, turn.images), ContentText(text=turn.text)]
        messages.append((ChatMessageUser if turn.role == "user" else ChatMessageAssistant)(content=content))
    return Sample(
        input=messages, target=list(filter(None, item.answers)) or "", id=item.item_id,
        metadata={"cluster": item.cluster or item.item_id, "subset": item.subset, "group": item.group,
                  "harmful": item.harmful, "benign": item.benign},
    )  # fmt: skip


def _picture(image: ImageRef) -> Content:
    return ContentImage(image=str(image.path.resolve()))


def _scorer(benchmark: Benchmark, metric: Metric) -> Scorer:
    items = {item.item_id: item for item in benchmark.items}

    @scorer(metrics=[mean(), stderr(cluster="cluster")], name=metric.name)  # type: ignore[untyped-decorator]
    def own() -> Scorer:
        async def score_sample(state: TaskState, target: Target) -> Score | None:
            item = items[str(state.sample_id)]
            if not metric.counts(item):
                return None
            return await anyio.to_thread.run_sync(_scored, benchmark, metric, item, state)

        return score_sample

    return own()


def _scored(benchmark: Benchmark, metric: Metric, item: Item, state: TaskState) -> Score:
    output = state.output
    stopped = output.stop_reason if output.choices else "stop"
    status: Status = {"max_tokens": "truncated", "content_filter": "filtered"}.get(stopped, "ok")  # type: ignore[assignment]
    given = Answer(
        item=item, benchmark=benchmark.name, model=str(state.model), text=output.completion, status=status,
        call=str((output.metadata or {}).get("call", "")), tokens=output.usage.output_tokens if output.usage else 0,
    )  # fmt: skip
    (found,) = score(replace(benchmark, items=(item,), metrics=(metric,)), [given])
    outcome = found.outcomes[metric.name]
    said = found.verdicts.get(metric.name)
    if outcome is None:
        return Score.unscored(reason=said.status if said else "unread", answer=output.completion)
    return Score(
        value=float(outcome), answer=output.completion, explanation=said.detail if said and said.detail else None
    )
