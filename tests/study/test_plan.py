"""Arms × seeds → distinct trainings: what is equal is one training, also across studies."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from spavl.config import Settings
from spavl.config.study import load_study
from spavl.errors import DataError, SettingsError
from spavl.run import Run
from spavl.study.arms import arms_of, measured_bags
from spavl.study.plan import StudyPlan
from spavl.study.run import prepare_study
from spavl.study.source import StudySource, open_source
from tests.study.samples import TYPES, planned, write_pairs, write_study


@pytest.fixture(autouse=True, scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """All studies of this file are about the same pairs."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("studies")
        patch.chdir(folder)
        yield folder


def ids(plan: StudyPlan) -> dict[tuple[str, int], str]:
    return {(arm.name, seed): training for arm, seed, training in plan.rows}


def source(place: Path, **tree: Any) -> StudySource:
    path = write_study(place, **tree)
    return open_source(load_study(path), path)


def test_the_arm_of_all_pairs_is_one_training_in_every_kind_of_study(place: Path) -> None:
    scale = ids(planned(place, kind="scale", sizes=[6, 12]))
    questions = ids(planned(place, kind="questions", size=12))
    freeze = ids(planned(place, kind="freeze", size=12, modes={"as-set": {}, "projector": {"projector": "train"}}))
    bags = {"two": ["ash", "bay"]}
    sources = ids(planned(place, kind="sources", bags=bags, size=4))
    assert scale["12", 1] == questions["mixed", 1] == freeze["as-set", 1]
    assert sources["all", 2] == ids(planned(place, kind="scale", sizes=[4, "all"]))["4", 2]
    assert len({*scale.values(), *questions.values(), *freeze.values()}) == 4 + 6 + 2


@pytest.mark.parametrize("name", ["base", "base-projector"])
def test_an_arm_that_is_called_as_a_model_before_training_is_refused(place: Path, name: str) -> None:
    with pytest.raises(SettingsError, match=f"called `{name}`"):
        planned(place, kind="freeze", size=8, modes={name: {}, "projector": {"projector": "train"}})


def test_arms_and_seeds_that_train_the_same_are_one_training(place: Path) -> None:
    plan = planned(place, kind="method", arms={"a": {}, "b": {"loss.beta": 0.1}, "c": {"loss": {"beta": 0.3}}}, size=8)
    assert plan.shared == 2
    assert len(plan.trainings) == 4
    assert plan.arms_of(ids(plan)["a", 1]) == [(plan.arms[0], 1), (plan.arms[1], 1)]


def test_where_a_training_lies_is_its_id_and_its_settings_say_everything(place: Path) -> None:
    plan = planned(place, kind="scale", sizes=[6, 12], trainings="elsewhere")
    for arm, seed, training in plan.rows:
        one = plan.trainings[training]
        assert one.folder == Path("elsewhere") / training
        assert (one.settings.align.seed, len(one.numbers)) == (seed, arm.pairs.size)
        assert Settings.model_validate(json.loads(one.settings.model_dump_json())) == one.settings


def test_references_are_cached_and_adapters_not_merged_unless_the_settings_say_so(place: Path) -> None:
    def align(**changed: Any) -> Any:
        plan = planned(place, kind="scale", sizes=[6, 12], changed=changed)
        return next(iter(plan.trainings.values())).settings.align

    assert (align().reference.mode, align().saving.merged) == ("cached", False)
    other = align(**{"align.reference.mode": "live", "align.saving.merged": True})
    assert (other.reference.mode, other.saving.merged) == ("live", True)


def test_a_run_says_that_adapters_are_merged_without_anyone_having_set_it(place: Path) -> None:
    run = Path("runs/merged")
    Run(run).open().note(stages=[])
    settings = open_source(load_study(write_study(place, kind="scale", sizes=[6, 12])), place / "study.yaml").settings
    (run / "settings.yaml").write_text(yaml.safe_dump(settings.model_dump(mode="json")))
    for changed, merged in ({}, False), ({"align.saving.merged": True}, True):
        path = write_study(place, kind="scale", sizes=[6, 12], changed=changed)
        plan = prepare_study(load_study(path, ["settings=null", f"run={run}"]), path)
        assert {one.settings.align.saving.merged for one in plan.trainings.values()} == {merged}


