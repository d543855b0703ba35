"""Sentences on a run as a whole: what its numbers rest on, what it cost, and in what proportion examples are shown."""

from __future__ import annotations

from collections.abc import Sequence

from spavl.plural import plural
from spavl.report.cost_data import StageCost
from spavl.report.data import ReportData
from spavl.report.numbers import count, percent, seconds
from spavl.report.summary_data import ExampleShare, TrainingShown
from spavl.report.verdict import axis_changes, tests_of


def basis(data: ReportData) -> str:
    """On how many items and tests the verdict rests; empty where nothing was compared.

    Args:
        data: the page.
    """
    changes = axis_changes(data)
    if not changes:
        return ""
    sizes = sorted({change.paired.n for change in changes})
    items = count(sizes[0]) if len(sizes) == 1 else f"{count(sizes[0])} to {count(sizes[-1])}"
    tests = tests_of(data)
    corrected = f"corrected for {tests} tests" if tests > 1 else "one test"
    few = " So few items show large changes at most." if sizes[0] < FEW else ""
    return f"n = {items} on an axis, the same items under both models, {corrected}.{few}"


FEW = 50
"""Items of an axis below which it is said that they are few."""


def proportions(shares: Sequence[ExampleShare]) -> str:
    """How many items of the run are of every kind, and how many of them are shown; empty where that is not known.

    Args:
        shares: of all kinds.
    """
    there = [share for share in shares if share.count]
    if not there:
        return ""
    parts: dict[str, list[str]] = {}
    for share in there:
        said = f"{share.kind} {count(share.count)} of {count(share.of)} ({percent(share.count / share.of)}; "
        parts.setdefault(share.benchmark, []).append(f"{said}{share.shown} shown)")
    whose = f"what {there[0].model} does" if there[0].model else "what the run has"
    least = ", with at least one of each kind" if all(share.shown for share in there) else ""
    named = [f"{f'on {name} ' if name else ''}{', '.join(own)}" for name, own in parts.items()]
    return f"In proportion to {whose}{least}: {'; '.join(named)}."


def cost_words(total: StageCost, trainings: Sequence[TrainingShown]) -> str:
    """What all of it took, and what an earlier run paid for.

    Args:
        total: of all stages.
        trainings: of the run.
    """
    calls = f"{plural(total.calls, 'call')} made and {count(total.stored)} answered from the store"
    parts = [f"{seconds(total.seconds)} in all", calls]
    now, earlier = total.now, total.earlier
    if now is not None and earlier is not None and total.cost:
        parts.append(f"{money(now[1])} paid now and {money(earlier[1])} earlier")
    elif total.cost:
        parts.append(f"{money(total.cost)} paid, now or earlier")
    if trainings:
        parts.append(f"{seconds(sum(one.seconds for one in trainings))} of training, whichever run paid for it")
    return f"{'; '.join(parts)}."


def money(amount: float) -> str:
    """An amount in the currency of the models' prices; what is more than nothing is never 0.00.

    Args:
        amount: the amount.
    """
    return "<\u202f0.01" if 0 < amount < 0.005 else f"{amount:,.2f}"
