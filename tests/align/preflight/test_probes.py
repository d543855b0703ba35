"""What running a model has shown is used again for trees that are no larger, and for nothing else that could matter."""

from dataclasses import replace

import pytest

from spavl.align.dpo.train import train_dpo
from spavl.align.preflight.checks import PreflightChecks
from spavl.align.preflight.probes import CheckedModel, Probes, Shape, probe_key, shape_of
from spavl.progress import NoProgress


@pytest.mark.parametrize(
    ("trees", "covered"),
    [
        ([(2, 50, 1)], True),
        ([(1, 10, 1), (2, 50, 0)], True),
        ([(2, 51, 1)], False),
        ([(3, 50, 1)], False),
        ([(1, 10, 2)], False),
    ],
)
def test_larger_trees_and_other_numbers_of_pictures_are_run(trees, covered):
    probes = Probes()
    probes.keep("model", CheckedModel(shape_of([(2, 40, 1), (1, 50, 0)]), "tree", ()))
    assert (probes.find("model", shape_of(trees)) is not None) == covered
    assert probes.find("another model", shape_of(trees)) is None


def test_nothing_is_kept_without_a_name():
    probes = Probes()
    probes.keep("", CheckedModel(Shape(1, 1, frozenset([1])), "tree", ()))
    assert probes.find("", Shape(1, 1, frozenset([1]))) is None


@pytest.mark.parametrize(
    "changed",
    [{"freeze": {"projector": "frozen"}}, {"batching": {"packing": "separate"}}, {"blind": True},
     {"loss": {"image_conditional": 0.1}}, {"machine": {"gradient_checkpointing": True}}],
)  # fmt: skip
def test_settings_that_change_what_a_model_computes_have_a_key_of_their_own(changed, settings_for):
    plain = probe_key("local:model", settings_for(), "cpu")
    assert probe_key("local:model", settings_for(loss={"beta": 0.7}, optimiser={"max_steps": 2}), "cpu") == plain
    assert probe_key("local:model", settings_for(**changed), "cpu") != plain
    assert probe_key("local:other", settings_for(), "cpu") != plain


class Lines(NoProgress):
    def __init__(self):
        self.lines = []

    def log(self, message, *more):
        self.lines.append(message)


def test_a_finding_of_texts_alone_is_not_said_of_pairs_with_pictures(pairs, settings_for, tmp_path):
    said = []
    texts = [replace(pair, pictures=()) for pair in pairs[:2]]
    for name, some in (("texts", texts), ("mixed", [*texts, *pairs[2:]])):
        notes = Lines()
        one = {"optimiser": {"max_steps": 1}, "batching": {"pairs": 1, "shuffle": False}}
        train_dpo(some, settings_for(**one), tmp_path / name, progress=notes)
        said.append(any("get no gradient" in line for line in notes.lines))
    assert said == [True, False]


def test_a_second_training_says_the_same_without_running_the_model_again(pairs, settings_for, tmp_path, monkeypatch):
    ran, real = [], PreflightChecks._run_model
    monkeypatch.setattr(PreflightChecks, "_run_model", lambda self, sample: ran.append(1) or real(self, sample))
    said = []
    for beta in (0.1, 0.5):
        notes = Lines()
        settings = settings_for(loss={"beta": beta}, optimiser={"max_steps": 1})
        train_dpo(pairs, settings, tmp_path / str(beta), progress=notes)
        said.append([line for line in "\n".join(notes.lines).splitlines() if line.startswith(("note", "warn"))])
    assert len(ran) == 1
    assert said[0] == said[1] and any("trees are exact" in line for line in said[0])
