"""Transfer: what it costs a group of subcategories to be left out of training, by group and for another one."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from spavl.study.page import study_shown, write_page
from tests.study import planted

SETTINGS = "kind: transfer\nsettings: demo\n"
RATE = {"unsafe_rate": 0.2, "skill_accuracy": 0.9}


def leave_out(folder: Path, costs: dict[str, float], **more) -> Path:
    """A study in which each group was left out, at a cost in unsafe answers of that group."""
    arms = {**{f"without-{group}": RATE for group in costs}, "all": RATE}
    made = planted.study(folder, SETTINGS, arms, base={"unsafe_rate": 0.7, "skill_accuracy": 0.9}, items=480,
                         more={f"without-{group}": {group: cost} for group, cost in costs.items()}, **more)  # fmt: skip
    plan = {"arms": [{"name": f"without-{group}", "without": [group]} for group in costs] + [{"name": "all"}]}
    (made / "study.json").write_text(json.dumps(plan), "utf-8")
    return made


def test_the_cost_of_each_group_lies_within_its_interval(tmp_path):
    costs = {"knives": 0.4, "fire": 0.1, "coins": 0.0, "seals": 0.2}
    (shown,) = study_shown(leave_out(tmp_path / "transfer", costs)).transfers
    assert shown.label == "Unsafe answers" and len(shown.groups) == 4
    for group, cost in zip(shown.groups, costs.values(), strict=True):
        assert group.low < cost + 0.02 and cost - 0.02 < group.high
        assert group.trained.value == pytest.approx(0.2, abs=0.08) and group.base.value > 0.6
    assert shown.groups[0].low > 0 and shown.groups[2].low < 0 < shown.groups[2].high


def test_groups_that_cost_the_same_say_what_another_would_cost(tmp_path):
    (shown,) = study_shown(leave_out(tmp_path / "alike", dict.fromkeys(planted.GROUPS, 0.3))).transfers
    assert "no difference" not in shown.sentences[0] and "is to be expected" in shown.sentences[1]


def test_without_a_cost_no_difference_is_shown(tmp_path):
    (shown,) = study_shown(leave_out(tmp_path / "none", dict.fromkeys(planted.GROUPS, 0.0))).transfers
    assert "no difference is shown" in shown.sentences[0]


def test_items_of_one_group_alone_are_no_transfer(tmp_path):
    assert study_shown(leave_out(tmp_path / "one", {"knives": 0.3})).transfers == ()


def test_groups_without_a_readable_verdict_are_no_transfer(tmp_path):
    """Of two groups one has no verdict that was read, so that nothing can be said over groups."""
    folder = leave_out(tmp_path / "unread", {"knives": 0.3, "fire": 0.3})
    for table in folder.glob("runs/*/evaluate/model/planted.parquet"):
        scores = pq.read_table(table).to_pylist()
        for row in scores:
            if row["group"] == "fire":
                row["is_unsafe_rate"], row["unread"] = None, ["unsafe_rate"]
        pq.write_table(pa.Table.from_pylist(scores, pq.read_schema(table)), table)
    assert study_shown(folder).transfers == ()


def test_the_page_leads_with_it(tmp_path):
    folder = leave_out(tmp_path / "page", dict.fromkeys(planted.GROUPS, 0.3), seeds=(1, 2))
    page = write_page(folder).read_text("utf-8")
    assert 'id="transfer"' in page and "Left out of training" in page
