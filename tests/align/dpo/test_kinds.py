"""Every loss from pairs to a checkpoint: what it learns, what it logs, what of the machine it needs."""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from spavl.align.dpo.formulas import METRICS, METRICS_OF_KTO, METRICS_WITHOUT_REFERENCE
from spavl.align.dpo.train import train_dpo
from spavl.align.training.record import TrainingRecord
from spavl.config.align import AlignSettings
from spavl.errors import DataError
from spavl.preferences.pairs import Pair

KINDS: dict[str, dict[str, Any]] = {
    "hinge": {"kind": "hinge"},
    "robust": {"kind": "robust", "label_smoothing": 0.1},
    "simpo": {"kind": "simpo", "beta": 2.0, "gamma": 0.5},
    "orpo": {"kind": "orpo"},
    "kto": {"kind": "kto"},
    "sft": {"kind": "sft"},
}
LOGGED = {
    "hinge": METRICS, "robust": METRICS, "simpo": METRICS_WITHOUT_REFERENCE, "orpo": METRICS_WITHOUT_REFERENCE,
    "kto": METRICS_OF_KTO, "sft": ("nll_chosen",),
}  # fmt: skip
FREE = ("simpo", "orpo", "sft")
EVERY = {"batching": {"pairs": 24}, "saving": {"log_every": 1, "merged": False}, "validation": {"held_out": 0.1}}


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def steps(folder: Path) -> list[dict[str, Any]]:
    return [line for line in lines(folder) if "loss" in line]


def weights(folder: Path) -> dict[str, torch.Tensor]:
    found: dict[str, torch.Tensor] = load_file(folder / "adapter" / "adapter_model.safetensors")
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_each_loss_falls_and_logs_what_it_has(kind, pairs, settings_for, tmp_path) -> None:
    cache = tmp_path / "cache"
    settings = settings_for(
        loss=KINDS[kind], optimiser={"max_steps": 4, "learning_rate": 1e-2}, reference={"cache": str(cache)}, **EVERY
    )
    train_dpo(pairs, settings, tmp_path / "out")
    found, held_out = steps(tmp_path / "out"), [one for one in lines(tmp_path / "out") if "held_out_loss" in one]
    assert found[-1]["loss"] < found[0]["loss"]
    others = {"step", "loss", "grad_norm", "learning_rate", "epoch", "epochs"}
    assert set(found[0]) - others == set(LOGGED[kind])
    assert found[-1]["nll_chosen"] < found[0]["nll_chosen"] or kind not in ("orpo", "sft")
    assert ("held_out_accuracy" in held_out[-1]) == (kind != "sft"), "supervised fine-tuning compares nothing"
    made = json.loads((tmp_path / "out" / "training.json").read_text())
    assert made["loss"] == settings.loss.deciding and made["reference"] == ("none" if kind in FREE else "cached")
    assert cache.exists() == (kind not in FREE), "a loss without a reference computes none"
    preflight = (tmp_path / "out" / "preflight.txt").read_text()
    assert (f"`{kind}` has no reference: none is computed" in preflight) == (kind in FREE)
    assert kind.upper() in (tmp_path / "out" / "adapter" / "README.md").read_text().upper()


def test_a_loss_without_a_reference_keeps_no_copy_of_the_weights(pairs, settings_for, tmp_path, monkeypatch) -> None:
    """In full, a live reference holds all trained weights a second time."""
    from spavl.align.preflight import prepare

    kept = []
    loaded = prepare.load_policy
    monkeypatch.setattr(prepare, "load_policy", lambda *a, **k: kept.append(k["remember"]) or loaded(*a, **k))
    shape = {"freeze": {"language": "full"}, "optimiser": {"max_steps": 1}, "saving": {"merged": False, "every": None}}
    for kind in ("orpo", "hinge"):
        train_dpo(pairs[:6], settings_for(loss=KINDS[kind], reference={"mode": "live"}, **shape), tmp_path / kind)
    assert kept == [False, True]


KTO = {
    "loss": KINDS["kto"], "batching": {"pairs": 8}, "reference": {"mode": "cached"}, "optimiser": {"max_steps": 3},
}  # fmt: skip


def single_answers(pairs: list[Pair]) -> list[Pair]:
    """The wanted answer of every pair whose number divides by 3, of the next both, of the next the unwanted one."""
    cut = [{"rejected": "", "unpaired": True}, {}, {"chosen": "", "unpaired": True}]
    return [replace(pair, **cut[number % 3]) for number, pair in enumerate(pairs)]


@pytest.fixture(scope="module")
def plain(pairs, settings_of_module, tmp_path_factory) -> Path:
    """A training by KTO on single answers and pairs."""
    folder = tmp_path_factory.mktemp("kto")
    settings = settings_of_module(**KTO, saving={"log_every": 1, "merged": False}, validation={"held_out": 0.2})
    train_dpo(single_answers(pairs), settings, folder)
    return folder


