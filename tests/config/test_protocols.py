"""A protocol fixes how a benchmark is measured: what it fixes cannot be set otherwise, and its hash tells it apart."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError

from spavl.config.benchmarks import BenchmarkSpec, PopeBenchmark
from spavl.config.protocols import Protocol, protocol_named, protocol_names

OWN = {
    "title": "Ours", "source": "this test",
    "benchmarks": {"pope": {"entry": {"prompt": "{question} Briefly."}, "metrics": ["pope_accuracy"]}},
}  # fmt: skip


def own(folder: Path, **changed: object) -> str:
    path = folder / "own.yaml"
    path.write_text(yaml.safe_dump({**OWN, **changed}))
    return str(path)


def entry(**given: object) -> PopeBenchmark:
    return PopeBenchmark.model_validate({"path": "p", "images": "i", **given})


def test_what_a_protocol_fixes_is_taken_from_it(tmp_path: Path) -> None:
    assert entry(protocol=own(tmp_path)).prompt == "{question} Briefly."


def test_an_entry_may_say_the_same_as_its_protocol_and_nothing_else(tmp_path: Path) -> None:
    name = own(tmp_path)
    assert entry(protocol=name, prompt="{question} Briefly.").prompt == "{question} Briefly."
    with pytest.raises(ValidationError, match="`prompt` is fixed by the protocol"):
        entry(protocol=name, prompt="{question}")


def test_settings_that_were_read_with_a_protocol_can_be_read_again(tmp_path: Path) -> None:
    made = entry(protocol=own(tmp_path))
    assert PopeBenchmark.model_validate(made.model_dump(mode="json")) == made


def test_a_protocol_that_is_not_there_is_told_with_those_that_are() -> None:
    with pytest.raises(ValidationError, match=r"no protocol `pope-oficial` \(did you mean `pope-official`\?\)"):
        entry(protocol="pope-oficial")


def test_a_protocol_of_other_benchmarks_is_told(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="says nothing of `pope`: it is of gqa"):
        entry(protocol=own(tmp_path, benchmarks={"gqa": {"metrics": ["gqa_accuracy"]}}))


@pytest.mark.parametrize("text", ["- a list", "title: x", "title: [", "benchmarks: {pope: {metrics: m}}"])
def test_a_file_that_is_no_protocol_is_told(tmp_path: Path, text: str) -> None:
    (tmp_path / "bad.yaml").write_text(text)
    with pytest.raises(ValidationError, match="protocol"):
        entry(protocol=str(tmp_path / "bad.yaml"))


def test_the_hash_is_that_of_what_is_fixed_and_not_of_the_words() -> None:
    ours = Protocol.model_validate(OWN)
    assert Protocol.model_validate({**OWN, "title": "Other words", "note": "more"}).hash == ours.hash
    other = {"pope": {"entry": {"prompt": "{question}"}, "metrics": ["pope_accuracy"]}}
    assert Protocol.model_validate({**OWN, "benchmarks": other}).hash != ours.hash


@pytest.mark.parametrize("name", protocol_names())
def test_every_protocol_that_ships_fits_the_settings_of_its_benchmarks(name: str) -> None:
    from typing import get_args

    classes = {one.model_fields["kind"].default: one for one in get_args(get_args(BenchmarkSpec)[0])}
    for kind, said in protocol_named(name).benchmarks.items():
        unknown = set(said.entry) - set(classes[kind].model_fields)
        assert not unknown, f"{name}: {kind} has no {unknown}"
        assert said.metrics
