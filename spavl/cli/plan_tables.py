"""What `spavl check` prints: calls, tokens and money by model, time and disk by stage, and what of it is a guess."""

from __future__ import annotations

from typing import TYPE_CHECKING

from spavl.amounts import amount, duration, money, size
from spavl.cli.terminal import out, print_error, say, table
from spavl.plural import plural

if TYPE_CHECKING:
    from spavl.pipeline.benchmark_plan import BenchmarkPlan
    from spavl.pipeline.check import RunPlan
    from spavl.pipeline.estimate import Basis, CallEstimate

MOST_NAMED = 5
"""Most pictures that a plan names one by one."""
WIDE = 100
"""Columns of a terminal that has room for the kinds of the models."""
GUESS = "~"
"""Stands before a number that is a guess."""


def print_plan(plan: RunPlan) -> bool:
    """Print a plan and its problems. Returns whether there are none.

    Args:
        plan: what a settings file would do.
    """
    _print_inputs(plan)
    for one in plan.unusable[:MOST_NAMED]:
        say(f"cannot be used: {one.file}: {one.reason}")
    if plan.unusable:
        say(f"{len(plan.unusable):,} of {plural(plan.looked_at, 'picture')} looked at cannot be used; a build goes on "
            "without them.")  # fmt: skip
    say("")
    _print_calls(plan)
    say("")
    _print_stages(plan)
    say("")
    _print_totals(plan)
    for warning in plan.warnings:
        say(f"Mind: {warning}.")
    for problem in plan.problems:
        print_error(problem)
    return not plan.problems


def _print_inputs(plan: RunPlan) -> None:
    if plan.stages:
        of = f"({plan.benign:,} benign) of {plural(plan.subcategories, 'subcategory', 'subcategories')}"
        say(f"{plural(plan.pictures, 'picture')} {'as asked for' if plan.scaled else of}.")
        say(f"The dataset is made by {plan.runner}.")
        say(f"Stages: {' → '.join(plan.stages)}")
    else:
        say("No pictures are named, so no dataset is planned: benchmarks alone.")
    if plan.items:
        whom = (
            "every model that `--model` names" if plan.unnamed else "the base model and of every aligned one there is"
        )
        say(f"{plural(plan.items, 'item')} of benchmarks, asked of {whom}.")
    for benchmark in plan.benchmarks:
        _print_benchmark(benchmark)
    say(f"The store holds {plural(plan.stored, 'call')}, which are not made again.")


def _print_benchmark(one: BenchmarkPlan) -> None:
    """Items, licence, and the smallest change that would be found."""
    parts = " + ".join(f"{count:,} {subset}" for subset, count in one.items.items())
    items = sum(one.items.values())
    of = f" of {one.published:,} published" if one.published not in (None, items) else ""
    known = {True: "", False: ", no commercial use", None: ", commercial use not known"}[one.commercial]
    licence = f" Licence: {one.licence}{known}." if one.licence else ""
    say(f"{one.name}: {parts} items{of}; {_change(one)}{licence}")
    if one.without_picture:
        where = f" ({one.get})" if one.get else ""
        say(f"{one.name}: {plural(one.without_picture, 'item')} without a picture would not be asked{where}.")


def _change(one: BenchmarkPlan) -> str:
    if one.detectable >= 1:
        return f'{plural(one.counted, "item")} cannot show any change of "{one.metric}".'
    most = " or more, for items share pictures," if one.clustered else " or more"
    return (
        f'a change of {100 * one.detectable:.1f} points{most} of "{one.metric}" is found with {one.power:.0%} power'
        f" (assuming {one.discordance:.0%} of answers change)."
    )


def _print_calls(plan: RunPlan) -> None:
    """Calls, tokens and money of every stage and model."""
    kinds = out.width >= WIDE
    expects = plan.expected < plan.calls
    priced = any(one.cost for one in plan.estimates)
    head = ["stage", "model", *(["kind"] if kinds else []), "at most", *(["expected"] if expects else [])]
    head += ["tokens in", "tokens out", *([f"cost {plan.currency}".strip()] if priced else []), "time"]
    rows = []
    for one in plan.estimates:
        name = one.model if not one.use else f"{one.model} ({one.use})"
        row = [one.stage, name, *([one.kind] if kinds else []), amount(one.calls)]
        row += [*([amount(one.expected)] if expects else []), *_tokens(one)]
        row += [*([_cost(one)] if priced else []), _marked(duration(one.seconds), one.basis)]
        rows.append(row)
    tokens = [sum(one.prompt_tokens for one in plan.estimates), sum(one.completion_tokens for one in plan.estimates)]
    last = ["all", "", *([""] if kinds else []), amount(plan.calls), *([amount(plan.expected)] if expects else [])]
    last += [_sum(plan, text) for text in (*map(amount, tokens), *([money(plan.cost)] if priced else []))]
    last.append("")
    table("Calls", head, [*rows, last], right=3 if kinds else 2)


def _cost(one: CallEstimate) -> str:
    return money(one.cost) if not one.cost else _marked(money(one.cost), one.basis)


def _tokens(one: CallEstimate) -> list[str]:
    return [_marked(amount(tokens), one.basis) for tokens in (one.prompt_tokens, one.completion_tokens)]


def _print_stages(plan: RunPlan) -> None:
    """Records, time and disk of every stage."""
    rows = [
        [one.stage, amount(one.records), _marked(duration(one.seconds), one.basis), size(one.bytes)]
        for one in plan.work
    ]
    rows.append(["call store", amount(plan.expected), "", size(plan.store_bytes)])
    rows.append(["all", "", _sum(plan, duration(plan.seconds)), size(plan.bytes)])
    table("Time and disk", ["stage", "records", "time", "disk"], rows)


def _print_totals(plan: RunPlan) -> None:
    tokens = sum(one.prompt_tokens + one.completion_tokens for one in plan.estimates)
    cost = f"{_sum(plan, money(plan.cost))} {plan.currency}".strip()
    unknown = ", ".join(f"`{name}`" for name in plan.unknown_cost)
    parts = [f"{amount(plan.expected)} calls", f"{_sum(plan, amount(tokens))} tokens"]
    parts += [_sum(plan, duration(plan.seconds)), size(plan.bytes)]
    if any(one.cost for one in plan.estimates):
        parts.insert(2, f"{cost}{' and more' if unknown else ''}")
    say(f"In all: {', '.join(parts)}.")
    if unknown and any(one.cost is None and one.kind != "python" for one in plan.estimates):
        say(f"The cost is unknown of {unknown}: set `price_in` and `price_out`, or `prices`, a file of prices.")
    elif unknown:
        say(f"The cost is unknown of {unknown}: classes of your own, which say it with their answers.")
    if any(one.basis == "guess" for one in plan.estimates):
        say(f"{GUESS} is a guess, for no call of that model was measured yet.")


def _marked(text: str, basis: Basis) -> str:
    return f"{GUESS}{text}" if basis == "guess" else text


def _sum(plan: RunPlan, text: str) -> str:
    """A sum as it is printed: a guess where a part of it is one."""
    return f"{GUESS}{text}" if any(one.basis == "guess" for one in plan.estimates) else text
