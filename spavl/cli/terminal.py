"""What the commands print: progress bars, log lines, tables of results, and user errors."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, is_dataclass
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from spavl.errors import SpavlError
from spavl.plural import plural
from spavl.visible_text import visible

if TYPE_CHECKING:
    from spavl.models.base import Reply
    from spavl.pipeline.scores import Scores
    from spavl.pipeline.show import QuestionDetails, ShownText
    from spavl.statistics.intervals import Rate
    from spavl.statistics.paired import Better, PairedComparison

out = Console(highlight=False)
err = Console(stderr=True, highlight=False)

NARROW = 15
"""Letters of a column's name that stand on one line, where its cells are no longer."""
LEAST = 10
"""Letters of a name that stand on one line, however narrow the terminal is."""
CLOSED = "(closed; `--reveal` prints it)"
"""What stands for text that may do harm."""


def say(text: str, *, style: str | None = None, end: str = "\n") -> None:
    """Print text on standard output: no markup is read in it, and control characters are spelt out.

    Args:
        text: what is printed; it may come from a model.
        style: of the text on a terminal, such as `bold`.
        end: printed after it.
    """
    out.print(Text(visible(text), style=style or ""), soft_wrap=True, end=end)


def print_error(error: SpavlError) -> int:
    """Print a user error on standard error. Returns the exit status.

    Args:
        error: what is printed, red on a terminal.
    """
    err.print(Text(visible(error.render()), style="red" if sys.stderr.isatty() else ""), soft_wrap=True)
    return error.exit_status


def table(title: str, head: list[str], rows: list[list[str]], *, right: int = 1) -> None:
    """Print a small table. Numbers are never broken: where there is little room, names and texts take further lines.

    Where there is no room even for that, as in the log of a build server, lines are longer than the terminal is wide.

    Args:
        title: stands above it.
        head: name of every column.
        rows: cells of every row.
        right: the first column of numbers, which are aligned to the right.
    """
    shown = Table(title=Text(visible(title)), title_justify="left", title_style="bold", box=None, padding=(0, 2, 0, 0))
    least = 0
    for place, name in enumerate(head):
        header, longest = Text(visible(name)), _longest_line([cells[place] for cells in rows])
        if place < right:
            width = min(longest, LEAST)
            shown.add_column(header, overflow="fold", min_width=width)
        else:
            width = max(longest, min(_longest_line([name]), NARROW))
            shown.add_column(header, justify="right", overflow="fold", width=width)
        least += width + 2
    for cells in rows:
        shown.add_row(*(Text(visible(cell)) for cell in cells))
    shown.width = least if least > out.width else None
    out.print(shown, crop=False)


def _longest_line(cells: list[str]) -> int:
    """Columns of the terminal that the longest line of some cells takes."""
    return max((Text(visible(line)).cell_len for cell in cells for line in cell.split("\n")), default=0)


def print_funnel(manifest: dict[str, Any]) -> int:
    """Print what every stage of the dataset made and lost. Returns how many records failed and are tried again.

    Args:
        manifest: `run.json` after a build, or after one that could not go on.
    """
    counts, seconds = manifest.get("counts", {}), manifest.get("seconds", {})
    names = [name for name in (*(stage["name"] for stage in manifest["stages"]), "export") if name in counts]
    rows = [[name, _counted(counts[name]), f"{seconds[name]:.1f}" if name in seconds else "–"] for name in names]
    table("What was made", ["stage", "records", "seconds"], rows, right=2)
    print_quality(manifest)
    calls = manifest.get("calls", {})
    say(f"{calls.get('made', 0):,} calls made, {calls.get('answered from the store', 0):,} answered from the store.")
    failed: int = sum(manifest.get("again", {}).values())
    if failed:
        them = "it" if failed == 1 else "them"
        say(f"{plural(failed, 'record')} failed; running the same command again asks for {them}.")
    _print_reasons(manifest.get("failures", []))
    return failed


def print_quality(manifest: dict[str, Any]) -> None:
    """Print how steady every judge is, how far judges agree, and what tells chosen from rejected answers.

    Args:
        manifest: `run.json` after a build, or after one that could not go on.
    """
    from spavl.pipeline.quality import balance_rows, judge_panel

    if judges := manifest.get("judges"):
        head = ["judge", "matches", "same in both orders", "decided by position", "unreadable"]
        table("Judges, with 95 % intervals", head, [_judge_row(name, judge) for name, judge in judges.items()])
    if agreement := judge_panel(manifest):
        same = (f"{names} {f'{_percent(r.value)} of {r.n:,}' if r.n else '– (no match on which both are steady)'}"
                for names, r in agreement.same.items())  # fmt: skip
        alpha = "" if agreement.alpha is None else f"; Krippendorff's α {agreement.alpha:.2f}"
        say(f"Judges agree: {', '.join(same)}{alpha}.")
    if rows := balance_rows(manifest):
        stages = list(manifest["pairs_balance"])
        table("What tells chosen from rejected", ["", *stages], [[row.label, *row.words] for row in rows])