def test_arms_with_ppo_share_a_reward_model_that_is_trained_before_them(place: Path) -> None:
    arms = {"dpo": {}, "ppo": {"method": "ppo"}, "rloo": {"method": "ppo", "ppo.estimator": "rloo", "ppo.answers": 2},
            "other": {"method": "ppo"}}  # fmt: skip
    plan = planned(place, kind="method", arms=arms, size=8, seeds=[1], reward={"batching.pairs": 2},
                   rewards={"other": {"batching.pairs": 8}})  # fmt: skip
    trained = ids(plan)
    rewards = [one for one in plan.trainings.values() if one.for_ppo]
    assert [one.settings.align.batching.pairs for one in rewards] == [2, 8]
    ppo, rloo, other = (plan.trainings[trained[name, 1]] for name in ("ppo", "rloo", "other"))
    assert ppo.reward == rloo.reward == rewards[0].id != other.reward
    assert plan.trainings[ppo.reward].settings.align.ppo == ppo.settings.align.ppo
    assert ppo.settings.align.reward.folder == str(rewards[0].made)
    assert [arm.name for arm, _ in plan.arms_of(rewards[0].id)] == ["ppo", "rloo"]


def test_a_reward_model_is_trained_on_the_pairs_that_the_run_names_for_it(place: Path) -> None:
    """As by `spavl align`: on all of them, whatever the arm's own model is trained on."""
    write_pairs(place / "reward.parquet", 20)
    changed = {"align.method": "ppo", "align.reward.pairs": "reward.parquet"}
    plan = planned(place, kind="scale", sizes=[6, 12], seeds=[1], changed=changed)
    (reward,) = (one for one in plan.trainings.values() if one.for_ppo)
    assert (reward.dataset.path, len(reward.numbers)) == ("reward.parquet", 20)
    assert [len(plan.trainings[training].numbers) for training in ids(plan).values()] == [6, 12]
    assert {one.reward for one in plan.trainings.values() if not one.for_ppo} == {reward.id}


def test_families_have_a_model_before_training_each_and_all_others_have_one(place: Path) -> None:
    assert {base.arm for base in planned(place, kind="scale", sizes=[6, 12]).bases.values()} == {"base"}
    models = {"one": {"model": "miniworld:base"}, "two": {"model": "miniworld:responders/amber"}}
    plan = planned(place, kind="families", models=models, size=8, seeds=[1])
    assert {name: base.arm for name, base in plan.bases.items()} == {"one": "base-one", "two": "base-two"}
    assert len({base.settings.out for base in plan.bases.values()}) == 2


def test_every_arm_has_equally_many_pairs_and_as_many_harmless_ones(place: Path) -> None:
    arms = arms_of(source(place, kind="questions"))
    assert [arm.name for arm in arms] == [*TYPES, "mixed"]
    assert {arm.pairs.size for arm in arms} == {12}  # 8 of a type's 16 pairs are harmful, which are two thirds
    assert [arm.pairs.benign_share for arm in arms] == [pytest.approx(1 / 3)] * 3 + [None]


def test_a_dataset_of_the_study_can_be_compared_with_another(place: Path) -> None:
    write_study(place)
    (place / "other.jsonl").write_text(
        "\n".join(json.dumps({"prompt": f"request {n}", "chosen": "an answer that refuses", "rejected": "an answer"})
                  for n in range(5))
    )  # fmt: skip
    datasets = {"ours": {}, "other": {"path": "other.jsonl"}}
    plan = planned(place, kind="datasets", datasets=datasets, seeds=[1])
    assert {len(one.numbers) for one in plan.trainings.values()} == {5}


def test_single_answers_are_read_where_the_runs_loss_reads_them(place: Path) -> None:
    rows = [{"prompt": f"request {n}", "completion": "an answer", "label": n % 2 == 0} for n in range(8)]
    (place / "single.jsonl").write_text("\n".join(map(json.dumps, rows)))

    def plan(changed: dict[str, Any]) -> StudyPlan:
        path = write_study(place, kind="scale", sizes=[4, 8], seeds=[1], changed=changed)
        return prepare_study(load_study(path, ["pairs=single.jsonl"]), path)

    kto = plan({"align.loss.kind": "kto", "align.loss.sft_anchor": 0.0})
    assert sorted(len(one.numbers) for one in kto.trainings.values()) == [4, 8]
    with pytest.raises(DataError, match="single answers with labels"):
        plan({})


