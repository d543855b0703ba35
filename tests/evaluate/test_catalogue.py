"""The catalogue of published benchmarks: complete, honest about licences, and the guide's table is the program's."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from spavl.cli.catalogue import catalogue_page
from spavl.cli.commands import app
from spavl.config.benchmarks import FileBenchmark, VlsuBenchmark, XsTestBenchmark
from spavl.errors import SettingsError
from spavl.evaluate.benchmark import AXES
from spavl.evaluate.loaders.catalogue import SOURCES, catalogue, refuse_licence, source_of
from spavl.evaluate.loaders.helpfulness import HELPFULNESS
from spavl.evaluate.loaders.refusals import REFUSALS
from spavl.evaluate.loaders.safety import SAFETY
from spavl.evaluate.loaders.safety.more import MORE_SAFETY
from spavl.evaluate.loaders.skills import SKILLS

GUIDE = Path(__file__).parents[2] / "docs" / "guides" / "benchmarks.md"


def test_every_loader_of_an_axis_has_a_source_and_the_other_way_round():
    loaders = dict(zip(AXES, ({**SAFETY, **MORE_SAFETY}, REFUSALS, HELPFULNESS, SKILLS), strict=True))
    for axis, sources in SOURCES.items():
        if sources:
            assert set(sources) == set(loaders[axis]), axis


def test_every_entry_says_where_it_is_got_and_what_it_may_be_used_for():
    entries = catalogue()
    assert len({entry.kind for entry in entries}) == len(entries) >= 15
    for entry in entries:
        assert entry.source.get and entry.source.licence and entry.source.sure in ("seen", "code", "documentation")
        forbids = any(word in entry.source.licence for word in ("-NC", "non-commercial", "research only"))
        assert not (forbids and entry.source.commercial), entry.kind


def test_the_guide_s_table_is_the_program_s():
    table = GUIDE.read_text("utf-8").partition("<!-- table: spavl benchmarks -->\n")[2].partition("\n<!-- end -->")[0]
    assert table == catalogue_page(catalogue()), "put the table of `catalogue_page(catalogue())` between the markers"


def test_the_command_prints_a_table_and_json():
    shown = CliRunner().invoke(app, ["benchmarks", "--axis", "over-refusal"], env={"COLUMNS": "200"})
    assert shown.exit_code == 0 and "xstest" in shown.output and "github.com/xirui-li/MOSSBench" in shown.output
    assert "pope" not in shown.output
    listed = json.loads(CliRunner().invoke(app, ["benchmarks", "--json"]).output)
    assert {
        "kind",
        "axis",
        "items",
        "title",
        "paper",
        "licence",
        "commercial",
        "training",
        "get",
        "sure",
        "counts",
    } == set(listed[0])
    assert next(one for one in listed if one["kind"] == "xstest")["items"] == 450
    wrong = CliRunner().invoke(app, ["benchmarks", "--axis", "beauty"])
    assert isinstance(wrong.exception, SettingsError) and "over-refusal" in wrong.exception.render()


def test_a_licence_that_forbids_commercial_use_is_refused_for_that_purpose_alone():
    vlsu = VlsuBenchmark(path="x")
    with pytest.raises(SettingsError, match="CC BY-NC-ND"):
        refuse_licence(vlsu, "commercial")
    refuse_licence(vlsu, "research")
    refuse_licence(vlsu, None)
    refuse_licence(XsTestBenchmark(path="x"), "commercial")
    refuse_licence(FileBenchmark(name="mine", path="x"), "commercial")
    assert source_of(FileBenchmark(name="mine", path="x")) is None
