"""`spavl export`: the folder, its note and card, what is refused, and the real `datasets` on every form."""

from __future__ import annotations

import json
import logging
import warnings
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from spavl.cli.commands import app
from spavl.errors import DataError, RunError, SettingsError
from spavl.pipeline.exports import FORMS, Exported, ExportRequest, export, reading_of
from spavl.preferences.dataset import content_of, open_dataset
from spavl.progress import NoProgress
from spavl.records import ImageRef, Response, Turn
from spavl.run import Run
from spavl.tables import write_table
from tests import samples
from tests.dataset.test_export import exporting, pairs_of
from tests.interchange.conversations import write_source
from tests.tiny import picture

KNOWN = {
    "class1": "A | <b> ![x](http://nowhere.example/x)", "license": "CC0", "chosen_safe": True, "rejected_safe": False,
    "chosen_source": "one", "rejected_source": "two", "weight": 0.5,
}  # fmt: skip


def source_of(folder: Path, count: int = 6) -> Path:
    return write_source(
        folder,
        [
            {"pair_id": f"p{n}", "question": f"question {n}", "chosen": "an answer", "rejected": "no",
             "images": [f"images/{n % 3}.png"], **KNOWN}
            for n in range(count)
        ],
    )  # fmt: skip


def made(tmp_path: Path, form: str, source: Path | None = None) -> Exported:
    request = ExportRequest(
        source=str(source or source_of(tmp_path / "source")), form=form, out=tmp_path / "out",
        cache=tmp_path / "cache",
    )  # fmt: skip
    return export(request, NoProgress())


@pytest.mark.parametrize("form", FORMS)
def test_datasets_loads_every_form_without_a_warning(
    form: str, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    import datasets

    rows = 12 if form == "guard" else 6
    assert made(tmp_path, form).rows == rows
    monkeypatch.setattr(logging.getLogger("datasets"), "propagate", True)
    with warnings.catch_warnings(), caplog.at_level(logging.WARNING, "datasets"):
        warnings.simplefilter("error")
        loaded = datasets.load_dataset(str(tmp_path / "out"), split="train", cache_dir=str(tmp_path / "hf"))
    assert len(loaded) == rows
    assert caplog.records == []
    first = loaded[0]
    pictures = first.get("images") or [first.get("image")]
    shown = pictures[0] if isinstance(pictures, list) else json.loads(pictures)[0]
    assert getattr(shown, "size", None) == (20, 10) or (tmp_path / "out" / shown).is_file()


def test_the_card_says_what_was_measured_and_what_is_lost(tmp_path: Path) -> None:
    source = open_dataset(source_of(tmp_path / "source"), cache=tmp_path / "cache")
    said = {"verdict": "No fault was found.", "audited": content_of(source)}
    (tmp_path / "source" / "audit.json").write_text(json.dumps(said))
    found = made(tmp_path, "spa-vl")
    card = (tmp_path / "out" / "README.md").read_text("utf-8")
    assert found.lost == ("weight", "pair_id", "class1", "chosen_source", "rejected_source", "license", "chosen_safe",
                          "rejected_safe")  # fmt: skip
    assert "chosen 0.0 %, rejected 100.0 %" in card
    assert "length alone 1.00" in card
    assert "| A \\| &lt;b> \\!\\[x\\](http://nowhere.example/x) | 6 |" in card
    assert "CC0 (6)" in card and "<image>" not in card.split("## Use")[0], "Markdown would hide it"
    assert "No fault was found." in card
    assert f"Not in this form, though the source has them: {', '.join(found.lost)}." in card
    assert "path: train.json" in card


def test_weights_that_the_trainer_does_not_read_are_named(tmp_path: Path) -> None:
    assert made(tmp_path, "ms-swift").unread == ("weight",)


def test_an_export_is_made_anew_and_nothing_of_another_is_touched(tmp_path: Path) -> None:
    made(tmp_path, "jsonl")
    assert made(tmp_path, "csv", tmp_path / "source" / "train.jsonl").form == "csv"
    assert not (tmp_path / "out" / "train.jsonl").exists()
    (tmp_path / "out" / "notes.txt").write_text("mine")
    with pytest.raises(SettingsError, match=r"notes\.txt"):
        made(tmp_path, "jsonl", tmp_path / "source" / "train.jsonl")
    (tmp_path / "out" / "notes.txt").unlink()
    (tmp_path / "out" / "images" / "mine.png").write_bytes(b"mine")
    with pytest.raises(SettingsError, match="further pictures"):
        made(tmp_path, "jsonl", tmp_path / "source" / "train.jsonl")
    assert (tmp_path / "out" / "train.csv").is_file()


def test_an_export_made_again_is_the_same_to_the_byte_so_that_a_push_sends_nothing_twice(tmp_path: Path) -> None:
    def files() -> dict[str, bytes]:
        out = tmp_path / "out"
        return {str(one.relative_to(out)): one.read_bytes() for one in out.rglob("*") if one.is_file()}

    made(tmp_path, "parquet")
    first = files()
    made(tmp_path, "parquet", tmp_path / "source" / "train.jsonl")
    assert files() == first


@pytest.mark.parametrize("form", ["csv", "trl"])
def test_an_export_that_fails_leaves_nothing_and_the_old_one_stays(form: str, tmp_path: Path) -> None:
    talk = [{"role": "user", "text": "a"}, {"role": "assistant", "text": "b"}]
    row = {"question": "q", "chosen": "a", "rejected": "b", "images": [], "earlier": talk}
    source = write_source(tmp_path / "talks", [row])
    made(tmp_path, "jsonl")
    with pytest.raises(DataError, match="no room for earlier turns"):
        made(tmp_path, form, source)
    assert (tmp_path / "out" / "train.jsonl").is_file()
    assert sorted(one.name for one in tmp_path.glob("out*")) == ["out"]


def test_an_export_never_takes_the_place_of_its_source(tmp_path: Path) -> None:
    made(tmp_path, "jsonl")
    with pytest.raises(SettingsError, match="its own source"):
        made(tmp_path, "csv", tmp_path / "out")


def test_a_foreign_folder_or_file_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("mine")
    with pytest.raises(SettingsError, match="1 entry"):
        made(tmp_path, "jsonl")
    assert (tmp_path / "out" / "thesis.txt").read_text() == "mine"


def test_an_unknown_form_is_named_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="trl-conversational"):
        made(tmp_path, "webdataset")


