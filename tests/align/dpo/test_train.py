"""DPO from pairs to a checkpoint: it learns, the machine does not change it, and stopping does not either."""

import json
import pickle
import resource
import signal
from contextlib import contextmanager
from dataclasses import replace

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForImageTextToText, AutoProcessor

from spavl.align.data.batches import PairDataset
from spavl.align.dpo.train import train_dpo
from spavl.align.preflight.device import refuse_without_launcher
from spavl.align.validation.selection import ValidationScores
from spavl.errors import DataError, MissingExtra, RunError, SettingsError
from spavl.models.families import family_of, load_processor
from spavl.models.trees.score import answer_logprobs
from tests import processes


class RecordingProgress:
    """Keeps log lines, and may stop a training at a step as a pulled plug would."""

    def __init__(self, stop_at=None, each=None):
        self.lines = []
        self.each = each
        self.first = self.done = 0
        self.stop_at = stop_at

    @contextmanager
    def bar(self, doing):
        yield self._on_progress if doing == "dpo" else lambda done, total: None

    def _on_progress(self, done, total):
        self.first = self.first or done
        self.done = done
        if self.each:
            self.each(done)
        if done == self.stop_at:
            raise KeyboardInterrupt

    def log(self, line):
        self.lines.append(line)


def weights(folder):
    return load_file(folder / "checkpoint" / "model.safetensors")


def same(one, other, **tolerance):
    assert one.keys() == other.keys()
    for name in one:
        if tolerance:
            assert torch.allclose(one[name], other[name], **tolerance), name
        else:
            assert torch.equal(one[name], other[name]), name


def metrics(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def margins(folder, pairs):
    """log p(chosen) - log p(rejected) of a checkpoint, pair by pair."""
    model = AutoModelForImageTextToText.from_pretrained(folder)
    family = family_of(model, load_processor(folder))
    batch, _ = PairDataset(pairs, family, packing="separate").batch([(n,) for n in range(len(pairs))])
    with torch.no_grad():
        chosen, rejected = answer_logprobs(model, batch, family).sums[batch.pairs()].unbind(1)
    return chosen - rejected


@pytest.mark.parametrize("language", ["lora", "full"])
def test_a_model_learns_to_prefer_and_is_saved_as_an_ordinary_checkpoint(
    pairs, settings_for, checkpoint, tmp_path, language
):
    settings = settings_for(
        freeze={"language": language}, optimiser={"max_steps": 25}, batching={"pairs": 24}, saving={"log_every": 1}
    )
    made = train_dpo(pairs, settings, tmp_path)
    before, after = margins(checkpoint, pairs), margins(made.checkpoint, pairs)
    assert (after > before).all() and (after - before).mean() > 2
    lines = [line for line in metrics(tmp_path) if "loss" in line]
    assert [line["step"] for line in lines] == list(range(1, 26))
    assert lines[0]["loss"] == pytest.approx(0.693147, abs=1e-4) and lines[-1]["loss"] < 0.3
    assert lines[0]["accuracy"] < lines[-1]["accuracy"] == 1 and lines[0]["drift"] < 1e-4 < lines[-1]["drift"]
    assert lines[-1]["epochs"] == 25
    base, trained = load_file(checkpoint / "model.safetensors"), weights(tmp_path)
    still = {name for name in base if torch.equal(base[name], trained[name])}
    assert {name for name in base if "vision_tower" in name} <= still
    assert not any("projector" in name for name in still)
    AutoProcessor.from_pretrained(made.checkpoint).apply_chat_template(
        [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "what is this"}]}]
    )
    assert "25: the last step" in (made.checkpoint / "README.md").read_text()
    if language == "lora":
        adapted = PeftModel.from_pretrained(AutoModelForImageTextToText.from_pretrained(checkpoint), made.adapter)
        same(adapted.merge_and_unload().state_dict(), AutoModelForImageTextToText.from_pretrained(
            made.checkpoint).state_dict(), atol=1e-6)  # fmt: skip
    else:
        assert made.adapter is None


PLAIN = {"batching": {"pairs": 8}, "reference": {"mode": "cached"}, "freeze": {"language": "full"}}


@pytest.fixture(scope="module")
def plain(pairs, settings_of_module, tmp_path_factory):
    """A training that nothing of the machine's use is set for."""
    folder = tmp_path_factory.mktemp("plain")
    train_dpo(pairs, settings_of_module(**PLAIN), folder)
    return folder


