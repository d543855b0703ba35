"""The benchmark against TRL: both sides get the same work, and the paper arithmetic is the dossier's."""

import json
import sys

import pytest
import torch
from trl.trainer.dpo_trainer import DataCollatorForVisionPreference

from bench import dpo
from bench.trl_comparison import flops, gpu, spavl_dpo, trl_dpo
from bench.trl_comparison.comparison import Contestant, SizeTrial, alternate, middle, steps_of, try_sizes
from bench.trl_comparison.ratios import speed_up
from bench.trl_comparison.run_spec import RunSpec, Timing
from bench.trl_comparison.workload import LLAVA_7B, SMALL, ModelShape, pairs, processor
from spavl.align.data.batches import PairDataset
from spavl.align.preflight.prepare import group_by
from spavl.models.trees.pack import unpack_tree

TINY = ModelShape("tiny", 32, 48, 2, 2, 200, 16, 32, 2, 2, side=28)


def timing(seconds, cache=0.0):
    return Timing(step=seconds, worked=seconds, losses=(), cache=cache)


def test_both_sides_read_the_same_tokens_and_score_the_same_ones():
    data = pairs(TINY, 6)
    dataset = PairDataset(data, spavl_dpo.policy_of(TINY, RunSpec(step=6, batch=6)).family, packing="tree")
    alone = [row for tree in group_by(data, "picture") for row in unpack_tree(dataset.tree(tree))]
    batch = DataCollatorForVisionPreference(processor(TINY))([trl_dpo.rows(data)[n] for n in range(6)])
    lines = zip(batch["input_ids"], batch["attention_mask"].bool(), batch["completion_mask"].bool(), strict=True)
    read = [(ids[there].tolist(), ids[said].tolist()) for ids, there, said in lines]
    order = [row for n in range(6) for row in (alone[2 * n], alone[2 * n + 1])]
    for number in range(6):
        for mine, other in zip(order[2 * number : 2 * number + 2], (read[number], read[6 + number]), strict=True):
            (answer,) = mine.answers
            assert mine.ids.tolist() == other[0]
            assert mine.ids[answer.start : answer.stop].tolist() == other[1]


def test_the_small_shape_has_the_sizes_that_the_row_names():
    assert (SMALL.hidden, SMALL.layers, SMALL.vocabulary) == (256, 6, 8_000)
    assert (SMALL.vision_hidden, SMALL.vision_layers, SMALL.image_tokens) == (128, 4, 576)
    words = processor(SMALL)
    assert len(words.tokenizer) == 8_000
    data = pairs(SMALL, 300)
    assert [pair.image_key for pair in data[:4]] == ["picture0/0"] * 3 + ["picture0/1"]
    asked = len(words.tokenizer(f"<s> USER: {data[0].question} ASSISTANT:")["input_ids"])
    said = [len(words.tokenizer(f"{text} </s>")["input_ids"]) for p in data for text in (p.chosen, p.rejected)]
    assert asked == flops.TRUNK_WORDS + flops.QUESTION == 40
    assert min(said) == 60 and max(said) == 140 and abs(sum(said) / 600 - flops.ANSWER) < 3


def test_the_paper_arithmetic_is_that_of_the_training_dossier():
    tera = 1e12
    assert flops.trl(LLAVA_7B, score_all=True).forward / tera == pytest.approx(19.19, abs=0.01)
    assert flops.trl(LLAVA_7B, score_all=False).forward / tera == pytest.approx(18.87, abs=0.01)
    assert flops.tree(LLAVA_7B, 1).forward / tera == pytest.approx(10.79, abs=0.01)
    assert flops.trl(LLAVA_7B, score_all=False).step(live=True) / tera == pytest.approx(58.2, abs=0.1)
    assert flops.ratio(LLAVA_7B, questions=3, live=False) == pytest.approx(5.1, abs=0.1)
    assert flops.ratio(LLAVA_7B, questions=3, live=True) == pytest.approx(3.4, abs=0.1)


def test_a_gain_is_of_medians_and_shares_the_cache_among_its_uses():
    trl, our = [timing(8.0), timing(90.0), timing(10.0)], [timing(1.0, 5.0), timing(0.1, 5.0), timing(2.0, 5.0)]
    assert speed_up("row", trl, our, 9.0, "").value == 10.0
    assert speed_up("row", trl, our, 3.8, "", uses=5).value == 5.0
    assert middle(trl).seconds == 10.0


@pytest.mark.parametrize(("batch", "step"), [(1, 12), (2, 12), (4, 12), (6, 12), (8, 24), (12, 12)])
def test_a_step_holds_whole_passes_and_whole_pictures(batch, step):
    assert steps_of(12, batch) == step


def test_everybody_runs_in_turns_on_the_same_pairs():
    seen = []

    def side(shape, data, spec):
        seen.append((spec.batch, [pair.pair_id for pair in data], data[0].image))
        return timing(1.0)

    timings = alternate(TINY, {name: Contestant(side, RunSpec(step=6, batch=name)) for name in (1, 2)}, rounds=2)
    assert [batch for batch, *_ in seen] == [1, 2, 1, 2] and {len(found) for found in timings.values()} == {2}
    assert seen[0][1:] == seen[1][1:] == seen[2][1:]


def test_the_best_size_is_the_fastest_that_fits():
    def side(shape, data, spec):
        if spec.batch > 4:
            raise torch.OutOfMemoryError
        return timing(1 / spec.batch)

    trial = try_sizes(side, TINY, RunSpec(step=4, batch=1), (1, 2, 4, 8, 12), times=2)
    assert trial.best == 4 and list(trial.seconds) == [1, 2, 4]
    assert str(SizeTrial({2: 1.5})) == "2 pairs a forward pass, the best of those tried (2: 1.5)"


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_without_a_gpu_every_gpu_row_says_what_to_run_and_names_no_number(tmp_path, monkeypatch):
    out = tmp_path / "rows.json"
    words = ["bench.dpo", "--only", "plain", "checkpointed", "defaults", "--json", str(out)]
    monkeypatch.setattr(sys, "argv", words)
    with pytest.raises(SystemExit) as ended:
        dpo.main()
    assert ended.value.code == 0
    rows = json.loads(out.read_text())["measures"]
    assert {row["floor"] for row in rows} == {4.2, 2.8, 2.2, 1.5, 3.8, 3.6, 1.0, 5.0, None}
    for row in rows:
        assert row["value"] is None and row["holds"] is None
        assert "python -m bench.dpo --only" in row["how"]


def test_a_gpu_group_measures_every_row_in_one_contest(monkeypatch):
    """The code of the GPU rows, with clocks in place of the two trainers."""

    def clock(seconds):
        def side(shape, data, spec):
            return Timing(step=seconds, worked=seconds, losses=(), cache=0.1, peak=10 * seconds)

        return side

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(trl_dpo, "run", clock(2.0))
    monkeypatch.setattr(spavl_dpo, "run", clock(0.5))
    monkeypatch.setattr(gpu, "LLAVA_7B", TINY)
    for group in (gpu.PLAIN, gpu.CHECKPOINTED, gpu.DEFAULTS):
        rows = group.measures()
        assert len(rows) == len(group.rows) + (group.memory is not None)
        assert all(row.value is not None for row in rows)
    assert gpu.PLAIN.measures()[0].value == 4.0 and gpu.PLAIN.measures()[-1].value == 0.25
