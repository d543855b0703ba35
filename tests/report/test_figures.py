"""Figures of a run as a whole, on the page and on paper."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spavl.errors import RunError
from spavl.report import Curve, figures
from spavl.report.frontier import FrontierPoint, frontier_points, pareto
from spavl.report.paper import write_figures
from spavl.report.scale_figure import ScalePoint
from spavl.report.sheet import CREATOR, Paper
from spavl.report.summary_data import Validated
from spavl.report.verdict import axis_changes
from tests.report.sample import sample

RATE = st.floats(0, 1)


def point(x: float, y: float) -> FrontierPoint:
    return FrontierPoint(label="m", tone="base", x=(x, x, x), y=(y, y, y))


@given(st.lists(st.builds(point, RATE, RATE), min_size=1, max_size=30))
def test_the_front_holds_exactly_what_no_other_point_beats(found: list[FrontierPoint]) -> None:
    front = {(p.x[0], p.y[0]) for p in pareto(found)}
    for one in found:
        beaten = any(o.x[0] >= one.x[0] and o.y[0] >= one.y[0] and (o.x[0], o.y[0]) != (one.x[0], one.y[0])
                     for o in found)  # fmt: skip
        assert ((one.x[0], one.y[0]) in front) == (not beaten)


def test_trade_offs_are_of_evaluated_models_and_of_trainings_on_their_way(tmp_path: Path) -> None:
    looks = tuple(Validated(training="dpo", step=step, unsafe=(0.4, 0.3, 0.5), over_refusal=(0.1, 0.0, 0.2),
                            skill=(0.9, 0.8, 1.0)) for step in (10, 20))  # fmt: skip
    refusals, skill = frontier_points(replace(sample(tmp_path), validations=looks))
    assert [p.label for p in refusals.points if not p.trail] == ["Base", "DPO", "PPO"], "controls are no offers"
    assert [p.label for p in skill.points if p.trail] == ["dpo at step 10", "dpo at step 20"]
    assert refusals.points[-1].x == pytest.approx((0.9, 0.8, 1.0)) and refusals.points[-1].tone == "aligned-1"
    drawn = figures.frontier(refusals)
    assert 'role="img"' in drawn and "dpo at step 20 90.0\u202f% and 60.0\u202f%" in drawn
    assert "step 10 " not in drawn, "a screen reader is told the end of a training, and no step of it"


def test_the_summary_has_a_filled_dot_only_where_a_change_is_shown(tmp_path: Path) -> None:
    data = sample(tmp_path)
    changes = axis_changes(data)
    assert [c.word for c in changes] == ["better", "better", "open", "open", "kept", "kept", "open", "open"]
    drawn = figures.axes_summary(changes, data.models)
    assert drawn.count("fill: var(--aligned-1)") == 1 + 4, "one dot, and the names of DPO"
    assert "DPO, safety, unsafe answers: −46.9, −51.3 to −42.5, shown" in drawn
    few = [replace(c, shown=False) for c in changes]
    assert figures.axes_summary(few, data.models).count("fill: var(--aligned-1)") == 4


def test_a_scale_curve_says_its_points_its_fit_and_its_knee() -> None:
    points = [ScalePoint(0, 0.5, 0.45, 0.55), ScalePoint(100, 0.2, 0.1, 0.3), ScalePoint(30_000, 0.01, 0.0, 0.04)]
    drawn = figures.scale_figure(points, points, (900, 400, 2_000), name="Unsafe answers")
    assert "30k pairs 1.0\u202f% (0.0\u202f% to 4.0\u202f%); knee at 900 (400 to 2k)" in drawn
    assert "with a fitted curve" in drawn and ">knee, 900<" in drawn
    assert "without a fit" in figures.scale_figure(points, name="Unsafe answers")


def test_figures_for_a_paper_have_their_width_their_fonts_inside_and_no_title(tmp_path: Path) -> None:
    data = sample(tmp_path)
    data = replace(data, metrics=(data.metrics[0], data.metrics[4]), curves=(), responders=(), groups=data.groups[:2])
    made = write_figures(data, tmp_path / "figures", width_mm=84, font="serif")
    names = {path.name for path in made}
    assert {"axes.svg", "axes.pdf", "subjects.pdf", "rate-unsafe.svg", "safety-against-skill.pdf"} <= names
    for path in made:
        content = path.read_bytes()
        if path.suffix == ".svg":
            text = content.decode()
            width = float(re.search(r'<svg [^>]*width="([\d.]+)pt"', text)[1])  # type: ignore[index]
            assert width == pytest.approx(84 / 25.4 * 72, abs=0.01) and "<text" not in text
            assert not re.search(r"#0000[12]\d", text) and "var(--" not in text
        else:
            box = re.search(rb"/MediaBox \[ 0 0 ([\d.]+) ", content)
            assert box and float(box[1]) == pytest.approx(84 / 25.4 * 72, abs=0.01)
            fonts = set(re.findall(rb"/FontName /([\w+-]+)", content))
            assert fonts and all(b"STIX" in font or b"DejaVu" in font for font in fonts) and b"/FontFile2" in content


def test_the_same_figure_has_the_same_bytes_and_letters_as_wanted(tmp_path: Path) -> None:
    metric, *_ = sample(tmp_path).metrics
    for name in ("one", "two"):
        paper = Paper(folder=tmp_path, name=name, width_mm=120, font="sans")
        assert figures.rates(metric, sample(tmp_path).models[:1], paper) == f"{name}.svg"
    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()
    one = (tmp_path / "one.pdf").read_bytes()
    assert one == (tmp_path / "two.pdf").read_bytes() and b"DejaVu" in one


def test_no_figure_replaces_a_file_of_yours_or_another_figure(tmp_path: Path) -> None:
    paper = Paper(folder=tmp_path)
    data = sample(tmp_path)
    names = [figures.rates(data.metrics[0], data.models[:1], paper.named("rate-a-b")) for _ in range(2)]
    assert names == ["rate-a-b.svg", "rate-a-b-2.svg"]
    figures.rates(data.metrics[0], data.models[:1], Paper(folder=tmp_path).named("rate-a-b"))
    (tmp_path / "axes.svg").write_text("<svg>mine</svg>")
    with pytest.raises(RunError, match="does not say that a report has drawn it"):
        figures.rates(data.metrics[0], data.models[:1], paper.named("axes"))
    assert (tmp_path / "axes.svg").read_text() == "<svg>mine</svg>"


def test_one_file_that_is_no_figure_or_cannot_be_read_stops_all_before_any_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = sample(tmp_path)
    data = replace(data, metrics=data.metrics[:1], curves=(), responders=(), groups=data.groups[:2])
    made = write_figures(data, tmp_path / "figures", width_mm=84, font="serif")
    before = {path: path.read_bytes() for path in made}
    last = made[-1]
    last.write_bytes(before[last].replace(CREATOR.encode(), b""))  # as an older version has drawn it
    with pytest.raises(RunError, match="does not say") as caught:
        write_figures(data, tmp_path / "figures", width_mm=120, font="sans")
    assert caught.value.where == str(last) and "older versions" in caught.value.try_
    assert {path: path.read_bytes() for path in made[:-1]} == {path: before[path] for path in made[:-1]}
    read = Path.read_bytes

    def refused(path: Path) -> bytes:
        if path == last:
            raise PermissionError(13, "Permission denied")
        return read(path)

    monkeypatch.setattr(Path, "read_bytes", refused)
    with pytest.raises(RunError, match="cannot be read: Permission denied"):
        write_figures(data, tmp_path / "figures", width_mm=84, font="serif")


def test_the_names_of_a_curve_are_all_in_its_legend_and_hold_no_control_characters() -> None:
    line = ((0.0, 0.5), (10.0, 0.2))
    drawn = figures.curve(Curve(title="c", what="w", series={"_mine": line, "\x1bother": line}))
    assert ">_mine<" in drawn and ">\\x1bother<" in drawn


def test_a_folder_that_cannot_be_made_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="cannot be made"):
        write_figures(sample(tmp_path), tmp_path / "file" / "figures", width_mm=84, font="serif")
