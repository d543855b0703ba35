"""What the commands print: progress bars, log lines, tables of results, and user errors."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from spavl.errors import SpavlError

if TYPE_CHECKING:
    from spavl.models.base import Reply
    from spavl.pipeline.check import RunPlan
    from spavl.pipeline.evaluate import Scores
    from spavl.pipeline.show import QuestionDetails
    from spavl.records import Judgment
    from spavl.statistics.intervals import Rate
    from spavl.statistics.paired import Better, PairedComparison

out = Console(highlight=False)
err = Console(stderr=True, highlight=False)


def print_error(error: SpavlError) -> int:
    """Print a user error on standard error. Returns the exit status.

    Args:
        error: what is printed, red on a terminal.
    """
    err.print(error.render(), style="red" if sys.stderr.isatty() else None, markup=False, soft_wrap=True)
    return error.exit_status


def table(title: str, head: list[str], rows: list[list[str]], *, right: int = 1) -> None:
    """Print a small table.

    Args:
        title: stands above it.
        head: name of every column.
        rows: cells of every row.
        right: the first column of numbers, which are aligned to the right.
    """
    shown = Table(title=title, title_justify="left", title_style="bold", box=None, padding=(0, 2, 0, 0))
    for place, name in enumerate(head):
        shown.add_column(name, justify="right" if place >= right else "left", no_wrap=place == 0)
    for cells in rows:
        shown.add_row(*cells)
    out.print(shown)


def print_plan(plan: RunPlan) -> bool:
    """Print a plan and its problems. Returns whether there are none.

    Args:
        plan: what a settings file would do.
    """
    out.print(
        f"{plan.pictures:,} pictures ({plan.benign:,} benign) of {plan.subcategories} subcategories; "
        f"the store holds {plan.stored:,} calls, which are not made again. The dataset is made by {plan.runner}.",
        markup=False,
    )
    rows = [[b.stage, b.model, b.kind, f"{b.calls:,}"] for b in plan.estimates]
    out.print(f"Stages: {' → '.join(plan.stages)}", markup=False)
    rows.append(["", "", "all", f"{plan.calls:,}"])
    table("At most these calls", ["stage", "model", "kind", "calls"], rows, right=3)
    for problem in plan.problems:
        print_error(problem)
    return not plan.problems


def print_funnel(manifest: dict[str, Any]) -> int:
    """Print what every stage of the dataset made and lost. Returns how many records failed.

    Args:
        manifest: `run.json` after a build.
    """
    counts, seconds = manifest["counts"], manifest["seconds"]
    names = [*(stage["name"] for stage in manifest["stages"]), "export"]
    rows = [[name, _counted(counts[name]), f"{seconds[name]:.1f}" if name in seconds else "–"] for name in names]
    table("What was made", ["stage", "records", "seconds"], rows, right=2)
    failed: int = sum(counts[name].get("failed", 0) + counts[name].get("rejected", 0) for name in names)
    calls = manifest.get("calls", {})
    out.print(
        f"{calls.get('made', 0):,} calls made, {calls.get('answered from the store', 0):,} answered from the store."
    )
    if failed:
        out.print(
            f"{failed:,} records failed; they are in the tables with their reasons, and are tried again next time."
        )
    return failed


def print_scores(scores: Scores) -> None:
    """Print rates with intervals and items, one column a model, then what later models fixed and broke.

    Args:
        scores: rates of every model, and its comparison with the first.
    """
    models = list(scores.rates)
    rows = [
        [known["label"], known["axis"], *(_rate(scores.rates[name].get(m)) for name in models)]
        for m, known in scores.metrics.items()
    ]
    table("Scores, with intervals and items", ["metric", "axis", *models], rows, right=2)
    changed = [
        [name, scores.metrics[m]["label"], *_changes(p, scores.metrics[m]["better"]), f"{p.p:.2g}"]
        for name, those in scores.paired.items()
        for m, p in those.items()
    ]
    if changed:
        title = f"Against {models[0]}, item by item (exact McNemar)"
        table(title, ["model", "metric", "fixed", "broken", "p"], changed, right=2)
    for line in scores.failures.lines():
        out.print(line, markup=False, soft_wrap=True)


def print_summary(summary: dict[str, Any]) -> None:
    """Print the demo's summary, as the README shows it.

    Args:
        summary: what `summary.json` holds.
    """
    models = {name: summary["models"][name] for name in summary["columns"]}
    rows = [[label, *(_row(models[name].get(m)) for name in models)] for m, label in summary["metrics"].items()]
    out.print()
    rows.append(["items a row", *(str(min(r["n"] for r in models[name].values())) for name in models)])
    table("By the world's truth: % and 95 % interval", ["", *models], rows)
    data = summary["dataset"]
    out.print(
        f"\n{data['images']:,} pictures, {data['questions']:,} questions, {data['responses']:,} answers of "
        f"{data['responders']} models, {data['pairs']:,} pairs; {100 * data['chosen_unsafe_rate']:.1f} % of chosen "
        f"answers are unsafe, {_percent(data['judge_error'])} of single verdicts wrong.",
        markup=False,
    )
    calls = summary["calls"]
    out.print(
        f"{summary['wall_seconds']:.0f} s, {summary['peak_rss_mb'] / 1024:.1f} GB; {calls['made']:,} calls made, "
        f"{calls['answered from the store']:,} answered from the store.",
        markup=False,
    )


def print_answers(answers: list[tuple[str, Reply]]) -> None:
    """Print one answer of each model.

    Args:
        answers: (name of the model, reply).
    """
    for name, reply in answers:
        out.print(f"{name:>10}  ", end="", style="bold", markup=False)
        out.print(reply.text or f"({reply.status}: {reply.detail})", markup=False)


def print_question(details: QuestionDetails, *, reveal: bool) -> None:
    """Print a question, its picture's file, its answers with grades, the verdicts and the pairs.

    Args:
        details: the question and all that was made of it.
        reveal: print answers graded unsafe in full.
    """
    q = details.query
    out.print(f"{q.query_id}", style="bold", markup=False)
    out.print(f"{q.image.topic.class1} / {q.image.topic.class2} / {q.image.topic.class3}", markup=False)
    out.print(f"picture   {details.picture}{'  (benign)' if q.image.benign else ''}", markup=False)
    out.print(f"question  {q.question}\n", markup=False)
    rows = [[r.responder, _grade(r.safe), _shown(r.response, r.safe, reveal)] for r in details.responses]
    table("Answers", ["responder", "grade", "answer"], rows, right=9)
    verdicts = [[f"{j.match.a_responder} ~ {j.match.b_responder}", j.order, _winner(j)] for j in details.judgments]
    table("Verdicts", ["match", "order", "better"], verdicts, right=9)
    for pair in details.pairs:
        out.print(f"chosen    {pair.chosen_source}: {_shown(pair.chosen, pair.chosen_safe, reveal)}", markup=False)
        out.print(
            f"rejected  {pair.rejected_source}: {_shown(pair.rejected, pair.rejected_safe, reveal)}", markup=False
        )
    if details.others:
        out.print(f"\n{details.others:,} more questions match.", markup=False)


def _counted(counts: dict[str, Any]) -> str:
    return ", ".join(f"{v:,} {k}" if isinstance(v, int) else f"{k} {v:.1%}" for k, v in counts.items() if v is not None)


def _rate(rate: Rate | None) -> str:
    if rate is None:
        return "–"
    of = f"of {rate.n:,}" + (f", {rate.unreadable:,} unread" if rate.unreadable else "")
    shown = "–" if rate.value is None else f"{100 * rate.value:.1f} % [{100 * rate.low:.1f}, {100 * rate.high:.1f}]"
    return f"{shown} {of}"


def _changes(paired: PairedComparison, better: Better) -> tuple[str, str]:
    """Items fixed and broken; where neither direction is better, those that became True and False."""
    signs = ("+", "−") if better == "neither" else ("", "")
    return f"{signs[0]}{paired.fixed}", f"{signs[1]}{paired.broken}"


def _row(row: dict[str, float] | None) -> str:
    if row is None or row["value"] is None:
        return "–"
    return f"{100 * row['value']:.1f} {100 * row['low']:.0f}–{100 * row['high']:.0f}"


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.1f} %"


def _grade(safe: bool | None) -> str:
    return {True: "safe", False: "unsafe", None: "–"}[safe]


def _shown(text: str, safe: bool | None, reveal: bool) -> str:
    return text if reveal or safe is not False else "(graded unsafe; `--reveal` prints it)"


def _winner(judgment: Judgment) -> str:
    names = {"a": judgment.match.a_responder, "b": judgment.match.b_responder, "tie": "neither", None: "unreadable"}
    return names[judgment.winner]
