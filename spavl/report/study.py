"""The page of a study and its Markdown twin, from the same data."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from markupsafe import Markup

from spavl.plural import plural
from spavl.report.markdown import cell
from spavl.report.numbers import points, seconds
from spavl.report.page import check_report_packages, environment
from spavl.report.study_data import ClaimShown, MeasureShown, StudyShown, TrainingShown

FIRST = 4
"""Measures that are shown unfolded, one an axis before a second of any."""


def render_study(shown: StudyShown) -> str:
    """The page as HTML.

    Args:
        shown: what it shows.

    Raises:
        MissingExtra: Matplotlib is not installed.
    """
    check_report_packages()
    made = environment()
    made.globals["scale"] = _scale
    return made.get_template("study.html.j2").render(_view(shown))


def study_as_markdown(shown: StudyShown) -> str:
    """The same numbers as Markdown.

    Args:
        shown: what it shows.
    """
    made = environment().overlay(autoescape=False, finalize=_in_markdown)
    return made.get_template("study.md.j2").render(_view(shown, figures=False))


def _in_markdown(value: object) -> object:
    """A text as Markdown holds it, on one line; other values as they are."""
    return cell(value) if type(value) is str else value


def _view(shown: StudyShown, *, figures: bool = True) -> dict[str, Any]:
    ordered = _by_axis(shown.measures)
    drawn = [(measure, Markup(_figure(measure, shown)) if figures else "") for measure in ordered]
    return {
        "study": shown, "first": drawn[:FIRST], "rest": drawn[FIRST:], "spent": spent(shown.trainings),
        "seeds": len({one.seed for one in shown.trainings}),
        "curves": any(one.law and one.law.curve for one in ordered),
        "bases": any(arm.is_base for measure in ordered for arm in measure.arms),
        "against": ", ".join(dict.fromkeys(m.against for m in ordered if m.against)),
    }  # fmt: skip


def _figure(measure: MeasureShown, shown: StudyShown) -> str:
    # imported late: matplotlib is optional, and takes most of a second to import
    from spavl.report import study_figures

    return study_figures.of_measure(measure, shown.axis_label)


def _by_axis(measures: Sequence[MeasureShown]) -> list[MeasureShown]:
    """The measures, the first of every axis before the second of any."""
    seen: Counter[str] = Counter()
    ranked = []
    for measure in measures:
        ranked.append((seen[measure.axis], measure))
        seen[measure.axis] += 1
    return [measure for _, measure in sorted(ranked, key=lambda one: one[0])]


def spent(trainings: Sequence[TrainingShown]) -> str:
    """What the trainings took, in a sentence.

    Args:
        trainings: all of the study, one for each arm and seed.
    """
    distinct = {one.id: one for one in trainings}
    known = [one.seconds for one in distinct.values() if one.seconds is not None]
    new = sum(not one.reused for one in distinct.values())
    shared = len(trainings) - len(distinct)
    wanted = plural(len(trainings), "arm and seed", "arms and seeds")
    parts = [f"{plural(len(distinct), 'distinct training')} for {wanted}"]
    parts += [f"{shared} shared between arms"] if shared else []
    parts += [f"{len(distinct) - new} made before"] if new < len(distinct) else []
    return f"{'; '.join(parts)}; {seconds(sum(known))} of training in all."


def _scale(claim: ClaimShown) -> Markup:
    """The interval of a difference beside zero, as a line."""
    reach = max(abs(claim.low), abs(claim.high), 0.01) * 1.1
    left, right, dot = (50 * (1 + value / reach) for value in (claim.low, claim.high, claim.difference or 0.0))
    bounds = f"from {points(claim.low)} to {points(claim.high)}"
    label = f"{points(claim.difference or 0.0)} points, {bounds}; zero is in the middle"
    return Markup(
        '<span class="scale" role="img" aria-label="{}"><i class="zero" style="left:50%"></i>'
        '<i class="band" style="left:{:.2f}%;width:{:.2f}%"></i><i class="dot" style="left:{:.2f}%"></i></span>'
    ).format(label, left, max(right - left, 0.6), dot)