def test_single_answers_are_read_by_the_arms_that_train_on_them(place: Path) -> None:
    """Whatever the run's own loss is."""
    rows = [{"prompt": f"request {n}", "completion": "an answer", "label": n % 2 == 0} for n in range(8)]
    (place / "single.jsonl").write_text("\n".join(map(json.dumps, rows)))
    kto, sigmoid = {"loss.kind": "kto", "loss.sft_anchor": 0.0}, {"loss.kind": "sigmoid"}

    def plan(arms: dict[str, Any], changed: dict[str, Any]) -> StudyPlan:
        path = write_study(place, kind="method", seeds=[1], arms=arms, changed=changed)
        return prepare_study(load_study(path, ["pairs=single.jsonl"]), path)

    of_arms = plan({"low": {**kto, "loss.beta": 0.1}, "high": {**kto, "loss.beta": 0.4}}, {})
    assert [len(one.numbers) for one in of_arms.trainings.values()] == [8, 8]
    with pytest.raises(DataError, match="single answers with labels"):
        plan({"kto": kto, "dpo": sigmoid}, {"align.loss.kind": "kto", "align.loss.sft_anchor": 0.0})


def test_a_grid_has_all_combinations_and_a_place_on_its_axis_where_it_has_one(place: Path) -> None:
    one_axis = arms_of(source(place, kind="grid", axes={"loss.beta": [0.1, 0.2]}))
    assert [(arm.name, arm.value) for arm in one_axis] == [("beta=0.1", 0.1), ("beta=0.2", 0.2)]
    both = arms_of(source(place, kind="grid", axes={"loss.beta": [0.1, 0.2], "loss.kind": ["ipo", "sigmoid"]}))
    assert [arm.label for arm in both][:2] == ["loss.beta 0.1, loss.kind ipo", "loss.beta 0.1, loss.kind sigmoid"]
    assert both[0].align == {"loss": {"beta": 0.1, "kind": "ipo"}}
    assert {arm.value for arm in both} == {None}


@pytest.mark.parametrize(
    ("groups", "bags"),
    [
        ([0, 0, 0, 1, 1, 2, 2, 2, 3, 3, 4, 4], [[0, 1, 2], [0, 1, 2, 3, 4], [8, 9, 10, 11]]),
        ([0, 1, 2, 2], [[0], [0, 1], [2, 3]]),
        ([0, 1, 2, 3], [[0], [0, 1], [3]]),
    ],
)
def test_bags_of_measured_safety_groups_are_as_in_the_paper(
    groups: list[int], bags: list[list[int]], place: Path
) -> None:
    """Of twelve responders the three safest, these and the two next, and the last two of five groups."""
    opened = source(place, kind="sources", changed={"out": f"run-of-{len(groups)}-{groups[-1]}"})
    opened.run.open().note(responders={str(n): {"unsafe_rate": n / 12, "group": g} for n, g in enumerate(groups)})
    found = [[int(name) for name in names] for _, _, names in measured_bags(opened)]
    assert found == bags


@pytest.mark.parametrize(
    ("tree", "said"),
    [
        ({"kind": "scale", "sizes": [10, 5000]}, "`sizes` names 5,000 pairs, and there are 48"),
        ({"kind": "scale", "sizes": [48, "all"]}, "at least two different"),
        ({"kind": "sources"}, "three safety groups"),
        ({"kind": "sources", "bags": {"none": ["nobody"]}}, "Arm `none` has 0 pairs"),
        ({"kind": "sources", "bags": {"all": ["ash", "bay"]}}, "Two arms of the study would be called `all`"),
        ({"kind": "questions", "types": ["follow_up"]}, "Arm `follow_up` has 0 pairs"),
        ({"kind": "questions", "size": 40}, "too few for a study of equally many"),
        ({"kind": "method", "arms": {"a": {}, "b": {}}, "rewards": {"c": {}}}, "`c`, which is no arm"),
        ({"kind": "method", "arms": {"a": {}, "b": {"loss.betta": 1}}}, "`loss.betta` is not a setting"),
        ({"kind": "freeze", "modes": {"a": {}, "b": {"vision": "half"}}}, "`freeze.vision`"),
        ({"kind": "grid", "axes": {"seed": [1, 2]}}, "A `seed` is named"),
        ({"kind": "scale", "sizes": [6, 12], "changed": {"align.seed": 1}}, "`changed` of the study, below `align`"),
        ({"kind": "scale", "sizes": [6, 12], "reward": {"seed": 1}}, "`reward` of the study"),
        (
            {"kind": "method", "arms": {"a": {}, "b": {"loss.beta": 1}}, "rewards": {"b": {"seed": 1}}},
            "the reward model of arm `b`",
        ),
    ],
)
def test_a_study_that_cannot_be_is_a_sentence(tree: dict[str, Any], said: str, place: Path) -> None:
    with pytest.raises((SettingsError, DataError)) as error:
        planned(place, **tree)
    assert said in error.value.render()
