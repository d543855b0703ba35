"""What figures are drawn on: the page, whose colours and fonts they take, or paper, in millimetres with fonts inside.

On the page Matplotlib draws in placeholder colours, each replaced by a CSS variable, so one figure serves light, dark
and print. All figures are 340 units wide, the width of a card, so that their letters have the size of the text around
them; on paper a figure is scaled as a whole to the width of a column.
"""

from __future__ import annotations

import io
import itertools
import re
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from html import escape
from pathlib import Path
from typing import Any, Literal

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.collections import Collection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.text import Annotation, Text

from spavl.atomic import atomic_write
from spavl.errors import RunError
from spavl.visible_text import visible

WIDTH = 340
"""Width of every figure, in units of its viewBox."""
LETTERS = 11
"""Size of letters, in the same units."""
CREATOR = "spavl report figure"
"""Who made a figure on paper, in the metadata of its files: by it a report knows its own."""
MM = 72 / 25.4
"""Points of a millimetre."""
NAMES = (
    "ink", "muted", "line", "base", "control", "harm", "benign", "card", "accent", "aligned-1", "aligned-2",
    "aligned-3", "aligned-4", "aligned-5", "gain", "loss",
)  # fmt: skip
"""Names of the colours, those of the variables in `palette.css`."""
PLACEHOLDERS = {name: f"#0000{16 + place:02x}" for place, name in enumerate(NAMES)}
ON_PAPER = dict(
    zip(NAMES, ("#1d2129", "#4a505c", "#d9d9d6", "#7d6233", "#666b74", "#b5473c", "#9db392", "#ffffff", "#0b6e69",
                "#0b6e69", "#4b4fa6", "#8b3d77", "#2f6da8", "#5b7a1f", "#3f7fbf", "#d98324"), strict=True)
)  # fmt: skip
"""The same on paper: those of the light page."""
Font = Literal["serif", "sans"]
FONTS: Mapping[Font, tuple[str, ...]] = {"serif": ("STIXGeneral", "DejaVu Serif"), "sans": ("DejaVu Sans",)}
"""Fonts that come with Matplotlib, so that a figure is the same on every machine."""


def _style(colours: Mapping[str, str]) -> dict[str, Any]:
    return {
        "text.parse_math": False, "font.family": "sans-serif", "font.sans-serif": ["DejaVu Sans"], "font.size": LETTERS,
        "text.color": colours["ink"], "axes.edgecolor": colours["line"], "axes.labelcolor": colours["muted"],
        "axes.spines.top": False, "axes.spines.right": False, "axes.spines.left": False, "axes.grid": True,
        "axes.grid.axis": "x", "axes.axisbelow": True, "grid.color": colours["line"], "grid.linewidth": 0.8,
        "xtick.color": colours["muted"], "ytick.color": colours["muted"], "xtick.major.size": 0,
        "ytick.major.size": 0, "xtick.minor.size": 0, "legend.frameon": False, "legend.fontsize": 10,
        "svg.fonttype": "none",
    }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Sheet:
    """The page, on which a figure is inline SVG."""

    colours: Mapping[str, str] = field(default_factory=lambda: PLACEHOLDERS)
    """Colour by name."""

    def colour(self, name: str) -> str:
        """A colour as Matplotlib draws it.

        Args:
            name: of `NAMES`.
        """
        return self.colours[name]

    @contextmanager
    def drawing(self, name: str, **style: Any) -> Iterator[None]:
        """The style in which all is drawn inside the block.

        Args:
            name: of the figure; equal figures then have equal bytes.
            style: Matplotlib's parameters that differ, with underscores for points.
        """
        own = {key.replace("_", "."): value for key, value in style.items()}
        with matplotlib.rc_context({**self.style(), **own, "svg.hashsalt": name}):
            yield

    def style(self) -> dict[str, Any]:
        """Matplotlib's parameters."""
        return _style(self.colours)

    def finish(self, figure: Figure, alt: str) -> str:
        """The SVG element of a figure, in the colours and fonts of the page, with a text for screen readers.

        Args:
            figure: drawn on this sheet.
            alt: says what it shows.
        """
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
        text = buffer.getvalue()
        text = text[text.index("<svg") :]
        text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
        text = re.sub(r"<style[^>]*>.*?</style>", "", text, flags=re.DOTALL)
        view = re.search(r'viewBox="([^"]*)"', text)
        opening = f'<svg viewBox="{view[1] if view else ""}" role="img" aria-label="{escape(visible(alt))}">'
        text = opening + text[text.index(">") + 1 :]
        text = re.sub(r"font-family: [^;\"]*;? ?", "", text)
        text = re.sub(r"(font:[^;\"]*?[\d.]+px) [^;\"]*", r"\1 var(--sans)", text)  # as Matplotlib before 3.10 wrote it
        text = re.sub(r'<g id="[^"]*"', "<g", text)
        for name, colour in self.colours.items():
            text = text.replace(colour, f"var(--{name})")
        return re.sub(r"\s*\n\s*", "\n", text).strip()


