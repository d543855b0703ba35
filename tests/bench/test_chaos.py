"""The chaos benchmark: its parts by name, and a build among faults at a small size."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.chaos import PARTS, main
from bench.faulty_builds import storm as storms
from bench.faulty_builds.builds import prepare
from tests.faults.plan import Plan
from tests.faults.process import ServerProcess


def test_an_unknown_part_is_refused_with_the_ones_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--only", "hail"])
    assert "there is no part hail; there is storm, flagged, restarts" in capsys.readouterr().err
    assert set(PARTS) == {"storm", "flagged", "restarts", "sick", "builds", "trainings"}


def test_a_storm_has_every_fault_that_is_no_answer() -> None:
    assert len(storms.KINDS) >= 70
    assert {"401", "413", "hang", "200 HTML", "finish abort", "content null"} <= set(storms.KINDS)


@pytest.mark.slow
def test_a_small_build_in_a_storm_types_every_record_and_the_next_run_asks_what_may_succeed(tmp_path: Path) -> None:
    kinds = ("500", "413", "403 moderation words", "content null", "finish abort", "200 HTML")
    with ServerProcess(tmp_path / "server", {"*": Plan(share=0.3, kinds=kinds)}) as server:
        build = prepare(tmp_path / "build", server.url, pictures=6, attempts=2, longest_wait=0.05)
        assert build.finish().status in (0, 3)
        records, first = build.records(), server.asked()
        server.replan({})
        assert build.finish().status in (0, 3)
        later = server.asked()[len(first) :]
    assert all(record["detail"] for record in records if record["status"] not in ("ok", "truncated"))
    again = {one.call for one in later} & {one.call for one in first}
    assert {one.fault for one in first if one.call in again and not one.probe} <= {
        "500", "content null", "finish abort", "200 HTML",
    }  # fmt: skip
    assert not [record for record in build.records() if record["status"] in storms.AGAIN]
