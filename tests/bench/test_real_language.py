"""Perplexity and instructions of a checkpoint, their comparison, and the page that is written from the results."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch

from bench.real_language import comparison, page, perplexity, skill
from bench.real_language.language_model import LanguageModel, open_with_eyes
from bench.real_language.rows import table_rows
from spavl.atomic import write_json
from spavl.statistics import compare_paired, rate
from tests.tiny import tiny_adapter


@pytest.fixture(scope="module")
def model(tiny_checkpoint: Path) -> LanguageModel:
    return open_with_eyes(tiny_checkpoint)


def kept(losses: list[float], right: int, text: str = "one text") -> dict[str, Any]:
    """Skill as `measure_skill` keeps it, with the first `right` of ten instructions done."""
    done = {f"instruction {n}": n < right for n in range(10)}
    return {
        "made_of": {"text_sha256": text}, "perplexity": perplexity.of_losses(losses), "window_losses": losses,
        "tokens": perplexity.tokens_counted(losses), "instructions": done,
        "answers": {one: f"<b>{one}</b> | by *{right}*" for one in done},
    }  # fmt: skip


def results() -> dict[str, Any]:
    """Results as the benchmark writes them, with made-up numbers."""
    asked = {str(n): n < 200 for n in range(400)}
    after = {str(n): n < 8 for n in range(400)}
    names = {"unsafe_rate": ("Unsafe", "lower"), "skill_accuracy": ("Correct names", "higher")}
    base = {metric: asdict(rate(asked.values())) for metric in names}
    aligned = {metric: asdict(rate(after.values())) for metric in names}
    paired = {metric: asdict(compare_paired(asked, after, better=better)) for metric, (_, better) in names.items()}
    models = {
        "text_only": {"label": "text only", "skill": kept([3.0, 3.2], 8)},
        "base": {"label": "base", "rates": base, "skill": kept([3.1, 3.3], 7)},
        "anchored": {"label": "anchored DPO", "rates": aligned, "skill": kept([3.1, 3.3], 4)},
    }
    metrics = {name: {"label": label, "better": better} for name, (label, better) in names.items()}
    rows = [row.row() for row in table_rows(models, {"anchored": paired})]
    return {
        "machines": {"skill": {"cores": 2, "memory_gb": 23.5, "gpu": None, "versions": {"spavl": "0.1.0"}}},
        "peak_rss_mb": 5100.0,
        "measures": rows, "models": models, "metrics": metrics, "paired": {"anchored": paired},
        "dataset": {"pairs": 1234, "responder_unsafe": {"bold": base["unsafe_rate"]}}, "seconds": {"build": 61.25},
        "self_judge": {"unreadable": aligned["unsafe_rate"], "stopped_by": None},
    }  # fmt: skip


def test_the_prose_is_english_without_code_and_each_paragraph_stands_once() -> None:
    paragraphs = perplexity.prose().split("\n\n")
    assert len(paragraphs) == len(set(paragraphs)) > 300
    assert all(len(part.split()) >= 20 and part.endswith(".") and "::=" not in part for part in paragraphs)


@pytest.mark.parametrize("length", [100, 512, 2000, 25_000, 100_000])
def test_windows_are_whole_apart_and_spread_over_the_text(length: int) -> None:
    found = perplexity.windows(range(length))
    assert len(found) == min(length // 512, 40)
    assert all(len(window) == 512 for window in found)
    starts = [window[0] for window in found]
    assert all(after - before >= 512 for before, after in pairwise(starts))
    assert not found or starts[-1] >= (length // 512) * 512 * 0.97 - 512


def test_losses_are_those_that_transformers_computes(model: LanguageModel) -> None:
    ids = torch.arange(5, 45)
    with torch.no_grad():
        whole = model.model(input_ids=ids[None], labels=ids[None]).loss.item()
    found = model.losses(ids)
    assert found.shape == (39,)
    assert found.mean().item() == pytest.approx(whole, rel=1e-5)
    assert perplexity.of_losses([whole]) == pytest.approx(math.exp(whole))


def test_an_answer_in_a_batch_is_the_answer_alone(model: LanguageModel) -> None:
    requests = ["what is this ?", "tell me more about the red cup please", "yes"]
    together = list(model.answers(requests, most=6, together=3))
    assert together == [next(model.answers([one], most=6, together=1)) for one in requests]
    assert any(together) and model.prompt("yes") == "<s>USER: yes ASSISTANT:"


def test_an_adapter_is_measured_merged(tiny_checkpoint: Path, tmp_path: Path, model: LanguageModel) -> None:
    adapted = open_with_eyes(tiny_adapter(tiny_checkpoint, tmp_path / "adapter"))
    ids = torch.arange(5, 45)
    assert not torch.allclose(adapted.losses(ids), model.losses(ids), rtol=1e-3)


def test_skill_is_measured_once_and_again_when_the_weights_are_others(
    tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(perplexity, "WINDOWS", 1)
    monkeypatch.setattr(skill, "INSTRUCTIONS", skill.INSTRUCTIONS[:2])
    file = tmp_path / "skill.json"
    first = skill.measure_skill(tiny_checkpoint, file)
    write_json(file, {**first, "seconds": -1})
    assert skill.measure_skill(tiny_checkpoint, file)["seconds"] == -1
    answers = {one.text: one.right for one in skill.INSTRUCTIONS}
    write_json(file, {**first, "answers": answers, "instructions": dict.fromkeys(answers, False)})
    assert all(skill.measure_skill(tiny_checkpoint, file)["instructions"].values()), "by the rules of today"
    figures = skill.skill(tiny_checkpoint, file)
    assert figures["tokens"] == 511 and figures["instructions_n"] == 2
    adapter = tiny_adapter(tiny_checkpoint, tmp_path / "adapter")
    assert skill.measure_skill(adapter, file)["perplexity"] != first["perplexity"]


def test_a_change_of_perplexity_is_relative_and_of_one_text() -> None:
    change, low, high = comparison.compare_perplexity(kept([3.0, 3.0, 3.4], 1), kept([3.1, 3.1, 3.4], 1))
    assert change == pytest.approx(math.exp(0.2 / 3) - 1)
    half = 4.302653 * (0.02 / 9) ** 0.5 / 2**0.5  # the t distribution with two degrees of freedom
    assert (low, high) == pytest.approx((math.exp(0.2 / 3 - half) - 1, math.exp(0.2 / 3 + half) - 1))
    many = comparison.compare_perplexity(kept([3.0] * 20 + [3.4] * 20, 1), kept([3.1] * 20 + [3.4] * 20, 1))
    assert 0 < many[1] < many[0] < many[2] < math.exp(0.1) - 1
    with pytest.raises(ValueError, match="different texts"):
        comparison.compare_perplexity(kept([3.0], 1), kept([3.0], 1, text="another"))


def test_instructions_are_compared_one_by_one() -> None:
    compared = comparison.compare_instructions(kept([3.0], 8), kept([3.0], 5))
    assert (compared.broken, compared.fixed, compared.n) == (3, 0, 10)


def test_rows_keep_their_floors_and_what_is_missing_has_no_value() -> None:
    rows = {row["name"]: row for row in results()["measures"]}
    assert (
        rows["base: unsafe on dangerous pictures"]["value"] == 50
        and rows["base: unsafe on dangerous pictures"]["holds"]
    )
    assert rows["DPO with anchor: unsafe, seen kinds"]["holds"] is True
    assert rows["DPO with anchor: names lost"]["value"] == pytest.approx(48)
    assert rows["DPO with anchor: names lost"]["holds"] is False
    assert rows["base: perplexity against the text-only model"]["value"] == pytest.approx(100 * (math.exp(0.1) - 1))
    assert (
        rows["plain DPO: names lost"]["value"] is None and rows["blind control: unsafe + over-refusal"]["value"] is None
    )


def test_the_page_shows_every_number_and_text_of_a_model_is_only_text(tmp_path: Path) -> None:
    write_json(tmp_path / "real.json", results())
    (tmp_path / "words.md").write_text("It sees well.\n")
    rows = [{"step": 25, "nats": 2.27, "seconds": 133}, {"step": 50, "nats": 0.25, "seconds": 270}]
    write_json(tmp_path / "log.json", {"stages": [rows, rows], "terse": rows[:1], "patches": 0.53})
    text = page.page(tmp_path, tmp_path / "words.md", tmp_path)
    for shown in (
        "50.0",
        "[45.1, 54.9], n 400",
        "−48.0",
        "5.1 GB",
        "1,234",
        "| stages 2 | 4 | 50 | 2.27, 0.25 |",
        "It sees well.",
        "61.2",
    ):
        assert shown in text, shown
    assert r"\<b\>instruction 4\</b\> \| by \*8\*" in text
    assert page.NOT_MEASURED in text.split("## Trainings")[1].split("##")[0]


def test_a_machine_that_does_not_tell_its_memory_or_gpu_stands_on_the_page(tmp_path: Path) -> None:
    known = {"cores": 4, "memory_gb": None, "gpu": None, "versions": {"torch": "2.11.0"}}
    write_json(tmp_path / "real.json", {"machines": {"judge": known}})
    assert "Measured on 4 cores, no GPU; torch 2.11.0 (judge)." in page.page(tmp_path)


def test_the_committed_page_is_what_the_committed_results_say() -> None:
    assert page.PAGE.read_text("utf-8") == page.page(), "run `python -m bench.real_language.page`"


def test_rows_of_other_results_stand_on_the_page_where_they_were_measured(tmp_path: Path) -> None:
    row = {"name": "real answers: agreement", "value": 98.0, "floor": 97.0, "unit": "%", "better": "higher",
           "holds": True, "how": "510 answers"}  # fmt: skip
    other = {**row, "name": "yes/no: forms read rightly", "how": "428 forms"}
    (tmp_path / "readers.json").write_text(json.dumps({"measures": [row, other, {**row, "value": None}]}))
    text = page.page(tmp_path)
    assert text.count("510 answers") == 1 and "428 forms" not in text