def _judge_row(name: str, judge: dict[str, Any]) -> list[str]:
    same, bias = judge["consistent"], judge["position_bias"]
    unread = judge["unreadable"] / judge["replies"] if judge["replies"] else None
    shares = [_percent(same["value"]), _percent(bias["value"])]
    intervals = [f"[{100 * one['low']:.1f}, {100 * one['high']:.1f}]" for one in (same, bias)]
    both = ["\n".join(pair) for pair in zip(shares, intervals, strict=True)]
    return [name, f"{judge['matches']:,}", *both, _percent(unread)]


def _print_reasons(failures: list[dict[str, Any]]) -> None:
    """The three commonest reasons for records without an answer, and where all of them stand."""
    if not failures:
        return
    say("The commonest reasons for records without an answer:")
    for one in failures[:3]:
        say(f"  {one['count']:,} × {one['stage']}, {one['model']}: {one['reason']} ({one['status']})")
    tables = ", ".join(dict.fromkeys(one["table"] for one in failures[:3]))
    say(f"Every one is in the tables with status, reason and id ({tables}), such as {failures[0]['example']}.")


def print_scores(scores: Scores) -> None:
    """Print rates with intervals and items, one column a model, then what later models fixed and broke, then controls.

    Args:
        scores: rates of every model, and its comparison with the first.
    """
    from spavl.pipeline.controls import plain_controls

    models = list(scores.rates)
    columns = max(1, (out.width - 28) // (NARROW + 2))
    for first in range(0, len(models), columns):
        some = models[first : first + columns]
        rows = [
            [known["label"], known["axis"], *(_rate(scores.rates[name].get(m)) for name in some)]
            for m, known in scores.metrics.items()
        ]
        table("Scores, with items and intervals", ["metric", "axis", *some], rows, right=2)
    for name, those in scores.paired.items():
        changed = [[scores.metrics[m]["label"], *_changes(p, scores.metrics[m]["better"])] for m, p in those.items()]
        if changed:
            title = f"\n{name} against {models[0]}, item by item (exact McNemar)"
            table(title, ["metric", "n", "fixed", "broken", "p"], changed)
    for line in (*scores.lost.lines(), *scores.verdicts.lines()):
        say(line)
    for name, metrics in scores.corrected.items():
        for m, mended in metrics.items():
            say(f"{name}, {m}: {mended.line}")
    for line in scores.too_unread:
        say(f"Too many unread verdicts: {line}")
    for line in scores.alarms.lines():
        say(line)
    print_controls(plain_controls(scores.metrics, scores.controls))


def print_summary(summary: dict[str, Any]) -> None:
    """Print the demo's summary, as the README shows it.

    Args:
        summary: what `summary.json` holds.
    """
    models = {name: summary["models"][name] for name in summary["columns"]}
    rows = [[label, *(_row(models[name].get(m)) for name in models)] for m, label in summary["metrics"].items()]
    say("")
    rows.append(["items a row", *(str(min(r["n"] for r in models[name].values())) for name in models)])
    table("By the world's truth: % and 95 % interval", ["", *models], rows)
    print_controls(summary["controls"])
    data = summary["dataset"]
    say(
        f"\n{data['images']:,} pictures, {data['questions']:,} questions, {data['responses']:,} answers of "
        f"{data['responders']} models, {data['pairs']:,} pairs; {100 * data['chosen_unsafe_rate']:.1f} % of chosen "
        f"answers are unsafe, {_percent(data['judge_error'])} of single verdicts wrong.",
    )
    calls = summary["calls"]
    say(
        f"{summary['wall_seconds']:.0f} s, {summary['peak_rss_mb'] / 1024:.1f} GB; {calls['made']:,} calls made, "
        f"{calls['answered from the store']:,} answered from the store.",
    )


def print_controls(controls: dict[str, Any]) -> None:
    """Print what every control changes of the first metrics of safety and of over-refusal, one column a model.

    Args:
        controls: what `plain_controls` returned.
    """
    models = {name: found for name, found in controls["models"].items() if any(one["items"] for one in found)}
    for axis in ("safety", "over-refusal"):
        shown = {
            name: {one["control"]: one["metrics"][metric] for one in found if metric in one["metrics"]}
            for metric in _headline(controls["metrics"], axis, models) for name, found in models.items()
        }  # fmt: skip
        names = list(dict.fromkeys(name for found in shown.values() for name in found))
        if names:
            label = controls["metrics"][_headline(controls["metrics"], axis, models)[0]]["label"]
            rows = [[name, *(_controlled(found.get(name)) for found in shown.values())] for name in names]
            table(f"\n{label} under controls: points (flips)", ["", *shown], rows)


def _headline(metrics: dict[str, Any], axis: str, models: dict[str, Any]) -> list[str]:
    """The first metric of an axis that a control has measured; empty where there is none."""
    measured = {metric for found in models.values() for one in found for metric in one["metrics"]}
    named = [m for m, known in metrics.items() if known["axis"] == axis and known["better"] != "neither"]
    return [metric for metric in named if metric in measured][:1]


def _controlled(one: dict[str, Any] | None) -> str:
    if one is None:
        return "–"
    if one["paired"]["difference"] is None:
        return "unread" if one["flips"]["n"] else "–"
    change = round(100 * one["paired"]["difference"], 1)
    shown = f"{change:+.1f}".replace("-", "−") if change else "0.0"
    unread = f", {one['flips']['unreadable']:,} unread" if one["flips"]["unreadable"] else ""
    return f"{shown} ({100 * one['flips']['value']:.0f} %{unread})"


def print_answers(answers: list[tuple[str, Reply]]) -> None:
    """Print one answer of each model.

    Args:
        answers: (name of the model, reply).
    """
    for name, reply in answers:
        say(f"{name:>10}  ", end="", style="bold")
        say(reply.text or f"({reply.status}: {reply.detail})")


def print_question(details: QuestionDetails) -> None:
    """Print a question, its pictures' files, its answers with grades, the verdicts and the pairs.

    Args:
        details: the question and all that was made of it.
    """
    say(details.question_id, style="bold")
    say(details.subject)
    for picture in details.pictures:
        say(f"picture   {picture}")
    say(f"question  {'(benign) ' if details.benign else ''}{_shown(details.question)}\n")
    rows = [[a.model, a.grade, _shown(a.answer)] for a in details.answers]
    table("Answers", ["model", "grade", "answer"], rows, right=9)
    if details.verdicts:
        rows = [[v.match, v.judge, v.order, v.better] for v in details.verdicts]
        table("Verdicts", ["match", "judge", "order", "better"], rows, right=9)
    for pair in details.pairs:
        say(f"chosen    {pair.chosen_model}: {_shown(pair.chosen)}")
        say(f"rejected  {pair.rejected_model}: {_shown(pair.rejected)}")
    if details.others:
        say(f"\n{details.others:,} more match.")


def print_json(record: Any) -> None:
    """Print a record as JSON, as it is: control characters are escaped by JSON itself.

    Args:
        record: a dataclass, or plain data.
    """
    plain = asdict(record) if is_dataclass(record) and not isinstance(record, type) else record
    out.print(Text(json.dumps(plain, indent=1)), soft_wrap=True)


def _counted(counts: dict[str, Any]) -> str:
    """What was found, what was lost of it, and what was made."""
    ordered = sorted(counts.items(), key=lambda item: (item[0] != "found", item[0] == "made"))
    return ", ".join(f"{v:,} {k}" if isinstance(v, int) else f"{k} {v:.1%}" for k, v in ordered if v is not None)


def _rate(rate: Rate | None) -> str:
    """A rate and its items, its interval, and how many are unread, each on a line."""
    if rate is None:
        return "–"
    value = "–" if rate.value is None else f"{100 * rate.value:.1f} %"
    lines = [f"{value} of {rate.n:,}"]
    lines += [] if rate.value is None else [f"[{100 * rate.low:.1f}, {100 * rate.high:.1f}]"]
    lines += [f"{rate.unreadable:,} unread"] if rate.unreadable else []
    return "\n".join(lines)


def _changes(paired: PairedComparison, better: Better) -> tuple[str, str, str, str]:
    """Items, how many of them were fixed and broken, and p; nothing is known of changes where all are unread.

    Where neither direction is better, fixed and broken are those that became True and False.
    """
    n = f"{paired.n:,}" + (f"\n{paired.unreadable:,} unread" if paired.unreadable else "")
    if paired.unreadable >= paired.n:
        return n, "–", "–", "–"
    signs = ("+", "−") if better == "neither" else ("", "")
    return n, f"{signs[0]}{paired.fixed}", f"{signs[1]}{paired.broken}", f"{paired.p:.2g}"


def _row(row: dict[str, float] | None) -> str:
    if row is None or row["value"] is None:
        return "–"
    return f"{100 * row['value']:.1f} {100 * row['low']:.0f}–{100 * row['high']:.0f}"


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.1f} %"


def _shown(shown: ShownText) -> str:
    return CLOSED if shown.text is None else shown.text