@dataclass(frozen=True, slots=True, kw_only=True)
class Paper(Sheet):
    """Paper: every figure becomes an SVG and a PDF of a given width, with all fonts inside."""

    folder: Path
    """Where the files are written."""
    name: str = "figure"
    """Name of the files, without suffix."""
    width_mm: float = 84.0
    """Width in millimetres; 84 is a column of most journals."""
    font: Font = "serif"
    """Whether letters have serifs."""
    colours: Mapping[str, str] = field(default_factory=lambda: ON_PAPER)
    """Colour by name."""
    taken: set[str] = field(default_factory=set)
    """Names of all figures so far, on this paper and those that were made of it."""

    def named(self, name: str) -> Paper:
        """The same paper for another figure.

        Args:
            name: of its files, without suffix; one that is taken gets a number.
        """
        numbered = (name if n == 1 else f"{name}-{n}" for n in itertools.count(1))
        free = next(one for one in numbered if one not in self.taken)
        self.taken.add(free)
        return replace(self, name=free)

    def style(self) -> dict[str, Any]:
        """Matplotlib's parameters."""
        family = "serif" if self.font == "serif" else "sans-serif"
        return {**_style(self.colours), "font.family": family, f"font.{family}": list(FONTS[self.font]),
                "svg.fonttype": "path", "pdf.fonttype": 42}  # fmt: skip

    def finish(self, figure: Figure, alt: str) -> str:
        """Writes both files. Returns the name of the SVG file.

        Args:
            figure: drawn on this sheet.
            alt: says what it shows; it becomes the title that both files carry as metadata.

        Raises:
            RunError: a file cannot be written, or what has its name is no figure of a report.
        """
        scale = self.width_mm * MM / (figure.get_figwidth() * 72)
        _rescale(figure, scale)
        said = {"svg": {"Date": None, "Creator": CREATOR, "Title": visible(alt)},
                "pdf": {"CreationDate": None, "Creator": CREATOR, "Producer": None, "Title": visible(alt)}}  # fmt: skip
        for kind, metadata in said.items():
            buffer = io.BytesIO()
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of letters that no font has: they are drawn as boxes
                figure.savefig(buffer, format=kind, metadata=metadata)
            file = self.folder / f"{self.name}.{kind}"
            check_own(file)
            with atomic_write(file, what="The figure") as path:
                path.write_bytes(buffer.getvalue())
        return f"{self.name}.svg"


PAGE = Sheet()
"""The page."""


def check_own(file: Path) -> None:
    """Refuse to replace a file that is no figure of a report, such as one that you drew yourself.

    Args:
        file: in whose place a figure would come.

    Raises:
        RunError: it is no figure of a report, as far as it says, or cannot be read.
    """
    try:
        own = not file.is_file() or CREATOR.encode() in file.read_bytes()
    except OSError as error:
        raise RunError(f"The figure would replace this file, which cannot be read: {error.strerror}", where=str(file),
                       try_="name another folder with `--figures`") from error  # fmt: skip
    if not own:
        raise RunError(
            "The figure would replace this file, which does not say that a report has drawn it", where=str(file),
            try_="name another folder with `--figures`, or remove the file: figures of older versions do not say so",
        )  # fmt: skip


def canvas(*, height: float, left: float, right: float, bottom: float = 24, top: float = 4) -> tuple[Figure, Axes]:
    """A figure with one pair of axes.

    Args:
        height: of the figure, in units of its viewBox, like the margins.
        left: margin.
        right: margin.
        bottom: margin.
        top: margin.
    """
    figure = Figure(figsize=(WIDTH / 72, height / 72), dpi=72)
    figure.patch.set_alpha(0)
    FigureCanvasSVG(figure)
    box = (left / WIDTH, bottom / height, 1 - (left + right) / WIDTH, 1 - (bottom + top) / height)
    axes = figure.add_axes(box)
    axes.patch.set_alpha(0)
    return figure, axes


def _rescale(figure: Figure, scale: float) -> None:
    """Make a figure so many times as large: letters, lines and marks too."""
    for text in figure.findobj(Text):
        text.set_fontsize(float(text.get_fontsize()) * scale)
        if isinstance(text, Annotation):
            text.xyann = (text.xyann[0] * scale, text.xyann[1] * scale)
    for line in figure.findobj(Line2D):
        line.set(linewidth=line.get_linewidth() * scale, markersize=line.get_markersize() * scale,
                 markeredgewidth=line.get_markeredgewidth() * scale)  # fmt: skip
    for patch in figure.findobj(Patch):
        patch.set_linewidth(patch.get_linewidth() * scale)
    for drawn in figure.findobj(Collection):
        drawn.set_linewidth([width * scale for width in np.atleast_1d(drawn.get_linewidth())])
    for axes in figure.axes:
        axes.tick_params(which="both", pad=3.5 * scale, labelsize=LETTERS * scale)
        for axis in (axes.xaxis, axes.yaxis):
            axis.labelpad *= scale
    width, height = figure.get_size_inches()
    figure.set_size_inches(width * scale, height * scale)
