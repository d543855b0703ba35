"""The page of an audit: self-contained, without scripts, hostile texts escaped, what may do harm closed."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from PIL import Image

from spavl.audit.facts import facts_of
from spavl.audit.finding import Finding
from spavl.config import AuditSettings
from spavl.errors import RunError
from spavl.pipeline.audit_page import audit_page, shown_findings
from spavl.pipeline.report_audit import audit_summary
from spavl.report.audit import render_audit
from spavl.report.audit_data import AuditShown, FindingShown, Suspect
from spavl.statistics.intervals import Rate, rate_of
from tests.audit.pairs import dataset, row

FAULT = Finding(
    kind="text_only", weight="fault", what="In 60.0 % of pairs the judge `one` needs no picture.",
    try_="use `spavl clean`", rate=rate_of(60, 100), limit=0.25, subject="one", pairs=60,
)  # fmt: skip
NOTE = Finding(kind="position_bias", weight="note", what="A note.", try_="", rate=rate_of(1, 100), limit=0.3)


def page(folder: Path, **suspected: str) -> str:
    """The page of an audit of forty pairs."""
    data = dataset(folder, [row(n, chosen_source="amber" if n % 3 else "birch",
                                rejected_source="birch" if n % 3 else "amber") for n in range(40)])  # fmt: skip
    return audit_page(
        data, [NOTE, FAULT], facts_of(data.rows, AuditSettings()), verdict="One fault.",
        not_possible={"wording_flips": "no judge was asked", "text_only": "no judge was asked"},
        suspected={int(number.removeprefix("n")): why for number, why in suspected.items()},
    )  # fmt: skip


def test_the_page_shows_verdict_faults_first_tables_and_pairs(tmp_path: Path) -> None:
    text = page(tmp_path, n3="It needs no picture.")
    assert '<p class="lead">One fault.</p>' in text
    assert text.index("Text only") < text.index("Position bias")
    assert "the judge <code>one</code> needs" in text and "Try: use <code>spavl clean</code>." in text
    assert "60</b> pairs named as" in text and "the line is the limit, 25" in text
    assert 'id="unsafe"' in text and 'id="wins"' in text and "cells are empty" in text
    assert "wording flips, text only</dt><dd>no judge was asked" in text
    assert "pair-3" in text and "It needs no picture." in text


def test_it_holds_no_script_and_fetches_nothing(tmp_path: Path) -> None:
    text = page(tmp_path, n2="why", n3="why")
    assert "<script" not in text and not re.search(r"(src|href)=[\"'](?!data:|#)", text)
    assert "default-src 'none'" in text and "on" not in re.findall(r"\s(on\w+)=", text)


def test_what_is_not_known_to_be_harmless_stays_closed(tmp_path: Path) -> None:
    closed, open_ = page(tmp_path, n3="why"), page(tmp_path, n2="why")
    assert "Closed answer: show" in closed and 'class="sharp blur"' in closed
    assert "Closed answer: show" not in open_ and ' blur"' not in open_ and "better answer 2" in open_


def test_hostile_texts_are_escaped_and_control_characters_spelt_out(tmp_path: Path) -> None:
    bad = "<img src=x onerror=alert(1)> `</code><script>` \x1b[2J"
    finding = replace(FAULT, what=bad, subject=bad, try_=bad)
    shown = AuditShown(dataset=bad, verdict=bad, pairs=1, findings=shown_findings([finding]), facts={bad: bad},
                       suspects=(Suspect(pair_id=bad, why=bad, question=bad, chosen=bad, rejected=bad, topic=bad,
                                         pictures=(b"no picture", tmp_path / "gone.png")),))  # fmt: skip
    text = render_audit(shown)
    assert "<img" not in text and "<script" not in text and "\x1b" not in text and "no picture" in text


def test_pictures_are_encoded_anew(tmp_path: Path) -> None:
    path = tmp_path / "one.jpg"
    Image.new("RGB", (900, 600), (9, 9, 9)).save(path, comment=b"secret")
    shown = AuditShown(dataset="d", verdict="v", pairs=1, findings=(), suspects=(
        Suspect(pair_id="p", why="w", question="q", chosen="c", rejected="r", pictures=(path,),
                benign=True),))  # fmt: skip
    assert 'width="320" height="213"' in render_audit(shown)


@pytest.mark.parametrize("rate", [Rate(None, 0.0, 1.0, 5, 5), Rate(1.0, 0.99, 1.0, 900), Rate(0.0, 0.0, 0.0, 9000)])
def test_a_band_stays_on_its_scale(rate: Rate) -> None:
    shown = FindingShown(kind="k", fault=False, what="w", rate=rate)
    assert shown.left >= 0 and shown.width > 0 and shown.left + shown.width <= 100.001


def test_a_dataset_that_says_nothing_of_its_pairs_has_findings_alone(tmp_path: Path) -> None:
    names = ("class1", "class3", "question_type", "chosen_safe", "rejected_safe", "chosen_source", "rejected_source",
             "benign", "image_id")  # fmt: skip
    bare = dict.fromkeys(names)
    data = dataset(tmp_path, [row(n, **bare) for n in range(4)])
    facts = facts_of(data.rows, AuditSettings())
    text = audit_page(data, [], facts, verdict="No fault.", suspected={1: "why"})
    assert all(f'id="{part}"' not in text for part in ("faults", "notes", "unsafe", "wins", "coverage", "not-told"))


def test_the_report_of_a_run_reads_the_audit_of_its_pairs(tmp_path: Path) -> None:
    assert audit_summary(tmp_path) is None
    (tmp_path / "audit").mkdir()
    file = tmp_path / "audit" / "audit.json"
    file.write_text(json.dumps({"verdict": "One fault.", "findings": [asdict(FAULT), asdict(NOTE)]}))
    found = audit_summary(tmp_path)
    assert found is not None and [one.kind for one in found.faults] == ["text_only"]
    assert found.faults[0].rate == FAULT.rate and [one.kind for one in found.notes] == ["position_bias"]
    file.write_text('{"findings": [{}]}')
    with pytest.raises(RunError, match="The audit cannot be read"):
        audit_summary(tmp_path)
