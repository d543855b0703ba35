"""A guard that fails widens the interval and never makes a model look safer."""

from __future__ import annotations

from dataclasses import replace

import pytest

from spavl.config.judging import GuardSpec
from spavl.evaluate import Answer, GuardScorer, score, summarise
from spavl.evaluate.combined_scorer import AllHold, ByPart, Turned
from spavl.evaluate.metrics import deciding_guards, over_refusal_rate, unsafe_rate, with_outcomes
from spavl.evaluate.parse import REFUSES
from spavl.judging import open_guard
from spavl.models.base import Reply, Request, Sampling
from spavl.models.calls.engine import complete
from spavl.models.calls.store import CallStore
from tests.evaluate.world import REFUSED, FakeModel, benchmark


@pytest.fixture
def store(tmp_path):
    with CallStore(tmp_path / "calls.sqlite") as opened:
        yield opened


def harm_answers(made, texts, status="ok"):
    items = [i for i in made.items if i.subset == "harm"]
    return [
        Answer(item=i, benchmark=made.name, model="m", text=t, status=status, call="", tokens=1)
        for i, t in zip(items, texts, strict=True)
    ]


def rate_by(made, answers, store, rule, **options):
    model = FakeModel(rule, name="guard", identity="test/guard/1")
    guard = open_guard(GuardSpec(name="guard", **options))

    def ask(doing, prompts):
        return complete(model, prompts, sampling=Sampling(), store=store)

    scored = replace(made, metrics=(unsafe_rate(GuardScorer(guard, model.identity, ask)), REFUSED))
    return model, summarise(score(scored, answers))["unsafe_rate"]


def honest(request: Request) -> Reply:
    return Reply("unsafe\nO1" if request.prompt.fields["answer"] == "done" else "safe")


def test_a_guard_grades_each_answer_with_the_picture_in_view(tmp_path, store):
    made = benchmark(tmp_path)
    judge, rate = rate_by(made, harm_answers(made, ["done"] * 2 + ["refused"] * 4), store, honest)
    assert (rate.value, rate.n, rate.unreadable) == (2 / 6, 6, 0)
    assert all(request.prompt.images == made.items[0].images for request in judge.asked)
    assert judge.asked[0].prompt.fields == {"question": "question 0", "answer": "done"}


def test_a_text_only_guard_gets_no_picture(tmp_path, store):
    made = benchmark(tmp_path)
    judge, _ = rate_by(made, harm_answers(made, ["done"] * 6), store, honest, show_image=False)
    assert all(request.prompt.images == () for request in judge.asked)


@pytest.mark.parametrize(
    "garbage",
    [
        Reply(""),
        Reply("it seems quite safe to me"),
        Reply("unsafe or safe?"),
        Reply("", status="failed", detail="the server is gone"),
        Reply("safe", status="filtered"),
        Reply("I'm sorry, I cannot judge this."),
    ],
    ids=["empty", "chatty", "both", "dead", "filtered", "refusing"],
)
def test_a_broken_guard_never_makes_a_model_look_safer(tmp_path, store, garbage):
    made = benchmark(tmp_path)
    answers = harm_answers(made, ["done"] * 2 + ["refused"] * 4)
    _, before = rate_by(made, answers, store, honest)
    with CallStore(tmp_path / "other.sqlite") as other:
        _, after = rate_by(made, answers, other, lambda request: garbage)
    assert after.value is None and after.flagged and after.unreadable == 6
    assert after.high == 1.0 > before.high


def test_a_guard_that_fails_only_on_unsafe_answers_is_flagged_and_bounded(tmp_path, store):
    made = benchmark(tmp_path, harmful=12)
    answers = harm_answers(made, ["done"] * 6 + ["refused"] * 6)
    _, before = rate_by(made, answers, store, honest)
    with CallStore(tmp_path / "other.sqlite") as other:
        _, after = rate_by(
            made, answers, other, lambda r: Reply("???") if r.prompt.fields["answer"] == "done" else Reply("safe")
        )
    assert after.value == 0.0 and after.flagged
    assert after.high >= before.high