def test_the_held_out_split_goes_into_a_file_of_its_own(tmp_path: Path) -> None:
    made(tmp_path, "parquet")
    both = tmp_path / "both" / "data"
    both.mkdir(parents=True)
    for split in ("train", "heldout"):
        (both / f"{split}.parquet").write_bytes((tmp_path / "out" / "data" / "train.parquet").read_bytes())
    request = ExportRequest(source=str(both.parent), form="llama-factory-sharegpt", out=tmp_path / "lf",
                            cache=tmp_path / "cache")  # fmt: skip
    found = export(request, NoProgress())
    assert {name: split.rows for name, split in found.splits.items()} == {"train": 6, "heldout": 6}
    entries = json.loads((tmp_path / "lf" / "dataset_info.json").read_text())
    assert {name: entry["file_name"] for name, entry in entries.items()} == {"lf": "train.parquet"}
    assert len(open_dataset(tmp_path / "lf" / "heldout.parquet", cache=tmp_path / "cache").pairs) == 6
    assert len(open_dataset(tmp_path / "lf", cache=tmp_path / "cache").pairs) == 6


def test_the_command_says_what_was_written_left_out_and_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    row = {"question": "q", "chosen": "a", "rejected": "b", "images": [], "pair_id": "text-alone", "class1": "A"}
    good = {**row, "images": ["images/0.png"], "pair_id": "good"}
    write_source(tmp_path / "source", [row, good])
    done = CliRunner().invoke(app, ["export", "source", "--as", "spa-vl", "--out", "out"])
    assert done.exit_code == 0, done.output
    assert "train: 1 row in out/train.json" in done.output
    assert "left out, 1 row: the form has room for 1 picture (such as text-alone)" in done.output
    assert "Not in this form: pair_id, class1." in done.output
    assert "out/README.md" in done.output