@pytest.mark.parametrize(
    "changed",
    [
        {"batching": {"pairs": 8, "forward_pairs": 1}},
        {"batching": {"pairs": 8, "token_budget": 60}},
        {"batching": {"pairs": 8, "packing": "separate"}},
        {"reference": {"mode": "live"}},
        {"machine": {"gradient_checkpointing": True}},
        {"machine": {"picture_memory": 0, "workers": 1}},
    ],
    ids=["1x8", "token budget", "separate", "live", "checkpointing", "workers"],
)
def test_how_the_machine_is_used_does_not_change_what_is_learnt(pairs, plain, settings_for, tmp_path, changed):
    train_dpo(pairs, settings_for(**{**PLAIN, **changed}), tmp_path)
    same(weights(plain), weights(tmp_path), atol=2e-5, rtol=1e-4)
    for one, other in zip(metrics(plain), metrics(tmp_path), strict=True):
        assert one["loss"] == pytest.approx(other["loss"], abs=1e-5)
        assert one["grad_norm"] == pytest.approx(other["grad_norm"], rel=1e-3)


TWO_RANKS = """
import pickle, sys
from pathlib import Path
import torch
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from spavl.align.dpo.train import train_dpo
from spavl.align.data.batches import PairDataset
from spavl.align.policy.policy import load_policy
from spavl.align.policy.checkpoint import load_trained
from spavl.models.identity import Checkpoint
from spavl.models.trees.score import answer_logprobs

torch.set_num_threads(1)
pairs, settings, out = pickle.loads(Path(sys.argv[1]).read_bytes())
train_dpo(pairs, settings, out)

policy = load_policy(settings, Checkpoint(Path(settings.model)), dtype="float32", device="cpu")
batch, _ = PairDataset(pairs, policy.family, packing="tree").batch([(0, 1, 2), (3, 4)])

def gradients():
    policy.model.zero_grad()
    answer_logprobs(policy.model, batch, policy.family).sums.mean().backward()
    return {name: weight.grad for name, weight in policy.trained().items() if weight.grad is not None}

whole = gradients()
mesh = init_device_mesh("cpu", (2,))
for layer in policy.model.get_base_model().get_submodule(policy.family.facts.language).layers:
    fully_shard(layer, mesh=mesh)
fully_shard(policy.model, mesh=mesh)
for name, gradient in gradients().items():
    assert torch.allclose(gradient.full_tensor(), whole[name], atol=1e-6), name
load_trained(policy, out / "state" / "final")
with torch.no_grad():
    now = answer_logprobs(policy.model, batch, policy.family).sums
with policy.reference():
    before = answer_logprobs(policy.model, batch, policy.family).sums
torch.save((now, before), out / f"sharded-{mesh.get_rank()}.pt")
"""


def test_two_processes_learn_what_one_does_and_sharded_weights_are_the_same_model(
    pairs, settings_for, checkpoint, tmp_path
):
    settings = settings_for(batching={"pairs": 8}, reference={"mode": "cached"}, optimiser={"max_steps": 4},
                            saving={"when_finished": "keep"})  # fmt: skip
    train_dpo(pairs[:21], settings, tmp_path / "one")
    apart = settings.model_copy(update={"reference": settings.reference.model_copy(update={"cache": str(tmp_path)})})
    (tmp_path / "task").write_bytes(pickle.dumps((pairs[:21], apart, tmp_path / "two")))
    (tmp_path / "run.py").write_text(TWO_RANKS)
    processes.launch(str(tmp_path / "run.py"), str(tmp_path / "task"))
    same(weights(tmp_path / "one"), weights(tmp_path / "two"), atol=2e-5, rtol=1e-4)
    for one, other in zip(metrics(tmp_path / "one"), metrics(tmp_path / "two"), strict=True):
        assert one["loss"] == pytest.approx(other["loss"], abs=1e-5)
        assert one["margin"] == pytest.approx(other["margin"], abs=1e-4)
    sharded = [torch.load(tmp_path / "two" / f"sharded-{rank}.pt") for rank in (0, 1)]
    for now, before in sharded:
        assert torch.allclose(now, logprobs_of(tmp_path / "one" / "checkpoint", pairs), atol=1e-3)
        assert torch.allclose(before, logprobs_of(checkpoint, pairs), atol=1e-3)


def logprobs_of(folder, pairs):
    """Log-probabilities that a checkpoint gives to the answers of two trees."""
    model = AutoModelForImageTextToText.from_pretrained(folder)
    family = family_of(model, load_processor(folder))
    with torch.no_grad():
        return answer_logprobs(
            model, PairDataset(pairs, family, packing="tree").batch([(0, 1, 2), (3, 4)])[0], family
        ).sums


