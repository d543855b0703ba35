"""Pairs and labels from a notebook: audited, cleaned, compared, exported, imported, drawn for people, calibrated."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml

import spavl
from spavl.errors import DataError, RunError, SettingsError
from spavl.labels.record import Label
from spavl.labels.store import LabelStore
from tests.audit.pairs import dataset, row
from tests.pipeline.instant import settings_of, write_pictures
from tests.pipeline.test_calibrate import run as scored  # noqa: F401
from tests.pipeline.test_calibrate import truly_unsafe

GUIDE = Path(__file__).parents[1] / "docs" / "guides" / "python.md"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, which is the current one."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def pairs(place: Path) -> spavl.PairSet:
    """Forty pairs in a file, two of them the same and two each other's opposite."""
    rows = [row(n) for n in range(40)]
    rows[21] |= {key: rows[20][key] for key in ("image", "question", "chosen", "rejected")}
    rows[31] |= {"image": rows[30]["image"], "question": rows[30]["question"],
                 "chosen": rows[30]["rejected"], "rejected": rows[30]["chosen"]}  # fmt: skip
    dataset(place, rows)
    return spavl.open_pairs(place / "pairs.parquet")


def label_all(review: Path) -> int:
    """Let somebody label every item as it truly is; how many there are."""
    with LabelStore(review / "review.sqlite") as store:
        items = list(store.items())
        for item in items:
            outcomes = tuple("unsafe" if truly_unsafe(one.text) else "refusal" for one in item.answers)
            choice = "first" if item.kind == "pair" else None
            store.add(Label(item_id=item.item_id, annotator="ann", preference=choice, outcomes=outcomes))  # type: ignore[arg-type]
    return len(items)


def test_pairs_of_a_file_are_audited_and_cleaned_quietly(
    pairs: spavl.PairSet, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    audited = pairs.audit()
    assert audited.folder == Path("audit-pairs") and str(len(audited.faults)) in audited.verdict
    kinds = ["contradictions", "duplicates"]
    assert all(audited.suspects[kind] for kind in kinds)
    cleaned = pairs.clean(kinds, place / "clean")
    assert cleaned.dataset.kept == 40 - cleaned.dataset.dropped < 40
    with pytest.raises(SettingsError, match="no findings of the kind duplicate\n"):
        pairs.clean("duplicate", place / "other")
    assert capsys.readouterr() == ("", "")


def test_pairs_are_compared_exported_and_imported(pairs: spavl.PairSet, place: Path) -> None:
    exported = pairs.export("trl", "for-trl")
    assert exported.rows == 40 and (place / "for-trl" / "README.md").is_file()
    imported = spavl.import_pairs("for-trl", "data/theirs")
    assert imported.rows == 40 and spavl.import_pairs(Path("for-trl"), "data/theirs").was_there
    found = spavl.open_pairs(imported.folder).contamination("pairs.parquet")
    assert (found.pairs, found.shared, found.folder) == (40, 40, Path("contamination-theirs"))
    with pytest.raises(SettingsError, match="nothing to compare"):
        pairs.contamination()


def test_what_needs_settings_says_so_where_there_are_none(pairs: spavl.PairSet) -> None:
    with pytest.raises(SettingsError, match="no settings name any"):
        pairs.audit(probes=["wording"])
    with pytest.raises(SettingsError, match="no settings name any"):
        pairs.contamination(benchmarks=True)
    with pytest.raises(SettingsError, match="no probe wordings"):
        pairs.audit(probes=["wordings"])  # type: ignore[list-item]
    named = spavl.open_pairs(pairs.source, {"evaluate": {"benchmarks": [{"kind": "miniworld", "name": "m"}]}})
    with pytest.raises(SettingsError, match="No benchmark is named whose items are read from files"):
        named.contamination(benchmarks=True)


def test_a_review_of_a_run_is_drawn_labelled_and_measured(scored: spavl.run.Run) -> None:  # noqa: F811
    run = spavl.open_run(out=scored.folder)
    with pytest.raises(DataError, match="no review here"):
        run.export_labels("labels.csv")
    first = run.draw_review(300, answers=True)
    assert run.draw_review(300, answers=True) == first == scored.folder / "review" / "first"
    with pytest.raises(RunError, match="other settings"):
        run.draw_review(200, answers=True)
    count = label_all(first)
    file = scored.folder / "labels.csv"
    assert len(run.export_labels(file).labels) == count
    assert run.import_labels(file).there == count
    tasks = scored.folder / "tasks.json"
    run.export_labels(tasks, label_studio=True)
    assert len(json.loads(tasks.read_text())) == count
    assert [one.model for one in run.calibrate().rates] == ["base", "amber"]
    more = run.draw_next(50)
    assert more.name == "next" and label_all(more) == 50
    assert sum(one.corrected.labels for one in run.calibrate().rates) == count + 50
    assert run.agreement("first").report.answers == count


def test_the_example_of_the_guide_runs_from_top_to_bottom(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_pictures(place / "pictures")
    settings = settings_of(place)
    spavl.open_run(settings, allow_code=True).build()
    (place / "my.yaml").write_text(yaml.safe_dump(settings.model_dump(mode="json")))
    lines = [json.dumps({"question": f"request {n}", "chosen": "one answer", "rejected": "another"}) for n in range(9)]
    (place / "theirs.jsonl").write_text("\n".join(lines))
    (block,) = (
        one for one in re.findall(r"```python\n(.*?)```", GUIDE.read_text("utf-8"), re.S) if "import_pairs" in one
    )
    before, after = block.split("# …\n")
    names = {"spavl": spavl}
    exec(before, names)
    label_all(names["review"])  # type: ignore[arg-type]
    spavl.open_run("my.yaml").export_labels("labels.csv")
    exec(after, names)
    told = capsys.readouterr().out
    assert "0 of 9 pairs" in told and "annotator" in told and len(told.splitlines()) == 3, told
