"""The session: each name under `models` is its own model, whatever was open before."""

from __future__ import annotations

from pathlib import Path

import pytest

from spavl.config import PythonSpec, SamplingSettings, Settings
from spavl.dataset.collect import file_candidate
from spavl.errors import ModelError, SettingsError
from spavl.miniworld.languages import LANGUAGES
from spavl.models.base import Prompt, Sampling
from spavl.pipeline.collect import _spread
from spavl.pipeline.demo import DEMOS, demo_settings
from spavl.pipeline.evaluate import open_benchmarks
from spavl.pipeline.report import _limits
from spavl.pipeline.session import Session
from spavl.progress import NoProgress
from spavl.records import Topic


def constant(name: str, says: str) -> PythonSpec:
    """A model that gives one answer to everything."""
    return PythonSpec(
        name=name,
        target="tests.pipeline.constant_model:ConstantModel",
        version=f"says {says}",
        options={"says": says},
        batch_size=4,
    )


def session_of(folder: Path, *specs: PythonSpec, allow_code: bool = True, seed: int = 5) -> Session:
    """A session whose run folder and call store are in a folder of their own."""
    settings = Settings(out=str(folder / "run"), store=str(folder / "calls.sqlite"), seed=seed, models=specs)
    return Session(settings, NoProgress(), allow_code=allow_code)


def answers(session: Session, label: str) -> list[str]:
    """The answers of a listed model to two prompts."""
    model = session.model(session.spec(label, "build.ask.model"))
    prompts = [Prompt("?", item="one"), Prompt("!", item="two")]
    return [reply.text for reply in session.engine.complete(model, prompts, sampling=Sampling())]


def test_each_label_is_answered_by_its_own_model_and_only_once(tmp_path: Path) -> None:
    with session_of(tmp_path, constant("a", "yes"), constant("b", "no")) as session:
        assert [answers(session, label) for label in "abab"] == [["yes"] * 2, ["no"] * 2, ["yes"] * 2, ["no"] * 2]
        assert (session.store.calls, session.store.hits) == (4, 4)


def test_another_model_of_the_same_name_is_another_model(tmp_path: Path) -> None:
    """The base model is called `base`, and so may be a listed model."""
    with session_of(tmp_path, constant("base", "yes")) as session:
        first = session.model(constant("base", "yes"))
        assert session.model(constant("base", "yes")) is first
        assert session.model(constant("base", "no")) is not first


def test_a_label_that_models_does_not_list_is_named_with_its_setting_and_the_nearest(tmp_path: Path) -> None:
    with session_of(tmp_path, constant("judge", "yes")) as session, pytest.raises(SettingsError) as error:
        session.spec("juge", "build.judge.model")
    assert "`build.judge.model` names the model `juge`" in error.value.what
    assert "did you mean `judge`" in error.value.try_


def test_a_class_outside_spavl_needs_allow_code(tmp_path: Path) -> None:
    with session_of(tmp_path, constant("a", "yes"), allow_code=False) as session, pytest.raises(ModelError) as error:
        answers(session, "a")
    assert "--allow-code" in error.value.try_


def test_two_entries_of_one_identity_are_refused_before_the_store_is_made(tmp_path: Path) -> None:
    with pytest.raises(SettingsError):
        session_of(tmp_path, constant("a", "yes"), constant("b", "yes"))
    assert not (tmp_path / "calls.sqlite").exists()


def test_the_seed_of_the_run_drives_sampling_unless_a_stage_has_its_own(tmp_path: Path) -> None:
    with session_of(tmp_path, seed=5) as session:
        assert session.sampling(SamplingSettings(temperature=1.0)).seed == 5
        assert session.sampling(SamplingSettings(temperature=1.0, seed=0)).seed == 0


@pytest.mark.parametrize("out", ["2024", "a: b", "no", "#1", "[x", "~", "007", "runs/é", "runs/😀"])
def test_any_name_of_a_folder_is_a_name(out: str) -> None:
    settings = demo_settings(DEMOS["closed"], seed=3, out=out, limit=7, store=f"{out}.sqlite")
    assert (settings.out, settings.store, settings.seed, settings.limit) == (out, f"{out}.sqlite", 3, 7)


@pytest.mark.parametrize("limit", [1, 3, 4, 7, 8, 99])
def test_a_limit_takes_pictures_from_every_subcategory_in_turn(limit: int) -> None:
    found = [
        file_candidate(Path(f"{name}{n}"), inside=None, topic=Topic(class1="d", class2="c", class3=name),
                       image_id=f"{name}/{n}", benign=False, heldout=False, source="", license="")
        for name, count in (("a", 5), ("b", 2), ("c", 1)) for n in range(count)
    ]  # fmt: skip
    numbers = _spread(iter(found), limit)
    kept = [candidate for number, candidate in enumerate(found) if number in numbers]
    assert len(kept) == min(limit, 8)
    counts = {name: sum(c.topic.class3 == name for c in kept) for name in "abc"}
    assert counts["a"] - counts["b"] <= (1 if counts["b"] < 2 else 3)
    if limit >= 3:
        assert min(counts.values()) >= 1


def opened(folder: Path, *benchmarks: dict[str, object]) -> list[str]:
    """Names of the benchmarks of some entries."""
    given = {"evaluate": {"benchmarks": list(benchmarks)}, "out": str(folder), "store": str(folder / "calls.sqlite")}
    with Session(Settings.model_validate(given), NoProgress()) as session:
        return [benchmark.name for benchmark in open_benchmarks(session)]


def test_the_miniature_world_is_measured_in_both_languages_side_by_side(tmp_path: Path) -> None:
    closed = {"kind": "miniworld", "per_subset": 2}
    names = opened(tmp_path, closed, {**closed, "name": "english", "language": "real"})
    assert names == ["requests", "skill", "english-requests", "english-skill"]


def test_the_report_says_what_every_language_of_the_miniature_world_is_made_of() -> None:
    entries = [{"kind": "miniworld"}, {"kind": "miniworld", "name": "english", "language": "real"}]
    for shown in (entries, entries[::-1], entries[:1], entries[1:]):
        given = {"build": {"collect": {"source": "miniworld"}}, "evaluate": {"benchmarks": shown}}
        first = _limits(Settings.model_validate(given))[0]
        told = {name for name, language in LANGUAGES.items() if language.what in first}
        assert told == {entry.get("language", "closed") for entry in shown}


def test_two_benchmarks_of_one_name_are_refused_whoever_named_them(tmp_path: Path) -> None:
    (tmp_path / "items.jsonl").write_text('{"question": "What is this?", "expected": "a cup", "subset": "skill"}\n')
    file = {"kind": "file", "name": "skill", "path": str(tmp_path / "items.jsonl")}
    with pytest.raises(SettingsError, match="Two benchmarks are called `skill`"):
        opened(tmp_path, {"kind": "miniworld", "per_subset": 2}, file)
