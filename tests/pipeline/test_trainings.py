"""Trainings of a run: named, kept by content, listed when they are done, and scored under the weights that they are."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from safetensors.torch import load_file, save_file

import spavl
from spavl.api import PipelineRun
from spavl.errors import DataError, ModelError, RunError, SettingsError
from spavl.pipeline.align import align
from spavl.pipeline.session import Session
from spavl.pipeline.show import try_models
from spavl.pipeline.weights import CHANGED, GONE, stale_scores, trainings
from spavl.progress import NoProgress
from spavl.run import Run
from tests import processes
from tests.end_to_end.conftest import environment, write_pairs
from tests.tiny import picture

AMBER = Path(str(spavl.__path__[0])) / "data" / "miniworld" / "responders" / "amber"


def opened(place: Path, lines: list[str] | None = None, **align: Any) -> PipelineRun:
    """A run in `place` whose trainings take a second."""
    tree = {
        "out": str(place / "run"), "store": str(place / "calls.sqlite"),
        "align": {
            "model": "miniworld:base", "freeze": {"rank": 4, "alpha": 8, "projector": "frozen"},
            "optimiser": {"learning_rate": 1e-2, "max_steps": 2}, "batching": {"pairs": 4},
            "machine": {"device": "cpu", "pairs_cache": str(place / "pairs")},
            "reference": {"cache": str(place / "reference")}, **align,
        },
        "evaluate": {"benchmarks": [{"kind": "miniworld", "per_subset": 1}]},
    }  # fmt: skip

    class Lines(NoProgress):
        def log(self, line: str) -> None:
            (lines if lines is not None else []).append(line)

    return spavl.open_run(tree, progress=Lines())


@pytest.fixture
def place(tmp_path: Path) -> Path:
    write_pairs(tmp_path / "train.parquet", 8)
    return tmp_path


def contents(folder: Path) -> dict[str, int]:
    """Every file with the time of its last change; who holds the folder is no part of it."""
    files = [path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("run.holder")]
    return {str(path.relative_to(folder)): path.stat().st_mtime_ns for path in files}


@pytest.mark.parametrize(
    "name",
    [
        "../../evil",
        "..",
        ".",
        "/tmp/evil",
        "a/b",
        "a\\b",
        ".hidden",
        "con",
        "NUL.txt",
        "ends.",
        "",
        "ä",
        "x" * 101,
        "-x",
    ],
)
def test_a_name_that_is_no_folder_of_its_own_is_refused_and_nothing_is_written(place: Path, name: str) -> None:
    run = opened(place)
    with pytest.raises(SettingsError, match="cannot be the name of a training") as error:
        _align(run, place, name)
    assert error.value.where == "--name"
    assert not (place / "run" / "align").exists() and not (place / "evil").exists() and not Path("/tmp/evil").exists()


def _align(run: PipelineRun, place: Path, name: str) -> Path:
    """`run.align` under any name, the empty one too."""
    with Session(run.settings, NoProgress()) as session:
        return align(session, name=name, pairs=place / "train.parquet")


def test_names_of_other_models_are_refused(place: Path) -> None:
    with pytest.raises(SettingsError, match="`base` is the name of another model"):
        opened(place).align("base", pairs=place / "train.parquet")


def test_another_setting_is_refused_and_nothing_of_the_run_changes_until_its_replacement_is_asked_for(
    place: Path,
) -> None:
    file = place / "train.parquet"
    made = opened(place).align(pairs=file)
    before = contents(place / "run")
    with pytest.raises(RunError, match=r"another training, which is finished: loss.beta: 0.1 → 0.2") as error:
        opened(place, loss={"beta": 0.2}).align(pairs=file)
    assert str(place / "run" / "align" / "dpo") in error.value.where
    with pytest.raises(RunError, match="which is finished: the pairs"):
        opened(place).align(pairs=file, limit=5)
    assert contents(place / "run") == before
    lines: list[str] = []
    assert opened(place, lines).align(pairs=file) == made
    assert any("kept: made from the same pairs, model and settings" in line for line in lines)
    other = opened(place, loss={"beta": 0.2}).align("dpo-2", pairs=file)
    assert made.is_dir() and other.is_dir() and set(Run(place / "run").aligned()) == {"dpo", "dpo-2"}
    opened(place, loss={"beta": 0.2}).align(pairs=file, replace=True)
    one, two = (load_file(at / "model.safetensors") for at in (made, other))
    assert all((one[name] == two[name]).all() for name in one)
    beta = [(place / "run" / "align" / name / "settings.yaml").read_text() for name in ("dpo", "dpo-2")]
    assert all("beta: 0.2" in text for text in beta)


def test_a_training_that_is_refused_is_no_training(place: Path) -> None:
    opened(place).align(pairs=place / "train.parquet")
    before = contents(place / "run")
    table = pq.read_table(place / "train.parquet")
    equal = table.set_column(table.column_names.index("rejected"), "rejected", table["chosen"])
    pq.write_table(equal, place / "equal.parquet")
    with pytest.raises(DataError, match="equal answers"):
        opened(place, loss={"beta": 0.2}).align("second", pairs=place / "equal.parquet")
    assert contents(place / "run") == before and not (place / "run" / "align" / "second").exists()
    assert list(opened(place).manifest()["aligned"]) == ["dpo"]


def test_what_a_build_noted_of_its_settings_stays(place: Path) -> None:
    run = Run(place / "run").open()
    run.keep_settings({**opened(place).settings.model_dump(mode="json"), "seed": 77})
    opened(place, loss={"beta": 0.3}).align(pairs=place / "train.parquet")
    kept = run.settings_before()
    assert kept["seed"] == 77 and kept["align"]["loss"]["beta"] == 0.3


def test_an_adapter_that_is_to_be_merged_later_is_merged_without_training(place: Path) -> None:
    file = place / "train.parquet"
    adapter = opened(place, saving={"merged": False}).align(pairs=file)
    assert adapter.name == "adapter"
    record = place / "run" / "align" / "dpo" / "training.json"
    written = record.stat().st_mtime_ns
    merged = opened(place).align(pairs=file)
    assert merged.name == "checkpoint" and record.stat().st_mtime_ns == written
    plain = opened(place).align("at-once", pairs=file)
    one, other = (load_file(at / "model.safetensors") for at in (merged, plain))
    assert one.keys() == other.keys() and all(one[name].allclose(other[name], atol=1e-6) for name in one)


def test_scores_name_the_weights_and_those_of_weights_that_changed_or_are_gone_are_left_out(place: Path) -> None:
    file = place / "train.parquet"
    opened(place).align(pairs=file)
    opened(place).align("second", pairs=file, changed={"loss": {"beta": 0.5}})
    opened(place).evaluate()
    run = Run(place / "run")
    noted = run.manifest()["weights"]
    assert set(noted) == {"base", "dpo", "second"} and all(
        one["identity"].startswith("local:") for one in noted.values()
    )
    assert stale_scores(run, run.manifest()) == {}
    moved = Run(Path(shutil.copytree(place / "run", place / "moved")))
    assert stale_scores(moved, moved.manifest()) == {}, "a copy has other files with the same weights"
    opened(place).align(pairs=file, changed={"loss": {"beta": 0.2}}, replace=True)
    shutil.rmtree(place / "run" / "align" / "second")
    assert stale_scores(run, run.manifest()) == {"dpo": CHANGED, "second": GONE}
    assert trainings(run) == {"dpo"}
    page = opened(place).report(examples=0).read_text()
    assert f"Scores of `dpo` are left out: {CHANGED}." in page and f"Scores of `second` are left out: {GONE}." in page
    assert "second on 8 pairs" not in page
    opened(place).evaluate()
    assert stale_scores(run, run.manifest()) == {}
    assert "are left out" not in opened(place).report(examples=0).read_text()


@pytest.fixture
def misfit(tmp_path: Path) -> Path:
    """An adapter of the miniature world, whose names lead nowhere."""
    folder = Path(shutil.copytree(AMBER, tmp_path / "misfit"))
    weights = load_file(folder / "adapter_model.safetensors")
    lost = {name.replace("base_model.model.", "base_model.model.module."): weight for name, weight in weights.items()}
    save_file(lost, folder / "adapter_model.safetensors", {"format": "pt"})
    config = json.loads((folder / "adapter_config.json").read_text())
    base = str((AMBER / config["base_model_name_or_path"]).resolve())
    (folder / "adapter_config.json").write_text(json.dumps({**config, "base_model_name_or_path": base}))
    return folder


def test_an_adapter_that_does_not_fit_is_refused_by_align_evaluate_and_try(place: Path, misfit: Path) -> None:
    with pytest.raises(ModelError, match=r"does not fit the model: it lacks .* weights .*, and it holds"):
        opened(place, model=str(misfit)).align(pairs=place / "train.parquet")
    assert not (place / "run" / "align").exists()
    with pytest.raises(ModelError, match="does not fit the model"):
        opened(place).evaluate([str(misfit)])
    assert "models" not in opened(place).manifest()
    shown = picture(place / "shown.png")
    with pytest.raises(ModelError, match="does not fit the model"):
        try_models(shown, "what is shown ?", run=place / "none", models=[str(misfit)], seed=0)


def test_an_adapter_that_fits_is_trained_on_and_not_its_base(place: Path) -> None:
    file = place / "train.parquet"
    from_adapter = opened(place, model="miniworld:responders/amber").align(pairs=file)
    assert from_adapter.name == "checkpoint"
    assert not (place / "run" / "align" / "dpo" / "adapter").exists(), "an adapter on an adapter could not be opened"
    from_base = opened(place).align("plain", pairs=file)
    started, plain = (load_file(at / "model.safetensors") for at in (from_adapter, from_base))
    base = load_file(AMBER.parents[1] / "base" / "model.safetensors")
    far = sum((started[name].float() - base[name].float()).abs().sum() for name in base)
    near = sum((plain[name].float() - base[name].float()).abs().sum() for name in base)
    assert far > 3 * near
    asked = try_models(picture(place / "p.png"), "what is shown ?", run=place / "run", models=[], seed=0)
    assert [name for name, _ in asked] == ["base", "dpo", "plain"]


def test_a_weight_column_reaches_the_training(place: Path) -> None:
    table = pq.read_table(place / "train.parquet")
    pq.write_table(table.append_column("weight", pa.array([0.0] * len(table))), place / "none.parquet")
    made = opened(place).align(pairs=place / "none.parquet")
    rows = [json.loads(line) for line in (made.parent / "metrics.jsonl").read_text().splitlines()]
    assert {row["loss"] for row in rows} == {0.0}


@pytest.mark.slow
def test_the_command_trains_on_two_processes_as_a_launcher_starts_them(place: Path) -> None:
    words = [
        "align", "align.model=miniworld:base", "align.freeze.rank=4", "align.freeze.projector=frozen",
        "align.optimiser.max_steps=4", "align.batching.pairs=4", "align.machine.device=cpu", "align.saving.log_every=1",
        "align.validation.held_out=0.3", "align.validation.measure_every=2", "--pairs", "train.parquet",
        "align.validation.every=2", "evaluate.benchmarks=[{kind: miniworld, per_subset: 2}]",
    ]  # fmt: skip
    shared = {**environment(), "ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1"}
    launch = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node=2", "--master_port=29655"]
    two = [*launch, "-m", "spavl", *words, "--out", "two"]
    for ran in (
        processes.run("-m", "spavl", *words, "--out", "one", cwd=place, env=shared),
        subprocess.run(two, cwd=place, env=shared, capture_output=True, text=True),
    ):
        assert ran.returncode == 0, ran.stderr[-2000:]
    one, two = (
        [json.loads(line) for line in (place / out / "align" / "dpo" / "metrics.jsonl").read_text().splitlines()]
        for out in ("one", "two")
    )
    for line, other in zip(one, two, strict=True):
        for name in ("loss", "held_out_loss"):
            assert line.get(name, 0.0) == pytest.approx(other.get(name, 0.0), abs=1e-5)
    answered = [(place / out / "align" / "dpo" / "validation.jsonl").read_text() for out in ("one", "two")]
    assert answered[0] == answered[1] and len(answered[0].splitlines()) == 3
    assert list(Run(place / "two").manifest()["aligned"]) == ["dpo"]


def test_an_empty_name_is_refused_and_does_not_become_the_method(place: Path) -> None:
    with pytest.raises(SettingsError, match="cannot be the name of a training"):
        opened(place).align("", pairs=place / "train.parquet")
    assert not (place / "run" / "align").exists()


def test_ppo_whose_answers_do_not_fit_is_refused_before_its_reward_model_is_trained(place: Path) -> None:
    with pytest.raises(SettingsError, match="and the model attends to"):
        opened(place, method="ppo", ppo={"max_tokens": 100_000}).align(pairs=place / "train.parquet")
    assert not list((place / "run").glob("align/reward/*"))
