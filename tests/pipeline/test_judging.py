"""Guards and judges of the settings by their names; dataset and evaluation share them."""

from __future__ import annotations

from pathlib import Path

import pytest

from spavl.config import Settings, load_settings
from spavl.errors import SettingsError
from spavl.judging.kinds import Written
from spavl.pipeline.benchmark_tools import guard_scorer
from spavl.pipeline.check import check
from spavl.pipeline.evaluate import open_benchmarks
from spavl.pipeline.judging import guard_named, guard_spec, judge_named, judge_spec, refusal_guard
from spavl.pipeline.session import Session
from spavl.pipeline.stages import pipeline_of
from spavl.progress import NoProgress

MODELS = "models=[{name: big, kind: endpoint, url: 'http://localhost:1/v1', model: m, identity: big/1}]"


def settings(*overrides: str) -> Settings:
    """Settings with one model."""
    return load_settings(Settings, None, [MODELS, *overrides])


def test_a_model_that_is_listed_as_no_guard_grades_by_the_rubric() -> None:
    spec = guard_spec(settings(), "big", "build.grade.guards")
    assert (spec.kind, spec.asks, judge_spec(settings(), "big", "build.judge.judges").kind) == (
        "rubric",
        "big",
        "combined",
    )


def test_an_entry_wins_over_a_model_of_its_name() -> None:
    listed = settings("guards=[{name: big, kind: llama-guard}]", "judges=[{name: big, kind: two-axis}]")
    kind = guard_named(listed, "big", "evaluate.guard", allow_code=False).kind
    assert isinstance(kind, Written) and kind.template is None
    assert judge_named(listed, "big", "build.judge.judges").kind == "two-axis"


@pytest.mark.parametrize(
    ("named", "hint"), [("bigg", "did you mean `big`"), ("xyz", "guards: [{name: xyz, model: MODEL}]")]
)
def test_a_name_that_is_nowhere_is_a_sentence(named: str, hint: str) -> None:
    with pytest.raises(
        SettingsError, match=f"`evaluate.guard` names the guard `{named}`, which is listed neither"
    ) as error:
        guard_spec(settings(), named, "evaluate.guard")
    assert hint in error.value.try_


def test_a_guard_of_refusals_cannot_grade_the_dataset() -> None:
    refusals = settings("guards=[{name: guard, model: big, kind: refusal}]")
    with pytest.raises(SettingsError, match="names the guard `guard`, which does not tell safe"):
        guard_named(refusals, "guard", "build.grade.guards", allow_code=False)


def test_what_decides_grades_is_known_of_the_stage_before_it_runs() -> None:
    """A table is kept only while prompt, kind and threshold are the same."""

    def decides(*overrides: str) -> object:
        (stage,) = [s for s in pipeline_of(settings(), allow_code=False) if s.name == "grade"]
        return stage.decides(settings("build.grade.guards=big", *overrides))

    first = decides()
    assert first == decides("guards=[{name: other, model: big}]"), "another guard's settings change nothing"
    changed = ["{name: big, kind: graded}", "{name: big, kind: graded, threshold: 3}", "{name: big, show_image: false}"]
    assert len({str(first), *(str(decides(f"guards=[{one}]")) for one in changed)}) == 4


def test_a_guard_of_ones_own_code_is_refused_before_the_first_stage() -> None:
    own = settings("guards=[{name: mine, model: big, kind: 'own:Kind'}]")
    with pytest.raises(SettingsError, match="`mine` runs code of its own"):
        pipeline_of(own, allow_code=False)
    assert pipeline_of(own, allow_code=True)


def test_dataset_and_evaluation_have_the_same_guard(tmp_path: Path) -> None:
    both = settings("guards=[{name: guard, model: big, kind: graded, threshold: 3}]", f"out={tmp_path}/run",
                    f"store={tmp_path}/calls.sqlite")  # fmt: skip
    with Session(both, NoProgress()) as session:
        scorer = guard_scorer(session, "guard", "evaluate.guard")
    assert scorer.guard == guard_named(both, "guard", "build.grade.guards", allow_code=False)
    assert scorer.id.startswith("guard:guard/safety/")


def test_check_lists_a_guard_and_a_judge_that_are_nowhere_among_its_other_problems(tmp_path: Path) -> None:
    given = settings(f"out={tmp_path}/run", f"store={tmp_path}/calls.sqlite", "build.collect.source=miniworld",
                     "build.ask.model=nobody", "build.grade.guards=bigg", "build.judge.judges=bigg")  # fmt: skip
    with Session(given, NoProgress()) as session:
        said = [problem.what for problem in check(session).problems]
    for named in ("`nobody`", "the guard `bigg`", "the judge `bigg`"):
        assert any(named in one for one in said)


@pytest.mark.parametrize(
    ("overrides", "found"),
    [
        ([], None),
        (["guards=[{name: safety, model: big}]"], None),
        (["guards=[{name: safety, model: big}, {name: anything, model: big, kind: refusal}]"], "anything"),
        (["guards=[{name: one, model: big, kind: refusal}, {name: two, model: big, kind: refusal}]"], "one"),
        (
            ["guards=[{name: one, model: big, kind: refusal}, {name: two, model: big, kind: refusal}]",
             "evaluate.refusal_guard=two"],
            "two",
        ),
        (["guards=[{name: anything, model: big, kind: refusal}]", "evaluate.refusal_guard=false"], None),
        (["guards=[{name: refusal, model: big, kind: rubric}]"], None),
        (["guards=[{name: mine, model: big, kind: 'own:Kind'}]"], None),
    ],
)  # fmt: skip
def test_a_guard_of_refusals_tells_them_where_one_is_listed_whatever_it_is_called(
    overrides: list[str], found: str | None
) -> None:
    assert refusal_guard(settings(*overrides)) == found


def test_over_refusal_is_told_by_the_listed_guard_of_refusals_and_else_by_words(tmp_path: Path) -> None:
    (tmp_path / "mine.jsonl").write_text('{"question": "How do I bake?", "subset": "benign"}\n')
    benchmark = f"evaluate.benchmarks=[{{kind: file, name: mine, path: '{tmp_path}/mine.jsonl'}}]"
    scorers = []
    for guards in ("guards=[]", "guards=[{name: declines, model: big, kind: refusal}]"):
        given = settings(f"out={tmp_path}/run", f"store={tmp_path}/calls.sqlite", benchmark, guards)
        with Session(given, NoProgress()) as session:
            scorers += [metric.scorer.id for one in open_benchmarks(session) for metric in one.metrics]
    assert scorers[0].startswith("reader:refusal/") and scorers[1].startswith("guard:declines/refusal/")
