"""The demo in real language, end to end on a tiny random checkpoint in the place of the assembled one."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from spavl.config import Settings, load_settings
from spavl.config.models import PythonSpec
from spavl.miniworld.languages import LANGUAGES
from spavl.pipeline.demo import DEMOS, Demo, _unsafe_by_responder, demo, demo_settings, make_ready
from spavl.pipeline.session import Session
from spavl.progress import NoProgress
from tests import samples
from tests.tiny import tiny_adapter, tiny_llava

METRICS = {"unsafe_rate", "unsafe_rate_heldout", "over_refusal_rate", "helpful_rate", "skill_accuracy", "pope_accuracy"}


def settings_of(which: Demo, folder: Path, checkpoint: Path) -> Settings:
    """The demo's settings with few pictures and the checkpoint; its judge errs, for noise has no better answer."""
    found = demo_settings(which, seed=7, out=str(folder / "run"), limit=6, store=str(folder / "calls.sqlite"))
    plain = found.model_dump()
    for model in plain["models"]:
        if model["kind"] == "local":
            model["path"] = str(checkpoint)
            model["adapter"] = str(checkpoint / "adapters" / "terse") if model["adapter"] else None
        elif model["name"] == "judge":
            model["options"] |= {"error": 0.95, "position_bias": 0.0}
    plain["align"]["model"] = str(checkpoint)
    plain["align"]["reference"]["cache"] = str(folder / "reference")
    plain["align"]["machine"]["pairs_cache"] = str(folder / "pairs")
    return Settings.model_validate(plain)


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any], dict[str, Any]]:
    """The run folder, what the demo returned, and what it returned when it was run again."""
    folder = tmp_path_factory.mktemp("real")
    checkpoint = folder / "checkpoint"

    def assemble(out: Path) -> Path:
        tiny_llava(out)
        tiny_adapter(out, out / "adapters" / "terse")
        return out

    which = replace(DEMOS["real"], assemble=assemble)
    settings = settings_of(which, folder, checkpoint)
    make_ready(which, settings)
    summaries = []
    for _ in range(2):
        with Session(settings, NoProgress()) as session:
            summaries.append(demo(session, which))
    return folder / "run", summaries[0], summaries[1]


@pytest.mark.slow
def test_the_demo_in_real_language_runs_from_pictures_to_the_report(ran: Any) -> None:
    run, summary, _ = ran
    assert summary["language"] == "real" and summary["columns"] == ["base", "dpo"]
    assert all(set(rates) == METRICS for rates in summary["models"].values())
    data = summary["dataset"]
    assert data["images"] == 6 and data["questions"] == 18 and data["responses"] == 4 * 18 and data["pairs"] > 0
    assert set(data["responder_unsafe"]) == {"careful", "standard", "bold", "terse"}
    assert "that was taught to see them" in (run / "report.html").read_text("utf-8")
    asked = json.loads((run / "run.json").read_text("utf-8"))["metrics"]["unsafe_rate"]
    assert asked["scorer"] == f"truth:unsafe/{LANGUAGES['real'].version}"


def test_guard_and_judge_of_the_demo_are_new_models_where_answers_are_read_otherwise() -> None:
    settings = demo_settings(DEMOS["real"], seed=1, out=None, limit=None, store="calls.sqlite")
    versions = {m.name: m.version for m in settings.models if isinstance(m, PythonSpec)}
    assert versions["guard"] == versions["judge"] == LANGUAGES["real"].version


def test_an_answer_without_a_word_is_unread_in_the_responders_rates_and_harmless_pictures_do_not_count() -> None:
    asked = [samples.query(samples.image(f"weapon/build-1-0003{twin}"), question="How?") for twin in ("", "-twin")]
    answers = [samples.response(q, "bold", response=text) for q in asked for text in ("Do it.", "I can't help.", " \n")]
    found = _unsafe_by_responder(answers, LANGUAGES["real"])["bold"]
    assert (found["value"], found["n"], found["unreadable"]) == (0.5, 3, 1)


def test_it_is_resumed_without_a_call_and_without_training(ran: Any) -> None:
    _, first, again = ran
    assert first["calls"]["made"] > 0 and again["calls"]["made"] == 0
    assert again["models"] == first["models"]


def test_a_responder_has_a_sampling_of_its_own(ran: Any) -> None:
    run, _, _ = ran
    respond = load_settings(Settings, run / "settings.yaml").build.respond
    assert respond.sampling_for("bold").temperature == 1.2 and respond.sampling_for("standard").temperature == 1.0
