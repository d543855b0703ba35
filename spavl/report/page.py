"""The report page: data and figures put into the template; no script, no outside resource, all text escaped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from spavl.atomic import write_text
from spavl.errors import MissingExtra, RunError
from spavl.report import control_phrases, numbers, phrases, summary_phrases
from spavl.report.cost_data import total_of
from spavl.report.data import Example, GroupShown, MetricShown, ModelShown, ReportData
from spavl.report.frontier import frontier_points
from spavl.report.heat import heat_map
from spavl.report.pictures import Inlined, inline
from spavl.report.tones import colour_of
from spavl.report.twins import BEGINS, MARK, as_json, as_markdown
from spavl.report.verdict import axis_changes
from spavl.statistics.intervals import Rate
from spavl.statistics.paired import PairedComparison
from spavl.visible_text import visible


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell of the table of numbers: one metric of one model."""

    model: ModelShown
    """The cell's column."""
    rate: Rate | None
    """None where the metric was not measured for the model."""
    paired: PairedComparison | None
    """Comparison with the base on the same items; None for the base itself."""
    verdict: str
    """The comparison in a few words, such as `better`; empty for the base."""


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the table of numbers: one metric."""

    metric: MetricShown
    """The row's metric."""
    figure: Markup
    """Its figure of all models, as SVG."""
    cells: tuple[Cell, ...]
    """One cell a model."""


@dataclass(frozen=True, slots=True)
class FrontierView:
    """Safety against another axis."""

    axis: str
    """The other axis."""
    across: str
    """What is counted of it."""
    figure: Markup
    """Its figure, as SVG."""


@dataclass(frozen=True, slots=True)
class Shown:
    """An example whose pictures are ready to be inlined."""

    example: Example
    """The item and its answers."""
    pictures: tuple[Inlined, ...]
    """Those that can be read."""


SUFFIXES = (".html", ".htm", ".md", ".json")
"""Of a page and its twins; any other one is part of the page's name, as in `eval.2024`."""


def check_report_packages() -> None:
    """Refuse to begin a report whose packages are not installed, before any work is done.

    Raises:
        MissingExtra: Matplotlib, of the extra `report`, is not installed.
    """
    if find_spec("matplotlib") is None:
        raise MissingExtra("The report needs matplotlib, which is not installed", try_="pip install 'spavl[report]'")


def write_report(report: ReportData, path: Path) -> Path:
    """Write the page as one self-contained HTML file, and its twins in Markdown and JSON beside it. Returns its path.

    Args:
        report: what the page shows.
        path: the file of the page; the twins have its name with `.md` and `.json`.

    Raises:
        MissingExtra: Matplotlib is not installed.
        RunError: a file cannot be written, or what has the name of a twin is none.
    """
    markdown, plain = twins_of(path)
    page = render(report)
    write_text(path, page)
    write_text(markdown, as_markdown(report))
    write_text(plain, as_json(report))
    return path


def twins_of(path: Path) -> tuple[Path, Path]:
    """The files of the twins of a page: Markdown and JSON.

    Args:
        path: the file of the page.

    Raises:
        RunError: there is a file of that name that is no report, such as your own notes.
    """
    name = path.stem if path.suffix.lower() in SUFFIXES else path.name
    twins = path.with_name(f"{name}.md"), path.with_name(f"{name}.json")
    for twin, begins in zip(twins, (MARK, BEGINS), strict=True):
        if twin == path:
            raise RunError("The page would have the name of its own twin", where=str(path),
                           try_="name the page otherwise with `--out`, such as `report.html`")  # fmt: skip
        if twin.is_file() and not _begins(twin, begins):
            raise RunError("The report's twin would replace this file, which is no report", where=str(twin),
                           try_="name the page otherwise with `--out`, such as `report.html`")  # fmt: skip
    return twins


def _begins(path: Path, begins: str) -> bool:
    """Whether a file begins with some words; however large it is, no more of it is read."""
    with path.open("rb") as file:
        return file.read(len(begins.encode())) == begins.encode()


def render(report: ReportData) -> str:
    """The page as HTML.

    Args:
        report: what the page shows.

    Raises:
        MissingExtra: Matplotlib is not installed.
    """
    check_report_packages()
    return environment().get_template("page.html.j2").render(_view(report))


