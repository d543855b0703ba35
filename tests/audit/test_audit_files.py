"""What an audit leaves: `audit.json` last, nothing of its way, limits from settings, and nothing of another audit."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from bench.trusting import planted_pairs as planted
from spavl.config import AuditLimits, AuditSettings
from spavl.errors import RunError, SettingsError
from spavl.pipeline.audit import AuditRequest, audit
from spavl.pipeline.audit_files import FILE, FINDINGS, PAGE, PICTURES, commit, read_audit
from spavl.pipeline.audit_with import audit_source
from spavl.pipeline.clean import clean
from spavl.progress import NoProgress


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_a_folder_holds_three_files_beside_what_probes_sent_and_nothing_of_the_way(tmp_path: Path) -> None:
    planted.planted_dataset(Path("train.parquet"), 40, 1)
    left = Path("audit-train") / f"parts.{2**22 + 7}-{'0' * 12}.tmp"
    left.mkdir(parents=True)
    (Path("audit-train") / PICTURES).mkdir()  # of a probe that was stopped
    (Path("audit-train") / f"{FILE}.{2**22 + 7}-{'0' * 12}.tmp").write_text("{}")
    audit(AuditRequest(source="train.parquet"), NoProgress())
    assert {one.name for one in Path("audit-train").iterdir()} == {FILE, FINDINGS, PAGE, PICTURES}, (
        "what a killed one left is gone"
    )
    told = read_audit(Path("audit-train"))
    assert sum(told["suspects"].values()) == pq.read_metadata(Path("audit-train") / FINDINGS).num_rows
    assert told["facts"]["coverage"]["empty"] and told["facts"]["unsafe"][0]["chosen"]["n"] > 0
    assert told["not_possible"]["text_only"].endswith("`--probe necessity`")


@pytest.mark.parametrize("killed_at", [FINDINGS, PAGE, FILE])
def test_findings_are_never_newer_than_what_speaks_of_them(killed_at: str, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, new = Path("audit"), Path("new.parquet")
    folder.mkdir()
    for name in (FILE, FINDINGS, PAGE):
        (folder / name).write_text("old")
    new.write_text("new")
    replace = Path.replace

    def dies(self: Path, target: Path) -> Path:
        if target.name == killed_at and self.name != new.name:
            raise KeyboardInterrupt
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", dies)
    with pytest.raises(KeyboardInterrupt):
        commit(folder, new, lambda: ({"verdict": "new"}, "new"))
    assert not (folder / FILE).exists(), "there is no audit, rather than one of other findings"
    with pytest.raises(RunError, match="no audit"):
        read_audit(folder)


def test_a_page_that_cannot_be_made_leaves_the_old_audit(tmp_path: Path) -> None:
    folder = tmp_path / "audit"
    folder.mkdir()
    (folder / FILE).write_text('{"verdict": "old"}')

    def breaks() -> tuple[dict[str, str], str]:
        raise ValueError

    with pytest.raises(ValueError):
        commit(folder, tmp_path / "new.parquet", breaks)
    assert read_audit(folder) == {"verdict": "old"} and [one.name for one in folder.iterdir()] == [FILE]


def test_limits_are_settings_and_a_fault_is_one_beyond_its_own(tmp_path: Path) -> None:
    planted.planted_dataset(Path("train.parquet"), 400, 1, planted.copied)
    Path("strict.yaml").write_text("audit: {limits: {safe_rejected: 0.2, duplicates: null}, least_pairs: 1000}\n")
    kinds = {one.kind for one in _audited("strict.yaml").faults}
    assert "safe_rejected" in kinds and "duplicates" not in kinds
    assert {one.kind for one in _audited(None).faults} == {"duplicates"}
    Path("wrong.yaml").write_text("audit: {limits: {nonsense: 0.2}}\n")
    with pytest.raises(SettingsError, match="nonsense"):
        _audited("wrong.yaml")


def _audited(settings: str | None):
    return audit_source("train.parquet", out=None, limit=None, settings=Path(settings) if settings else None, probes=(),
                        sample=1, progress=NoProgress())  # fmt: skip


def test_pairs_of_several_kinds_are_dropped_once_and_counted_in_each(tmp_path: Path) -> None:
    def both(row: planted.Row, noise: object) -> list[planted.Row]:
        same = row | {"rejected": row["chosen"]} if row["image"] == 1 else row
        return [same, same | {"pair_id": f"{row['pair_id']}-again"}] if row["image"] == 1 else [same]

    planted.planted_dataset(Path("train.parquet"), 60, 1, both)
    request = AuditRequest(source="train.parquet", settings=AuditSettings(limits=AuditLimits(same_answers=None)))
    audit(request, NoProgress())
    made = clean(request, ["same_answers", "duplicates"], Path("cleaned"), NoProgress())
    assert (
        made.by_kind == {"duplicates": 3, "same_answers": 6} and made.dataset.dropped == 6 and made.dataset.kept == 57
    )
    assert json.loads(Path("cleaned/clean.json").read_text())["dropped"] == 6
