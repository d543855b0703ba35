"""Charts: every point lies inside, round numbers span the values, and a long log is thinned but keeps its end."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from spavl.report.data import Curve
from spavl.serve.charts import HEIGHT, MOST_POINTS, WIDTH, chart_of, interval_of
from spavl.statistics.intervals import Rate

NUMBERS = st.floats(-1e6, 1e6, allow_nan=False)


@given(st.lists(NUMBERS, min_size=2, max_size=40), st.booleans())
def test_every_point_of_a_line_lies_inside_the_chart(values: list[float], banded: bool) -> None:
    points = tuple((float(step), value) for step, value in enumerate(values))
    bands = {"dpo": tuple((step, value - 1, value + 1) for step, value in points)} if banded else {}
    (line,) = (
        chart := chart_of(Curve(title="Loss", what="", series={"dpo": points}, percent=False, bands=bands))
    ).lines
    for x, y in re.findall(r"(-?[\d.e+-]+),(-?[\d.e+-]+)", line.path + line.band):
        assert 0 <= float(x) <= WIDTH and 0 <= float(y) <= HEIGHT
    heights = [y for y, _ in chart.levels]
    assert heights == sorted(heights, reverse=True) and 2 <= len(heights) <= 12


def test_a_long_log_is_thinned_and_keeps_its_end() -> None:
    points = tuple((float(step), float(step)) for step in range(100_000))
    (line,) = chart_of(Curve(title="Loss", what="", series={"dpo": points}, percent=False)).lines
    assert line.path.count(",") <= MOST_POINTS + 1 and line.last == "1e+05"


def test_a_rate_without_a_value_has_an_interval_alone() -> None:
    assert interval_of(Rate(None, 0.25, 0.75, 10, 10)) == {"low": 50.0, "high": 150.0}
    assert interval_of(Rate(0.5, 0.25, 0.75, 10))["value"] == 100.0