@pytest.mark.parametrize(
    "changed",
    [
        {"batching": {"pairs": 8, "forward_pairs": 1}},
        pytest.param({"batching": {"pairs": 8, "packing": "separate", "forward_pairs": 3}}, marks=pytest.mark.slow),
        pytest.param({"reference": {"mode": "live"}}, marks=pytest.mark.slow),
    ],
    ids=["1x8", "separate", "live"],
)
def test_the_baseline_of_kto_is_that_of_the_step_however_it_is_cut(
    pairs, plain, settings_for, tmp_path, changed
) -> None:
    settings = settings_for(
        **{**KTO, **changed}, saving={"log_every": 1, "merged": False}, validation={"held_out": 0.2}
    )
    train_dpo(single_answers(pairs), settings, tmp_path)
    for one, other in zip(lines(plain), lines(tmp_path), strict=True):  # at first all log-ratios are rounding
        for name in {*one, *other} - ({"accuracy", "label_accuracy"} if one["step"] == 1 else set()):
            assert one[name] == pytest.approx(other[name], abs=2e-5, rel=1e-3), name
    assert any(line["kl"] > 0 for line in steps(plain)), "the model moves"
    for name, weight in weights(plain).items():
        assert torch.allclose(weight, weights(tmp_path)[name], atol=3e-5, rtol=1e-3), name


class Stops:
    """Stops a training at a step, as a pulled plug would."""

    @contextmanager
    def bar(self, doing: str) -> Any:
        yield self.on_progress if doing == "dpo" else lambda done, total: None

    def on_progress(self, done: int, total: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    def log(self, line: str) -> None:
        """Nothing is shown."""


def test_kto_that_was_stopped_ends_as_if_it_had_not(pairs, settings_for, tmp_path) -> None:
    settings = settings_for(**KTO, saving={"every": 1, "log_every": 1, "merged": False})
    train_dpo(single_answers(pairs), settings, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        train_dpo(single_answers(pairs), settings, tmp_path / "stopped", progress=Stops())
    train_dpo(single_answers(pairs), settings, tmp_path / "stopped")
    assert steps(tmp_path / "whole") == steps(tmp_path / "stopped")
    assert all(torch.equal(w, weights(tmp_path / "stopped")[name]) for name, w in weights(tmp_path / "whole").items())


def test_pairs_are_two_single_answers_each(pairs, settings_for, tmp_path) -> None:
    """KTO learns the same from pairs and from their answers in rows of their own, where these share the same trees."""
    apart = [
        replace(pair, pair_id=f"{pair.pair_id}/{side}", unpaired=True, **{other: ""})
        for pair in pairs
        for side, other in (("chosen", "rejected"), ("rejected", "chosen"))
    ]
    settings = {"loss": KINDS["kto"], "saving": {"log_every": 1, "merged": False}, "optimiser": {"max_steps": 2}}
    train_dpo(pairs, settings_for(**settings, batching={"pairs": 24}), tmp_path / "pairs")
    train_dpo(apart, settings_for(**settings, batching={"pairs": 48}), tmp_path / "apart")
    for one, other in zip(steps(tmp_path / "pairs"), steps(tmp_path / "apart"), strict=True):
        assert one["loss"] == pytest.approx(other["loss"], abs=1e-5)
        assert one["kl"] == pytest.approx(other["kl"], abs=1e-4)
    assert "accuracy" in steps(tmp_path / "pairs")[0] and "accuracy" not in steps(tmp_path / "apart")[0]


def test_single_answers_are_refused_where_answers_are_compared(pairs, settings_for, tmp_path) -> None:
    with pytest.raises(DataError, match="single answer"):
        train_dpo(single_answers(pairs), settings_for(), tmp_path)


def test_the_record_tells_losses_apart_by_what_they_read(pairs, settings_for) -> None:
    def record(**loss: Any) -> TrainingRecord:
        return TrainingRecord.of(pairs, settings_for(loss=loss))

    named = {kind: record(**loss) for kind, loss in KINDS.items()}
    assert len({one.id for one in named.values()}) == len(KINDS)
    assert record(kind="sft", beta=0.3) == named["sft"], "it reads no beta"
    assert record(kind="kto", desirable_weight=2.0).differences(named["kto"]) == ["loss.desirable_weight: 2.0 → 1.0"]
    old = {"kind", "beta", "label_smoothing", "length_normalised", "sft_anchor", "image_conditional", "image_anchor",
           "corruption"}  # fmt: skip
    assert set(record().weights["loss"]) == set(record(kind="ipo").weights["loss"]) == old, "as earlier trainings have"
    assert AlignSettings().loss.deciding["kind"] == "sigmoid"
