"""A planted fault is named by its own finding, a clean dataset raises none, and cleaning takes out what was found."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from bench.trusting import planted_pairs as planted
from spavl.audit.not_possible import JUDGES, PROBES, TOGETHER
from spavl.cli.commands import app
from spavl.errors import RunError, SettingsError, SpavlError
from spavl.pipeline.audit import AuditRequest, audit
from spavl.progress import NoProgress

PAIRS = 600
FAULTS = {
    "flipped_labels": (planted.flipped, 0.1),
    "longer_chosen": (planted.length_hacked, 0.9),
    "source_always_chosen": (planted.one_source, 1.0),
    "contradictions": (planted.contradicted, 2 * 0.05 / 1.05),
    "duplicates": (planted.copied, 0.05 / 1.05),
    "duplicate_pictures": (planted.same_pictures, None),
}


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def audited(pairs: int = PAIRS, seed: int = 1, plant: planted.Plant | None = None):
    planted.planted_dataset(Path("train.parquet"), pairs, seed, plant)
    return audit(AuditRequest(source="train.parquet"), NoProgress())


def run(*words: str) -> tuple[int, str]:
    done = CliRunner().invoke(app, list(words), env={"COLUMNS": "300"})
    if isinstance(done.exception, SpavlError):
        raise done.exception
    return done.exit_code, " ".join(done.output.split())


@pytest.mark.parametrize("kind", FAULTS)
def test_a_planted_fault_is_named_by_its_own_finding_within_its_interval(kind: str) -> None:
    plant, share = FAULTS[kind]
    found = audited(plant=plant)
    own = [one for one in found.faults if one.kind == kind]
    follows = {"flipped_labels": {"unsafe_chosen", "bare_refusals"}, "contradictions": {"flipped_labels"},
               "longer_chosen": {"length_alone"}, "source_always_chosen": {"source_alone"}}  # fmt: skip
    assert own and {one.kind for one in found.faults} <= {kind, *follows.get(kind, ())}
    assert share is None or (own[0].rate.low <= share <= own[0].rate.high)
    assert kind.replace("_", " ") in found.verdict


@pytest.mark.parametrize("seed", [2, *(pytest.param(n, marks=pytest.mark.slow) for n in (3, 4))])
def test_a_clean_dataset_has_no_fault(seed: int) -> None:
    found = audited(seed=seed)
    assert found.faults == () and found.verdict.startswith("No fault")
    words, judges = {"likely_mislabels", "doubtful_outcomes"}, {*JUDGES, *PROBES, TOGETHER, "disputed"}
    assert set(found.not_possible) == words | judges, "words and judges say nothing here; the rest was looked at"


def test_what_a_dataset_does_not_say_is_told_and_is_no_fault() -> None:
    rows = [{"question": f"q{n}", "chosen": f"answer {n} and more", "rejected": f"other {n}"} for n in range(30)]
    Path("bare.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = audit(AuditRequest(source="bare.jsonl"), NoProgress())
    assert {"unsafe_chosen", "flipped_labels", "source_always_chosen", "bare_refusals"} <= set(found.not_possible)
    assert "chosen_safe" in found.not_possible["flipped_labels"] and "--probe" in found.not_possible["text_only"]
    assert {one.kind for one in found.faults} == {"longer_chosen", "length_alone"}


def test_rows_that_are_no_pairs_and_pictures_that_are_not_there_are_counted_and_named() -> None:
    rows = [{"question": "q", "chosen": "c", "rejected": "c"}, {"question": "q", "chosen": 7, "rejected": "r"},
            {"question": " ", "chosen": "c", "rejected": "r"},
            {"question": "q", "chosen": "c", "rejected": "r", "image": "gone.png"}]  # fmt: skip
    Path("bad.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = audit(AuditRequest(source="bad.jsonl"), NoProgress())
    suspects = pq.read_table(found.folder / "findings.parquet").to_pylist()
    assert {(one["number"], one["kind"]) for one in suspects} >= {
        (0, "same_answers"), (1, "malformed"), (2, "empty_answers"), (3, "missing_pictures"),
    }  # fmt: skip


def test_cleaning_takes_out_what_was_found_and_nothing_else() -> None:
    found = audited(plant=planted.copied)
    code, said = run("clean", "train.parquet", "--drop", "duplicates,contradictions", "--out", "cleaned")
    assert code == 0 and f"dropped {found.suspects['duplicates']}: duplicates" in said
    again = audit(AuditRequest(source="cleaned"), NoProgress())
    assert again.faults == () and again.suspects["duplicates"] == 0
    before, after = pq.read_table("train.parquet"), pq.read_table("cleaned/data/train.parquet")
    assert after.num_rows == before.num_rows - found.suspects["duplicates"]
    same = ["pair_id", "question", "chosen", "class3", "chosen_source", "chosen_safe"]
    left = {row["pair_id"]: row for row in before.select(same).to_pylist()}
    assert all(left[row["pair_id"]] == row for row in after.select(same).to_pylist())
    assert pq.read_table("cleaned/dropped.parquet").num_rows == found.suspects["duplicates"]


def test_cleaning_needs_an_audit_of_these_very_pairs_and_a_kind_that_it_has() -> None:
    with pytest.raises(RunError, match="no audit"):
        run("clean", "train.parquet", "--drop", "duplicates", "--out", "cleaned")
    audited(60)
    with pytest.raises(SettingsError, match="nonsense"):
        run("clean", "train.parquet", "--drop", "nonsense", "--out", "cleaned")
    planted.planted_dataset(Path("train.parquet"), 61, 1)
    with pytest.raises(RunError, match="changed"):
        run("clean", "train.parquet", "--drop", "duplicates", "--out", "cleaned")
    assert not Path("cleaned").exists()


def test_a_cleaned_dataset_never_replaces_the_one_it_is_made_from() -> None:
    audited(60, plant=planted.copied)
    run("clean", "train.parquet", "--drop", "duplicates", "--out", "cleaned")
    before = Path("cleaned/data/train.parquet").read_bytes()
    for source in ("cleaned", "cleaned/data", "cleaned/data/train.parquet"):
        run("audit", source, "--out", "again")
        with pytest.raises(SettingsError, match="would replace"):
            run("clean", source, "--audit", "again", "--drop", "duplicates", "--out", "cleaned")
        shutil.rmtree("again")
    assert Path("cleaned/data/train.parquet").read_bytes() == before


def test_an_audit_of_other_pairs_of_the_same_name_is_not_written_over() -> None:
    for folder in ("a", "b"):
        Path(folder).mkdir()
        planted.planted_dataset(Path(folder) / "train.parquet", 30, 1)
    run("audit", "a/train.parquet")
    before = Path("audit-train/audit.json").read_bytes()
    with pytest.raises(RunError, match=r"other pairs: a/train\.parquet"):
        run("audit", "b/train.parquet")
    assert Path("audit-train/audit.json").read_bytes() == before


def test_an_audit_is_of_all_that_rows_say() -> None:
    audited(60)
    table = pq.read_table("train.parquet")
    unsafe = pa.array([False] * table.num_rows)
    place = table.column_names.index("chosen_safe")
    pq.write_table(table.set_column(place, table.schema.field("chosen_safe"), unsafe), "train.parquet")
    with pytest.raises(RunError, match="changed"):
        run("clean", "train.parquet", "--drop", "unsafe_chosen", "--out", "cleaned")


def test_a_file_is_no_folder_to_clean_into() -> None:
    audited(60, plant=planted.copied)
    Path("file").write_text("mine")
    with pytest.raises(SettingsError, match="no cleaning made"):
        run("clean", "train.parquet", "--drop", "duplicates", "--out", "file")
    assert Path("file").read_text() == "mine"


def test_a_folder_with_other_files_is_never_written_into() -> None:
    planted.planted_dataset(Path("train.parquet"), 30, 1)
    Path("mine").mkdir()
    Path("mine/notes.txt").write_text("mine")
    with pytest.raises(RunError, match="something else"):
        run("audit", "train.parquet", "--out", "mine")
    assert [one.name for one in Path("mine").iterdir()] == ["notes.txt"]


def test_the_command_prints_findings_and_fails_only_where_it_is_asked_to() -> None:
    planted.planted_dataset(Path("train.parquet"), PAIRS, 1, planted.contradicted)
    code, said = run("audit", "train.parquet")
    assert code == 0 and "contradictions" in said and "spavl clean train.parquet" in said
    assert run("audit", "train.parquet", "--fail")[0] == 4
    assert json.loads(Path("audit-train/audit.json").read_text())["verdict"] in said
    assert Path("audit-train/audit.html").is_file()


def test_probes_without_settings_are_a_sentence() -> None:
    planted.planted_dataset(Path("train.parquet"), 30, 1)
    with pytest.raises(SettingsError, match="no settings name any"):
        run("audit", "train.parquet", "--probe", "necessity")
    with pytest.raises(SettingsError, match="no probe"):
        run("audit", "train.parquet", "--probe", "nonsense")