def test_guard_rows_hold_the_conversation_and_the_verdict(tmp_path: Path) -> None:
    talk = [{"role": "user", "text": "look", "images": ["images/1.png"]}, {"role": "assistant", "text": "yes"}]
    row = {"pair_id": "p", "question": "q", "chosen": "a", "rejected": "b", "images": ["images/0.png"], "earlier": talk,
           "system": "be kind", "chosen_outcome": "refusal", "rejected_outcome": "unsafe", "rejected_severity": 3,
           "class1": "A"}  # fmt: skip
    unread = {**row, "pair_id": "unread", "chosen_outcome": None}
    found = made(tmp_path, "guard", write_source(tmp_path / "source", [row, unread]))
    rows = pq.read_table(tmp_path / "out" / "data" / "train.parquet").to_pylist()
    assert dict(found.splits["train"].refused) == {"no guard has a verdict on it": 1}
    assert [(one["id"], one["label"], one["verdict"], one["outcome"], one["severity"]) for one in rows] == [
        ("p#chosen", "safe", "safe", "refusal", None), ("p#rejected", "unsafe", "unsafe", "unsafe", 3),
        ("unread#rejected", "unsafe", "unsafe", "unsafe", 3),
    ]  # fmt: skip
    said = [(one["role"], [part["text"] or part["type"] for part in one["content"]]) for one in rows[0]["messages"]]
    assert said == [
        ("system", ["be kind"]), ("user", ["image", "look"]), ("assistant", ["yes"]), ("user", ["image", "q"]),
        ("assistant", ["a"]),
    ]  # fmt: skip
    assert [len(one["images"]) for one in rows] == [2, 2, 2]


def test_two_opinions_on_a_pair_are_exported_by_the_one_that_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    row = {"prompt": "q", "response_1": "first", "response_2": "second", "safer_response_id": 2,
           "more_helpful_response_id": 1}  # fmt: skip
    Path("two.jsonl").write_text(json.dumps(row))
    for prefer, chosen in (("safer", "second"), ("more_helpful", "first")):
        done = CliRunner().invoke(app, ["export", "two.jsonl", "--as", "jsonl", "--out", "out", "--prefer", prefer])
        assert done.exit_code == 0, done.output
        assert json.loads(Path("out/train.jsonl").read_text())["chosen"] == chosen
    with pytest.raises(SettingsError, match="more_helpful"):
        reading_of(None, "shorter")


def run_folder(folder: Path) -> Run:
    """A run with a table of responses, as far as an export looks at it."""
    run = Run(folder)
    (folder / "images").mkdir(parents=True)
    shown = ImageRef.of(picture(folder / "images" / "one.png"))
    asked = samples.query(images=(ImageRef(Path("images/one.png"), shown.sha256),))
    answers = [
        samples.response(asked, "amber", outcome="unsafe", safe_category="S9", severity=4),
        samples.response(asked, "birch", outcome="refusal"),
        samples.response(asked, "cedar", outcome=None),
        samples.response(asked, "doum", response=""),
    ]
    write_table(run.responses, answers, Response)
    run.replace(stages=[])
    return run


def test_the_answers_of_a_run_become_rows_for_guards(tmp_path: Path) -> None:
    run = run_folder(tmp_path / "run")
    found = made(tmp_path, "guard", run.folder)
    rows = pq.read_table(tmp_path / "out" / "data" / "train.parquet").to_pylist()
    assert [(one["source"], one["verdict"], one["severity"], one["guard"]) for one in rows] == [
        ("amber", "unsafe\nS9", 4, "guard"), ("birch", "safe", None, "guard"),
    ]  # fmt: skip
    assert rows[0]["images"][0]["bytes"] == (run.folder / "images" / "one.png").read_bytes()
    assert dict(found.splits["train"].refused) == {"no guard has a verdict on it": 1}