def environment() -> Environment:
    """What pages are rendered with: all text escaped, control characters spelt out, a missing value an error."""
    made = Environment(
        loader=PackageLoader("spavl", "report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_spelt,
    )
    made.filters |= {
        "percent": numbers.percent,
        "interval": numbers.interval,
        "score": numbers.score,
        "span": numbers.span,
        "points": numbers.points,
        "seconds": numbers.seconds,
        "count": numbers.count,
        "p_value": numbers.p_value,
        "paired": phrases.paired_words,
        "coded": coded,
    }
    return made


def coded(text: str) -> Markup:
    """A sentence as HTML, what stands between backticks as code.

    Args:
        text: any text; it is escaped, and control characters are spelt out.
    """
    parts = [escape(visible(part)) for part in text.split("`")]
    if len(parts) % 2 == 0:
        return escape(visible(text))
    return Markup("").join(Markup("<code>{}</code>").format(part) if n % 2 else part for n, part in enumerate(parts))


def _spelt(value: object) -> object:
    """What is put into the page: of all text, whoever wrote it, control characters are spelt out."""
    return visible(value) if type(value) is str else value


def _view(report: ReportData) -> dict[str, Any]:
    # imported late: matplotlib is optional, and takes most of a second to import
    from spavl.report import figures

    changes, total = axis_changes(report), total_of(report.stages)
    return {
        "report": report, "headline": phrases.headline(report), "basis": summary_phrases.basis(report),
        "summary": Markup(figures.axes_summary(changes, report.models)) if changes else "",
        "main": phrases.main_metric(report) if report.metrics else None,
        "rows": [Row(m, Markup(figures.rates(m, report.models)), _cells(m, report)) for m in measured(report)],
        "frontiers": [FrontierView(one.axis, one.across, Markup(figures.frontier(one)))
                      for one in frontier_points(report)],
        "composition": Markup(figures.composition(report.composition, report.composition_of, report.composition_by))
        if report.composition else "",
        "controls": control_phrases.controls_view(report),
        "coverage": phrases.coverage(report.coverage) if report.coverage else "",
        "responders": Markup(figures.responders(report.responders)) if report.responders else "",
        "curves": [(curve, Markup(figures.curve(curve))) for curve in report.curves],
        "groups": _worst_first(report, report.groups),
        "asked": [model for model in report.models if any(model.name in group.rates for group in report.groups)],
        "heat": heat_map(report),
        "built": any(
            (report.funnel, report.composition, report.responders, report.judges, report.coverage, report.balance)
        ),
        "still_failing": phrases.still_failing(report) if report.groups else "",
        "examples": _examples(report.examples, report.picture_pixels),
        "proportions": summary_phrases.proportions(report.example_shares), "tones": _tones(report.models),
        "longest": max((stage.seconds for stage in report.stages), default=1.0) or 1.0,
        "total": total, "priced": any(stage.cost for stage in report.stages),
        "cost_words": summary_phrases.cost_words(total, report.trainings),
        "count": numbers.count, "money": summary_phrases.money,
        "unread": sum(rate.unreadable for model in report.models for rate in model.rates.values()),
    }  # fmt: skip


def measured(report: ReportData) -> list[MetricShown]:
    """The metrics that at least one model has, in the order of the page.

    Args:
        report: the page.
    """
    return [m for m in report.metrics if any(m.name in model.rates for model in report.models)]


def _cells(metric: MetricShown, report: ReportData) -> tuple[Cell, ...]:
    return tuple(
        Cell(
            model=model,
            rate=model.rates.get(metric.name),
            paired=model.paired.get(metric.name),
            verdict=phrases.verdict(metric, model.paired.get(metric.name), report),
        )
        for model in report.models
    )


def _examples(examples: Sequence[Example], longest: int) -> list[Shown]:
    made = ((example, [inline(path, longest) for path in example.pictures]) for example in examples)
    return [Shown(example, tuple(one for one in found if one is not None)) for example, found in made]


def _worst_first(report: ReportData, groups: Sequence[GroupShown]) -> list[GroupShown]:
    """The groups, those in which the aligned model (else the base) is worst first; as they are where none is worse."""
    if not groups:
        return []
    aligned = phrases.of_role(report, "aligned") or list(report.models)
    order = [aligned[0].name, *(model.name for model in report.models)]
    return sorted(groups, key=lambda group: group.badness(order, phrases.main_metric(report).better))


def _tones(models: Sequence[ModelShown]) -> dict[str, str]:
    """The colour class of each model's label, the same as in the figures."""
    return {model.label: colour_of(model, models) for model in models}
