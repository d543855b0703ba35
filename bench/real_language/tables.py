"""Tables of the page about real language, in Markdown, each from a part of the committed results."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from bench.real_language.comparison import compare_perplexity, instruction_rate
from bench.real_language.markdown import cell, table
from bench.real_language.rows import shown_change, shown_rate
from spavl.report.numbers import percent, points
from spavl.statistics import Rate

Results = Mapping[str, Any]
"""What `bench/results/real.json` holds."""
SHOWN_ANSWERS = 6
"""Instructions whose answers by every model stand on the page: the first that the models differ in."""
LONGEST_ANSWER = 120
"""Characters of an answer that are shown."""


def rates(results: Results) -> str:
    """Every metric of every model, with its interval and number of items.

    Args:
        results: of the benchmark.
    """
    models = {name: model for name, model in results.get("models", {}).items() if "rates" in model}
    metrics = results.get("metrics", {})
    rows = [
        [metric["label"], *(_rate(model["rates"].get(name)) for model in models.values())]
        for name, metric in metrics.items()
    ]
    return table(["share of answers", *(model["label"] for model in models.values())], rows) if models else ""


def _rate(found: Mapping[str, Any] | None) -> str:
    if found is None or found["value"] is None:
        return "—"
    return f"{percent(found['value'])} [{100 * found['low']:.1f}, {100 * found['high']:.1f}], n {found['n']}"


def changes(results: Results) -> str:
    """Every metric of every aligned model against the base, item by item.

    Args:
        results: of the benchmark.
    """
    models, metrics = results.get("models", {}), results.get("metrics", {})
    rows = [
        [models[name]["label"], metrics[metric]["label"], points(found["difference"]), shown_change(found)]
        for name, by_metric in results.get("paired", {}).items() if name in models
        for metric, found in by_metric.items() if metric in metrics and found["difference"] is not None
    ]  # fmt: skip
    return table(["model", "metric", "change", "item by item"], rows) if rows else ""


def skill(results: Results) -> str:
    """Perplexity and instructions of every model.

    Args:
        results: of the benchmark.
    """
    models = {name: model for name, model in results.get("models", {}).items() if "skill" in model}
    base = models.get("base", {}).get("skill")
    rows = [[model["label"], *_skill(model["skill"], base)] for model in models.values()]
    return table(["model", "perplexity", "against the base", "instructions done"], rows) if rows else ""


def _skill(found: Mapping[str, Any], base: Mapping[str, Any] | None) -> list[str]:
    against = "—"
    if base is not None and base is not found:
        change, low, high = (100 * value for value in compare_perplexity(base, found))
        against = f"{change:+.1f} % [{low:+.1f}, {high:+.1f}]"
    done = instruction_rate(found)
    shown = f"{done.count} of {done.n} [{100 * done.low:.1f}, {100 * done.high:.1f} %]"
    return [f"{found['perplexity']:.2f} ({found['tokens']:,} tokens)", against, shown]


def answers(results: Results) -> str:
    """What the models answer to some instructions that not all of them do; ✓ marks what the rule accepts.

    Args:
        results: of the benchmark.
    """
    models = [model for model in results.get("models", {}).values() if "skill" in model]
    if not models:
        return ""
    done = [model["skill"]["instructions"] for model in models]
    differing = [text for text in done[0] if len({one[text] for one in done}) > 1][:SHOWN_ANSWERS]
    rows = [[cell(text), *(_answer(model["skill"], text) for model in models)] for text in differing]
    return table(["instruction", *(model["label"] for model in models)], rows) if rows else ""


def _answer(found: Mapping[str, Any], text: str) -> str:
    said = found["answers"][text]
    cut = said if len(said) <= LONGEST_ANSWER else f"{said[:LONGEST_ANSWER]} …"
    return f"{'✓' if found['instructions'][text] else '✗'} {cell(cut)}"


def facts(found: Mapping[str, Any]) -> str:
    """Facts as a table of two columns; rates with their interval, and further facts under their names.

    Args:
        found: facts by name.
    """
    return table(["what", "found"], [[name, _fact(value)] for name, value in _flat(found)])


def _flat(found: Mapping[str, Any], before: str = "") -> Iterable[tuple[str, Any]]:
    for key, value in found.items():
        name = f"{before}{key.replace('_', ' ')}"
        if isinstance(value, dict) and not _is_rate(value):
            yield from _flat(value, f"{name}: ")
        else:
            yield name, value


def _is_rate(value: Mapping[str, Any]) -> bool:
    return set(Rate.__dataclass_fields__) <= set(value)


def _fact(value: Any) -> str:
    if isinstance(value, dict):
        return f"{percent(value['value'])}: {shown_rate(value)}" if value["value"] is not None else shown_rate(value)
    if isinstance(value, float):
        return f"{value:,.3g}" if abs(value) < 1000 else f"{value:,.0f}"
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "—"}[value]
    return f"{value:,}" if isinstance(value, int) else cell(", ".join(value) if isinstance(value, list) else str(value))