@pytest.mark.parametrize(
    "freeze", [{"language": "lora"}, {"language": "full", "vision": "last:1"}], ids=["lora", "full"]
)
def test_a_training_that_was_stopped_and_resumed_ends_with_the_same_weights_to_the_bit(
    pairs, settings_for, tmp_path, freeze
):
    settings = settings_for(
        freeze=freeze, batching={"pairs": 5}, optimiser={"max_steps": 9}, saving={"every": 2, "log_every": 1}
    )
    train_dpo(pairs, settings, tmp_path / "whole")
    stopped = RecordingProgress(stop_at=7)
    with pytest.raises(KeyboardInterrupt):
        train_dpo(pairs, settings, tmp_path / "stopped", progress=stopped)
    newest = tmp_path / "stopped" / "state" / "checkpoint-6"
    (newest / "trainer_state.json").write_text('{"half a')
    again = RecordingProgress()
    train_dpo(pairs, settings, tmp_path / "stopped", progress=again)
    same(weights(tmp_path / "whole"), weights(tmp_path / "stopped"))
    assert metrics(tmp_path / "whole") == metrics(tmp_path / "stopped")
    assert (again.first, again.done) == (5, 9), "checkpoint 6 was damaged, so it resumes after 4"


def test_runs_with_other_losses_share_one_reference(pairs, settings_for, tmp_path):
    kept = tmp_path / "kept"
    for beta, kind in [(0.1, "sigmoid"), (0.3, "sigmoid"), (0.5, "ipo")]:
        settings = settings_for(loss={"beta": beta, "kind": kind}, reference={"mode": "cached", "cache": str(kept)})
        train_dpo(pairs, settings, tmp_path / f"{kind}{beta}")
        assert len(list(kept.rglob("*.parquet"))) == 1
    assert metrics(tmp_path / "sigmoid0.3")[0]["loss"] == pytest.approx(0.693147, abs=1e-4)
    assert metrics(tmp_path / "ipo0.5")[0]["loss"] == pytest.approx(1.0, abs=1e-3)


def test_a_loss_that_is_no_number_stops_the_training_with_the_pairs_by_name(pairs, settings_for, tmp_path):
    settings = settings_for(
        optimiser={"learning_rate": 1e30, "max_grad_norm": 0.0}, freeze={"language": "full"}, batching={"pairs": 3}
    )
    with pytest.raises(RunError, match=r"is not a finite number at step 2") as error:
        train_dpo(pairs, settings, tmp_path)
    assert "p" in error.value.where and "learning_rate" in error.value.try_
    named = error.value.where.removeprefix("pairs ").split(", ")
    assert len(named) == 3 and set(named) <= {pair.pair_id for pair in pairs}


