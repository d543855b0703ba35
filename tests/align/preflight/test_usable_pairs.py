"""Which pairs are trained on, and what is known of them before the first step."""

import pickle
from dataclasses import replace

import pytest
from transformers import AutoModelForImageTextToText

from spavl.align.data.lengths import measure_lengths
from spavl.align.policy.policy import make_policy
from spavl.align.preflight.usable_pairs import group_by, usable_pairs
from spavl.config.align import AlignSettings, FreezeSettings
from spavl.errors import DataError
from spavl.models.families import load_processor
from spavl.preferences.table import PairSelection


@pytest.fixture(scope="module")
def policy(checkpoint):
    model = AutoModelForImageTextToText.from_pretrained(checkpoint)
    return make_policy(model, load_processor(checkpoint), FreezeSettings(rank=2))


def usable(pairs, policy, **data):
    settings = AlignSettings.model_validate({"data": data})
    return usable_pairs(pairs, settings, policy, "local:model", lambda done, total: None)


@pytest.mark.parametrize("too_long", ["skip", "cut"])
def test_a_tree_that_lost_a_pair_has_the_lengths_of_its_other_pairs_alone(pairs, policy, too_long):
    question = " ".join(["what"] * 40)
    some = [pairs[0], replace(pairs[1], pair_id="long", question=question), pairs[3], pairs[4]]
    dataset, trees, findings = usable(some, policy, max_tokens=40, too_long=too_long)
    assert [one.rows for one in findings if one.what == "too long"] == [("long",)]
    assert [pair.pair_id for pair in dataset.pairs] == [some[0].pair_id, some[2].pair_id, some[3].pair_id]
    again = measure_lengths(dataset.pairs, group_by(dataset.pairs, "picture"), policy.family)
    assert dataset.lengths.tolist() == again.tolist() and trees == [(0,), (1, 2)]
    assert dataset.lengths["question"].tolist()[0] == 0, "a question that is alone is part of the prefix"


def test_lengths_of_a_table_are_measured_once_for_all_trainings_on_a_model(pairs, policy, tmp_path, monkeypatch):
    import pyarrow as pa
    import pyarrow.parquet as pq

    from spavl.align.preflight import usable_pairs as module
    from spavl.preferences.table import open_pairs

    rows = [
        {"image": {"bytes": p.pictures[0].source.read_bytes(), "path": None}, "question": p.question,
         "chosen": p.chosen, "rejected": p.rejected if n else p.chosen} for n, p in enumerate(pairs)
    ]  # fmt: skip
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "train.parquet")
    measured = []

    def counted(*given, **named):
        measured.append(1)
        return measure_lengths(*given, **named)

    monkeypatch.setattr(module, "measure_lengths", counted)
    table = open_pairs(tmp_path, cache=tmp_path / "cache")
    with pytest.raises(DataError, match="equal answers"):
        usable(table, policy)
    for _ in range(2):
        dataset, trees, _ = usable(table, policy, invalid="skip")
        assert isinstance(dataset.pairs, PairSelection) and len(dataset.pairs) == len(pairs) - 1
        assert sum(map(len, trees)) == len(pairs) - 1
        assert dataset.lengths.tolist() == measure_lengths(dataset.pairs, trees, policy.family).tolist()
    assert len(measured) == 1
    whole = pickle.loads(pickle.dumps(dataset.pairs))
    assert [pair.pair_id for pair in whole] == [pair.pair_id for pair in dataset.pairs]