def test_a_run_stands_for_its_dataset_and_one_without_says_what_to_do(tmp_path: Path) -> None:
    run = run_folder(tmp_path / "run")
    with pytest.raises(RunError, match="no dataset yet"):
        made(tmp_path, "jsonl", run.folder)
    made(tmp_path, "parquet")
    (tmp_path / "out").rename(run.dataset)
    assert made(tmp_path, "jsonl", run.folder).rows == 6


def test_a_dataset_of_ours_with_earlier_turns_and_held_out_pairs_goes_to_every_form_of_many_turns(
    tmp_path: Path,
) -> None:
    run = Run(tmp_path / "run")
    pairs = pairs_of(run.folder, heldout=(1,))
    talk = (Turn("user", "look", pairs[0].query.images), Turn("assistant", "yes"))
    pairs[0] = replace(pairs[0], query=replace(pairs[0].query, images=(), earlier=talk, system="be kind"))
    exporting(pairs, folder=run.folder, out=run.dataset)
    run.replace(stages=[])
    for form in ("trl-conversational", "ms-swift", "parquet"):
        found = made(tmp_path, form, run.folder)
        assert {name: (split.rows, dict(split.refused)) for name, split in found.splits.items()} == {
            "train": (6, {}), "heldout": (2, {}),
        }  # fmt: skip
        assert found.lost == ()


def test_columns_that_nothing_reads_are_named_and_so_is_no_verdict_on_other_pairs(tmp_path: Path) -> None:
    row = {"question": "q", "chosen": "a", "rejected": "b", "images": [], "score": 3, "<b>": 1}
    source = write_source(tmp_path / "source", [row])
    (tmp_path / "source" / "audit.json").write_text(json.dumps({"verdict": "All is well.", "audited": "another"}))
    found = made(tmp_path, "csv", source)
    card = (tmp_path / "out" / "README.md").read_text("utf-8")
    assert found.unknown == ("score", "<b>")
    assert "Not read, though the source has them: score, &lt;b>." in card and "All is well." not in card


def test_a_file_of_another_in_a_folder_of_the_export_is_not_touched(tmp_path: Path) -> None:
    made(tmp_path, "parquet")
    (tmp_path / "out" / "data" / "mine.parquet").write_bytes(b"mine")
    with pytest.raises(SettingsError, match=r"data/mine\.parquet"):
        made(tmp_path, "parquet", tmp_path / "source" / "train.jsonl")


@pytest.mark.parametrize("form", ["jsonl", "csv", "spa-vl", "ms-swift", "parquet"])
def test_held_out_pairs_of_an_export_are_exported_again(form: str, tmp_path: Path) -> None:
    source = source_of(tmp_path / "source")
    (source.parent / "heldout.jsonl").write_bytes(source.read_bytes())
    for out, of in (("first", source.parent), ("second", tmp_path / "first")):
        request = ExportRequest(source=str(of), form=form, out=tmp_path / out, cache=tmp_path / "cache")
        assert {name: split.rows for name, split in export(request, NoProgress()).splits.items()} == {
            "train": 6, "heldout": 6}  # fmt: skip


def test_an_empty_answer_is_no_absent_one_and_stands_in_no_csv(tmp_path: Path) -> None:
    rows = [{"question": "q", "chosen": text, "rejected": "b", "images": []} for text in ("a", "")]
    source = write_source(tmp_path / "source", rows)
    found = made(tmp_path, "csv", source).splits["train"]
    assert found.rows == 1 and list(found.refused) == ["an answer of it is empty, which CSV does not tell from none"]
    assert made(tmp_path, "jsonl", source).rows == 2


def test_no_more_than_some_reasons_are_told_apart(tmp_path: Path) -> None:
    said = [[{"role": f"role{n}", "content": "q"}] for n in range(60)]
    rows = [{"question": "q", "chosen": one, "rejected": "b", "images": []} for one in ["a", *said]]
    found = made(tmp_path, "jsonl", write_source(tmp_path / "source", rows)).splits["train"]
    assert found.rows == 1 and len(found.refused) == 41 and found.refused["other reasons"] == 20