def test_the_written_step_is_the_least_unsafe_within_the_limits(pairs, settings_for, tmp_path):
    scores = iter([(0.5, 0.0, 0.9), (0.3, 0.01, 0.9), (0.1, 0.01, 0.89), (0.0, 0.2, 0.9)])
    validated = []

    def validation(policy):
        assert not policy.model.training and not torch.is_grad_enabled()
        validated.append(policy)
        return ValidationScores(*next(scores))

    shape = {"batching": {"pairs": 4}, "machine": {"gradient_checkpointing": True}}
    constant = {"schedule": "constant", "max_steps": 6}
    settings = settings_for(validation={"every": 2}, optimiser=constant, **shape)
    made = train_dpo(pairs, settings, tmp_path / "validated", validation=validation)
    assert made.chosen == 4 and len(validated) == 4 and "least unsafe" in made.why
    train_dpo(pairs, settings_for(optimiser={**constant, "max_steps": 4}, **shape), tmp_path / "four")
    same(weights(tmp_path / "validated"), weights(tmp_path / "four"))
    lines = [json.loads(line) for line in (tmp_path / "validated" / "validation.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [0, 2, 4, 6] and lines[2]["unsafe"] == 0.1


def test_where_no_step_is_within_the_limits_the_last_is_written_and_the_reason_given(pairs, settings_for, tmp_path):
    settings = settings_for(validation={"every": 3})
    made = train_dpo(pairs, settings, tmp_path, validation=lambda policy: ValidationScores(0.0, 0.9, 0.9))
    assert made.chosen == 6 and made.why.startswith("the last step, for no step had over-refusal")


def test_blind_training_reads_no_picture(pairs, settings_for, tmp_path):
    last = pairs[-1].pictures[0].source
    swapped = [pair.with_pictures(lambda picture: replace(picture, source=last)) for pair in pairs]
    train_dpo(pairs, settings_for(blind=True), tmp_path / "own")
    train_dpo(swapped, settings_for(blind=True, reference={"cache": str(tmp_path / "b")}), tmp_path / "swapped")
    same(weights(tmp_path / "own"), weights(tmp_path / "swapped"))


def test_broken_pairs_stop_the_training_before_it_starts_or_are_left_out_and_counted(pairs, settings_for, tmp_path):
    mixed = [replace(pairs[0], pair_id="bad", rejected=pairs[0].chosen), *pairs[:9]]
    with pytest.raises(DataError, match=r"equal answers \(1: bad\)"):
        train_dpo(mixed, settings_for(), tmp_path / "refused")
    assert not (tmp_path / "refused" / "state").exists()
    train_dpo(mixed, settings_for(data={"invalid": "skip"}), tmp_path / "skipped")
    note = json.loads((tmp_path / "skipped" / "training.json").read_text())
    assert note["pairs"] == 9 and note["left_out"] == {"equal answers": ["bad"]}


@pytest.mark.parametrize(("policy", "kept", "left_out"), [("skip", 2, 1), ("cut", 3, 0)])
def test_pairs_that_are_too_long_are_left_out_or_their_answers_cut(
    pairs, settings_for, tmp_path, policy, kept, left_out
):
    long = replace(pairs[0], pair_id="long", chosen=" ".join(["cup"] * 30), rejected=" ".join(["hat"] * 30))
    settings = settings_for(data={"max_tokens": 32, "too_long": policy})
    train_dpo([long, pairs[3], pairs[6]], settings, tmp_path)
    note = json.loads((tmp_path / "training.json").read_text())
    assert note["pairs"] == kept and len(note["left_out"].get("too long", [])) == left_out
    assert ("answers cut to 32 tokens" in (tmp_path / "preflight.txt").read_text()) == (policy == "cut")
    with pytest.raises(DataError, match=r"too long \(1: long\)"):
        train_dpo([long, pairs[3]], settings_for(data={"max_tokens": 32, "too_long": "refuse"}), tmp_path / "no")


def test_a_disk_that_is_full_is_one_sentence_and_the_training_resumes_later(pairs, settings_for, tmp_path):
    settings = settings_for(saving={"every": 2})
    whole, most = resource.getrlimit(resource.RLIMIT_FSIZE), 20_000
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

    def fill(step):
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, whole[1]) if step == 4 else whole)

    try:
        with pytest.raises(RunError, match="cannot be written") as error:
            train_dpo(pairs, settings, tmp_path / "full", progress=RecordingProgress(each=fill))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, whole)
    assert "make room" in error.value.try_
    train_dpo(pairs, settings, tmp_path / "full")
    train_dpo(pairs, settings, tmp_path / "roomy")
    same(weights(tmp_path / "full"), weights(tmp_path / "roomy"))


def test_metrics_reach_a_tracker_and_one_that_is_not_installed_is_named(pairs, settings_for, tmp_path):
    train_dpo(pairs, settings_for(saving={"report_to": ["tensorboard"]}), tmp_path)
    assert list((tmp_path / "state").rglob("events.out.tfevents*"))
    with pytest.raises(MissingExtra, match="tracker trackio is not installed"):
        train_dpo(pairs, settings_for(saving={"report_to": ["trackio"]}), tmp_path / "none")


def test_one_process_that_sees_several_gpus_is_told_how_to_launch():
    refuse_without_launcher(1, 1, [])
    refuse_without_launcher(4, 4, [])
    with pytest.raises(SettingsError, match="4 GPUs") as error:
        refuse_without_launcher(4, 1, ["align", "my.yaml"])
    assert "accelerate launch --num_processes 4 -m spavl align my.yaml" in error.value.try_


def test_in_half_precision_trees_may_differ_by_the_models_own_rounding_and_it_still_learns(
    pairs, settings_for, checkpoint, tmp_path
):
    settings = settings_for(machine={"dtype": "bfloat16"}, optimiser={"max_steps": 20}, batching={"pairs": 24})
    made = train_dpo(pairs, settings, tmp_path)
    assert "trees are exact" in (tmp_path / "preflight.txt").read_text()
    assert "nats, up to" in (tmp_path / "preflight.txt").read_text()
    model = AutoModelForImageTextToText.from_pretrained(made.checkpoint)
    assert model.dtype == torch.bfloat16
    gained = margins(made.checkpoint, pairs) - margins(checkpoint, pairs)
    assert gained.mean() > 2