def test_a_verdict_before_a_cut_off_explanation_counts(tmp_path, store):
    made = benchmark(tmp_path)
    _, rate = rate_by(made, harm_answers(made, ["done"] * 6), store, lambda r: Reply("unsafe\nO1", status="truncated"))
    assert rate.value == 1.0


def test_answers_without_text_are_not_sent_to_the_guard(tmp_path, store):
    made = benchmark(tmp_path)
    judge, rate = rate_by(made, harm_answers(made, [""] * 6, status="failed"), store, honest)
    assert judge.asked == [] and rate.value is None


def test_an_answer_that_was_all_thought_has_no_verdict_unless_thoughts_are_graded(tmp_path, store):
    made = benchmark(tmp_path)
    answers = harm_answers(made, ["done"] * 4 + [""] * 2, status="truncated")
    answers = [replace(a, thought="" if a.text else "done") for a in answers]
    judge, rate = rate_by(made, answers, store, honest, kind="llama-guard")
    assert len(judge.asked) == 4 and {r.prompt.role for r in judge.asked} == {"assistant"}
    assert (rate.value, rate.n, rate.unreadable) == (1.0, 6, 2)
    _, rate = rate_by(made, answers, store, honest, kind="llama-guard", thought=True)
    assert (rate.value, rate.unreadable) == (1.0, 0)


def scorer(reply, identity="test/guard/1", tells="safety", **options):
    guard = open_guard(GuardSpec(name="guard", **options))
    return GuardScorer(guard, identity, lambda doing, prompts: [Reply(reply)] * len(prompts), tells)


def test_a_guard_of_refusals_tells_over_refusal(tmp_path):
    made = benchmark(tmp_path)
    benign = [replace(a, item=i) for a, i in zip(harm_answers(made, ["x"] * 6), made.items[6:], strict=False)]
    for reply, outcome in (("refusal", True), ("compliance", False), ("hm", None)):
        metric = over_refusal_rate(scorer(reply, tells="refusal", kind="refusal"))
        scored = score(replace(made, metrics=(metric,)), benign)
        assert {s.outcomes["over_refusal_rate"] for s in scored} == {outcome}


def test_the_scorers_id_changes_with_all_that_decides_a_grade(tmp_path):
    (tmp_path / "own.md").write_text("Grade {{answer}}")
    first = scorer("safe")
    others = [
        scorer("safe", identity="test/guard/2"), scorer("safe", show_image=False), scorer("safe", thought=True),
        scorer("safe", prompt=str(tmp_path / "own.md")), scorer("safe", kind="graded"),
        scorer("safe", kind="graded", threshold=3), scorer("safe", sampling={"temperature": 1.0}),
    ]  # fmt: skip
    assert first.id.startswith("guard:guard/") and first.id == scorer("unsafe").id
    assert len({first.id, *(other.id for other in others)}) == 1 + len(others)


def test_guards_decide_where_their_outcomes_are_passed_on_as_they_are_and_nothing_else_has_a_say():
    guard, other = scorer("safe"), scorer("safe", identity="test/guard/2")
    assert deciding_guards(guard) == [guard]
    assert deciding_guards(ByPart("group", {"a": guard, "b": other})) == [guard, other]
    for mixed in (ByPart("group", {"a": guard, "b": REFUSES}), Turned(guard), AllHold((guard, other)), REFUSES):
        assert deciding_guards(mixed) == []


def test_outcomes_that_guards_tell_anyway_are_counted_by_part_too_if_all_of_them_tell_them(tmp_path):
    telling, plain = scorer("safe", kind="outcome"), scorer("safe")
    made = benchmark(tmp_path)

    def more(guards):
        own = unsafe_rate(ByPart("subset", guards))
        return [m.name for m in with_outcomes(replace(made, metrics=(own,))).metrics[1:]]

    assert {"refusal_rate", "safe_completion_rate", "unhelpful_rate"} <= set(more({"a": telling, "b": telling}))
    assert more({"a": telling, "b": plain}) == []
