"""From the results of a study to its claims and laws, on planted scores."""

from __future__ import annotations

from dataclasses import replace

import pytest

from spavl.config.study import load_study
from spavl.study.claims import claims_of
from spavl.study.findings import compare, findings
from spavl.study.laws import law_of
from spavl.study.measures import measured
from spavl.study.metric_runs import before_training, metric_runs, places
from spavl.study.results import read_results, write_results
from tests.study import planted

SIZES = (100, 1000, 3000, 10000, 30000)
UNSAFE = (0.6, 0.45, 0.15, 0.05, 0.04)
SCALE = f"kind: scale\nsettings: demo\nsizes: {list(SIZES)}\n"
ARMS = {str(n): {"unsafe_rate": rate, "skill_accuracy": 0.8} for n, rate in zip(SIZES, UNSAFE, strict=True)}


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    folder = tmp_path_factory.mktemp("studies") / "scale"
    return planted.study(folder, SCALE, ARMS, values=SIZES, base={"unsafe_rate": 0.7, "skill_accuracy": 0.8})


def test_a_study_of_sizes_gives_its_finding_and_its_law(study) -> None:
    settings = load_study(study / "study.yaml")
    metrics = list(measured(study, read_results(study)))
    claims = claims_of(settings, places(metrics[0]))
    comparisons = [one for arms in metrics for one in compare(claims, metric_runs(arms))]
    (finding,) = findings(claims, comparisons)
    assert finding.verdict == "confirmed" and "Arm 30000" in finding.sentence and "(Arm 100)" in finding.sentence
    assert "No cost is shown in skill." in finding.sentence
    law = law_of(metric_runs(metrics[0]), places(metrics[0]), before_training(metrics[0]))
    assert law is not None and list(law.measured.sizes) == [0, *SIZES] and law.knee[1] < 5_000 < 2 * law.knee[2]


def test_the_model_before_training_is_no_arm_and_keys_tell_metrics_apart(study) -> None:
    metrics = [metric_runs(arms) for arms in measured(study, read_results(study))]
    assert {tuple(one.runs) for one in metrics} == {tuple(ARMS)} and len({one.key for one in metrics}) == 2
    assert all(set(runs) == {1, 2, 3} for one in metrics for runs in one.runs.values())
    assert metrics[0].better == "lower" and metrics[0].same == frozenset()


def test_arms_of_the_same_trainings_are_told(study, tmp_path) -> None:
    copy = tmp_path / "same"
    copy.symlink_to(study, target_is_directory=True)
    results = [
        replace(one, training=str(one.seed)) if one.arm in ("100", "1000") else one for one in read_results(study)
    ]
    (tmp_path / "own").mkdir()
    write_results(tmp_path / "own", results)
    arms = next(iter(measured(copy, read_results(tmp_path / "own"))))
    assert metric_runs(arms).same == frozenset({frozenset({"100", "1000"})})
    assert before_training({name: arm for name, arm in arms.items() if not arm.first.is_base}) is None
