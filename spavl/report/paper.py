"""The figures of a report as files for a paper: SVG and PDF in millimetres, fonts inside, no titles."""

from __future__ import annotations

import re
from pathlib import Path
from tempfile import TemporaryDirectory

from spavl.atomic import atomic_write
from spavl.errors import RunError
from spavl.report import figures
from spavl.report.data import ReportData
from spavl.report.frontier import frontier_points
from spavl.report.heat import heat_map
from spavl.report.heat_figure import heat_figure
from spavl.report.page import measured
from spavl.report.sheet import Font, Paper, check_own
from spavl.report.verdict import axis_changes


def write_figures(data: ReportData, folder: Path, *, width_mm: float, font: Font) -> list[Path]:
    """Write every figure of a report as SVG and PDF. Returns the files.

    Args:
        data: the page.
        folder: where they are written; it is made if need be.
        width_mm: width of each, in millimetres.
        font: whether letters have serifs.

    Raises:
        RunError: the folder or a file cannot be written, or what has the name of a figure is no figure of a report.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"The folder cannot be made: {error.strerror}", where=str(folder),
                       try_="name another with `--figures`") from error  # fmt: skip
    with TemporaryDirectory() as drawn_in:
        paper = Paper(folder=Path(drawn_in), width_mm=width_mm, font=font)
        drawn = [*_of_models(data, paper), *_of_dataset(data, paper)]
        files = [file for name in drawn for file in (folder / name, (folder / name).with_suffix(".pdf"))]
        for file in files:  # all of them first, so that all are replaced or none
            check_own(file)
        for file in files:
            with atomic_write(file, what="The figure") as path:
                path.write_bytes((paper.folder / file.name).read_bytes())
    return files


def _of_models(data: ReportData, paper: Paper) -> list[str]:
    """Figures of what was measured. Returns the names of the SVG files."""
    changes, heat = axis_changes(data), heat_map(data)
    names = [figures.axes_summary(changes, data.models, paper.named("axes"))] if changes else []
    names += [figures.frontier(one, paper.named(f"safety-against-{one.axis}")) for one in frontier_points(data)]
    names += [heat_figure(heat, paper.named("subjects"))] if heat else []
    names += [figures.rates(m, data.models, paper.named(f"rate-{_slug(m.name)}")) for m in measured(data)]
    return names + [figures.curve(one, paper.named(f"training-{_slug(one.title)}")) for one in data.curves]


def _of_dataset(data: ReportData, paper: Paper) -> list[str]:
    """Figures of what was built. Returns the names of the SVG files."""
    names = []
    if data.composition:
        names.append(
            figures.composition(data.composition, data.composition_of, data.composition_by, paper.named("composition"))
        )
    if data.responders:
        names.append(figures.responders(data.responders, paper.named("responders")))
    return names


def _slug(name: str) -> str:
    """A name as part of a file's name."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "figure"
