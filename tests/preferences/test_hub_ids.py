"""Configs and splits of a dataset on the Hub are named in one text."""

import datasets
import pytest

from spavl.errors import DataError
from tests.preferences.test_pairs import read_pairs

SPLITS = {"default": ["train"], "validation": ["validation"], "test": ["harm", "help"]}


def of_config(config, split):
    return datasets.Dataset.from_list([{"question": f"{config} {split}", "chosen": "x", "rejected": "y"}])


@pytest.fixture(autouse=True)
def _hub(monkeypatch):
    """A Hub with one dataset of three configs."""

    def load(name, config=None, *, split=None):
        if name != "owner/name" or (config or "default") not in SPLITS:
            raise ValueError(f"BuilderConfig {config!r} not found\nmore")
        there = SPLITS[config or "default"]
        if split is not None and split not in there:
            raise ValueError(f"Unknown split {split!r}")
        loaded = {one: of_config(config or "default", one) for one in there}
        return loaded[split] if split else datasets.DatasetDict(loaded)

    monkeypatch.setattr(datasets, "load_dataset", load)
    monkeypatch.setattr(datasets, "get_dataset_config_names", lambda name: list(SPLITS))


@pytest.mark.parametrize(("source", "questions"), [
    ("owner/name", ["default train"]), ("owner/name:default", ["default train"]),
    ("owner/name:validation", ["validation validation"]), ("owner/name:test/help", ["test help"]),
])  # fmt: skip
def test_the_train_split_is_read_or_the_one_that_is_named(source, questions):
    assert [pair.question for pair in read_pairs(source)] == questions


def test_every_config_is_read_with_a_star(monkeypatch):
    monkeypatch.setitem(SPLITS, "test", ["train"])
    assert [p.question for p in read_pairs("owner/name:*")] == [
        "default train", "validation validation", "test train"
    ]  # fmt: skip


@pytest.mark.parametrize(("source", "message"), [
    ("owner/name:test", "this config has the splits harm, help"), ("owner/name:other", "not found$"),
    ("owner/other", "neither a path here nor a dataset"), ("owner/name:test/no", "Unknown split"),
    ("owner/name:", "there are no pairs here"), ("owner", "there are no pairs here"),
])  # fmt: skip
def test_what_the_hub_does_not_have_is_a_sentence(source, message):
    with pytest.raises(DataError) as caught:
        read_pairs(source)
    import re

    assert re.search(message, caught.value.what)
