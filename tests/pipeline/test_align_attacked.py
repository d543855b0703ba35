"""What a hostile reader did to alignment: files of several forms, other things to measure on, names that collide."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from spavl.api import PipelineRun
from spavl.errors import DataError, MissingExtra, RunError, SettingsError
from spavl.pipeline.session import Session
from spavl.progress import NoProgress
from tests.end_to_end.conftest import write_pairs
from tests.pipeline.test_trainings import contents, opened


@pytest.fixture
def place(tmp_path: Path) -> Path:
    write_pairs(tmp_path / "train.parquet", 8)
    return tmp_path


def conversations(place: Path, name: str = "held.jsonl", chosen: str = "yes .", **more: Any) -> str:
    """A file of two pairs in the form of LLaMA-Factory, text only."""
    rows = [
        {
            "conversations": [{"from": "human", "value": f"what is {number} ?"}],
            "chosen": {"from": "gpt", "value": chosen}, "rejected": {"from": "gpt", "value": "no ."}, **more,
        }
        for number in range(2)
    ]  # fmt: skip
    (place / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(place / name)


def held_out_of(run: Path, name: str = "dpo") -> int:
    return int(json.loads((run / "align" / name / "training.json").read_text())["held_out"])


def test_held_out_pairs_may_be_in_another_form_than_the_one_named_for_the_pairs(place: Path) -> None:
    table = pq.read_table(place / "train.parquet")
    both = table.append_column("instruction", table["question"])
    pq.write_table(both, place / "both.parquet")
    held_out = {"held_out_pairs": conversations(place)}
    with pytest.raises(DataError, match="the columns fit spa-vl and alpaca"):
        opened(place, validation=held_out).align(pairs=place / "both.parquet")
    data = {"form": "alpaca"}
    opened(place, validation=held_out, data=data).align(pairs=place / "both.parquet")
    assert held_out_of(place / "run") == 2
    ambiguous = {"held_out_pairs": str(place / "both.parquet")}
    opened(place, validation=ambiguous, data=data).align("second", pairs=place / "both.parquet")
    assert held_out_of(place / "run", "second") == 8, "where several fit, the one that is named"
    with pytest.raises(DataError, match="not in the form alpaca"):
        opened(place, data=data).align("third", pairs=Path(conversations(place)))


def test_a_form_and_a_preference_named_for_files_leave_the_runs_own_pairs_as_they_are(place: Path) -> None:
    (place / "run" / "dataset" / "data").mkdir(parents=True)
    shutil.copy(place / "train.parquet", place / "run" / "dataset" / "data" / "train.parquet")
    own = opened(place).align()
    assert opened(place, data={"form": None, "prefer": None}).align() == own
    assert opened(place, data={"form": "trl", "prefer": "safer"}).align("other").is_dir()


def test_held_out_pairs_that_are_left_out_are_told(place: Path) -> None:
    rows = Path(conversations(place)).read_text() + Path(conversations(place, "equal.jsonl", chosen="no .")).read_text()
    (place / "held.jsonl").write_text(rows)
    lines: list[str] = []
    run = opened(place, lines, validation={"held_out_pairs": str(place / "held.jsonl")}, data={"invalid": "skip"})
    run.align(pairs=place / "train.parquet")
    assert held_out_of(place / "run") == 2
    assert any(line.startswith("held-out pairs: skip: equal answers (2: ") for line in lines), lines


def test_a_training_measured_on_other_held_out_pairs_is_another_and_a_moved_file_is_the_same(place: Path) -> None:
    file = conversations(place)
    pairs = place / "train.parquet"
    made = opened(place, validation={"held_out_pairs": file}).align(pairs=pairs)
    moved = shutil.move(file, place / "moved.jsonl")
    before = contents(place / "run" / "align")
    assert opened(place, validation={"held_out_pairs": str(moved)}).align(pairs=pairs) == made
    assert contents(place / "run" / "align") == before
    conversations(place, "moved.jsonl", chosen="yes , it is .")
    with pytest.raises(RunError, match="another training, which is finished: the held-out pairs\n"):
        opened(place, validation={"held_out_pairs": str(moved)}).align(pairs=pairs)
    assert contents(place / "run" / "align") == before


def validated(place: Path) -> PipelineRun:
    return opened(place, validation={"every": 1, "items": 1})


def test_a_training_validated_on_other_items_is_another(place: Path) -> None:
    pairs = place / "train.parquet"
    made = validated(place).align(pairs=pairs)
    assert validated(place).align(pairs=pairs) == made
    with Session(validated(place).settings.model_copy(update={"seed": 5}), NoProgress()) as session:
        from spavl.pipeline.align import align

        with pytest.raises(RunError, match="the items of in-loop validation"):
            align(session, name="dpo", pairs=pairs, changed={"seed": 0})


def test_overrides_of_a_call_switch_validation_on(place: Path) -> None:
    changed = {"validation": {"every": 2, "items": 1}}
    made = opened(place).align(pairs=place / "train.parquet", changed=changed)
    assert len((made.parent / "validation.jsonl").read_text().splitlines()) == 2


@pytest.mark.parametrize("name", ["reward", "Reward"])
def test_ppo_is_not_trained_in_the_folder_of_its_own_reward_model(place: Path, name: str) -> None:
    run = opened(place, method="ppo")
    with pytest.raises(SettingsError, match="is the name of the reward model that PPO trains first") as error:
        run.align(name, pairs=place / "train.parquet")
    assert error.value.where == "--name" and not (place / "run" / "align").exists()


def test_ppo_beside_another_reward_model_says_how_both_are_kept(place: Path) -> None:
    opened(place, method="reward", validation={"held_out": 0.2}).align("reward", pairs=place / "train.parquet")
    before = contents(place / "run" / "align")
    with pytest.raises(RunError, match=r"held_out: 0\.2 → 0\.05") as error:
        opened(place, method="ppo").align("ppo", pairs=place / "train.parquet")
    assert "align.reward.folder" in error.value.try_ and contents(place / "run" / "align") == before


@pytest.mark.parametrize(
    ("sections", "where"),
    [
        ({"ppo": {"prompts": 2, "minibatches": 3}}, "align.ppo.prompts"),
        ({"saving": {"report_to": ["trackio"]}}, "align.saving.report_to"),
    ],
    ids=["small rounds", "no tracker"],
)
def test_what_ppo_cannot_do_is_refused_before_its_reward_model_is_trained(
    place: Path, sections: dict[str, Any], where: str
) -> None:
    with pytest.raises((SettingsError, MissingExtra)) as error:
        opened(place, method="ppo", **sections).align(pairs=place / "train.parquet")
    assert error.value.where == where and not (place / "run" / "align").exists()


def test_text_only_pairs_under_fsdp_are_refused_before_anything_is_written_also_held_out_ones(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    table = pq.read_table(place / "train.parquet").drop_columns(["image", "image_name"])
    pq.write_table(table, place / "text.parquet")
    for held_out, pairs in ((None, place / "text.parquet"), (conversations(place), place / "train.parquet")):
        with pytest.raises(SettingsError, match="pairs without a picture") as error:
            opened(place, validation={"held_out_pairs": held_out}).align(pairs=pairs)
        assert error.value.where == "FSDP"
        assert not (place / "run" / "align").exists()


@pytest.mark.parametrize("method", ["reward", "ppo"])
def test_a_loss_of_dpo_asks_nothing_of_pairs_that_another_method_trains_on(place: Path, method: str) -> None:
    more = {"method": "reward"} if method == "reward" else {
        "method": "ppo", "ppo": {"prompts": 2, "answers": 2, "max_tokens": 4},
    }  # fmt: skip
    run = opened(place, loss={"image_conditional": 1.0}, validation={"held_out": 0.5}, **more)
    made = run.align(pairs=Path(conversations(place)))
    assert made.is_dir()


def test_a_column_of_pictures_in_one_row_alone_is_read(place: Path) -> None:
    shown = pq.read_table(place / "train.parquet").to_pylist()[0]["image"]["bytes"]
    (place / "one.png").write_bytes(shown)
    rows = [
        {"prompt": "what is it ?", "chosen": "yes .", "rejected": "no ."},
        {"prompt": "what is it ?", "chosen": "yes .", "rejected": "no .", "images": ["one.png"]},
    ]
    (place / "trl.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    made = opened(place).align(pairs=place / "trl.jsonl")
    report = (made.parent / "preflight.txt").read_text()
    assert "2 pairs on 1 picture " in report and "trained on as text (1: row0-" in report


def test_a_first_row_that_is_no_pair_does_not_decide_the_form_wrongly(place: Path) -> None:
    rows = [{"question": None, "chosen": None, "rejected": None}, *conversation_rows()]
    (place / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(DataError, match="there is no `chosen`"):
        opened(place).align(pairs=place / "a.jsonl")
    assert not (place / "run" / "align").exists()


def conversation_rows() -> list[dict[str, str]]:
    return [{"question": f"what is {number} ?", "chosen": "yes .", "rejected": "no ."} for number in range(3)]


def test_pairs_of_arrow_strings_and_of_python_strings_are_one_training(place: Path) -> None:
    rows = conversation_rows()
    (place / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    pq.write_table(pa.Table.from_pylist(rows), place / "a.parquet")
    (place / "a.json").write_text(json.dumps(rows))
    made = opened(place).align(pairs=place / "a.jsonl")
    for other in ("a.parquet", "a.json"):
        assert opened(place).align(pairs=place / other) == made


def test_no_share_holds_out_every_picture(place: Path) -> None:
    made = opened(place, validation={"held_out": 0.9999}).align(pairs=place / "train.parquet")
    note = json.loads((made.parent / "training.json").read_text())
    assert (note["pairs"], note["held_out"]) == (1, 7)


def test_a_picture_without_bytes_is_told_as_such(place: Path) -> None:
    row = {**conversation_rows()[0], "image": "data:image/png;base64,@@@@"}
    (place / "a.jsonl").write_text(json.dumps(row))
    with pytest.raises(DataError, match="the cell holds no bytes of a picture"):
        opened(place).align(pairs=place / "a.jsonl")
