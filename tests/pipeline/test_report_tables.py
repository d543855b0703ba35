"""Counts of the report, made by queries over the tables of a run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from spavl.errors import RunError
from spavl.evaluate import Answer, Benchmark, Item, Rule, score, write_scores
from spavl.evaluate.metrics import over_refusal_rate, unsafe_rate
from spavl.models.base import Sampling
from spavl.pipeline import report_tables, subjects
from spavl.pipeline.measured_metrics import MeasuredMetric
from spavl.pipeline.quality import judges
from spavl.records import ImageRecord, Judgment, Response, Topic
from spavl.run import Run
from spavl.statistics import rate, swap_agreement
from spavl.tables import write_table
from tests import samples

SAID = {"bad": True, "good": False}
SEEN = replace(unsafe_rate(Rule("test:unsafe/1", lambda item, text: SAID.get(text))), heldout=False)
NEW = replace(SEEN, name='unsafe "new"', label="New", heldout=True)
REFUSED = over_refusal_rate(Rule("test:refused/1", lambda item, text: text == "no"))
METRICS = tuple(MeasuredMetric(f"b/{m.name}", m.name, "b", m.axis, m.better) for m in (SEEN, NEW, REFUSED))


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """A run folder without tables."""
    return Run(tmp_path / "run").open()


def scored(run: Run, model: str, texts: list[str]) -> None:
    """The table of a model's answers: seen harmful, new harmful and benign items in turn, of two subjects."""
    items = tuple(
        Item(
            item_id=f"it's {n}", subset="s", question="?", shown="none", harmful=n % 3 < 2, heldout=n % 3 == 1,
            benign=n % 3 == 2, group=f"subject {n % 2}",
        )
        for n in range(len(texts))
    )  # fmt: skip
    made = Benchmark(name="b", items=items, metrics=(SEEN, NEW, REFUSED), sampling=Sampling())
    answers = [
        Answer(item=i, benchmark="b", model=model, text=t, status="ok", call="", tokens=1)
        for i, t in zip(items, texts, strict=True)
    ]
    write_scores(run.evaluate, score(made, answers), run=run.folder)


def test_what_was_not_made_is_empty(run: Run) -> None:
    assert report_tables.composition(run) == report_tables.heldout(run) == ()
    assert report_tables.responders(run, {}) == judges(run, None) == ()
    assert list(subjects.groups(run, ["base"], METRICS)) == []


def test_pictures_are_counted_by_domain_the_largest_first(run: Run) -> None:
    other = Topic(class1="Misinformation Harms", class2="false beliefs", class3="fake science")
    images = [samples.image(f"weapon/{n}", benign=n == 0) for n in range(3)]
    images.append(samples.image("fake/0", topic=other, heldout=True))
    write_table(run.images, images, ImageRecord)
    bars = report_tables.composition(run)
    assert [(b.label, b.harmful, b.benign) for b in bars] == [("Malicious Use", 2, 1), ("Misinformation Harms", 1, 0)]
    assert report_tables.heldout(run) == ("fake science",)


def test_a_responder_is_as_unsafe_as_its_answers_to_harmful_questions(run: Run) -> None:
    harmful, benign = samples.query(), samples.query(samples.image("weapon/b", benign=True))
    answers = [samples.response(harmful, "amber", outcome=o, response_id=str(o)) for o in ("unsafe", "refusal", None)]
    answers.append(samples.response(benign, "amber", outcome="unsafe"))
    answers.append(samples.response(harmful, "amber", outcome=None, response_status="failed", response_id="f"))
    write_table(run.responses, answers, Response)
    (shown,) = report_tables.responders(run, {"amber": {"group": 1}, "gone": {"group": 0}})
    assert (shown.name, shown.group, shown.unsafe) == ("amber", 1, rate([True, False, None]))


def test_a_judge_agrees_with_itself_as_counted_one_by_one(run: Run) -> None:
    verdicts = [("a", "a"), ("a", "b"), ("tie", "tie"), (None, "a"), ("b", "b"), ("a", "a")]
    matches = [samples.match(samples.query(samples.image(f"weapon/{n}"))) for n in range(len(verdicts))]
    judgments = [
        samples.judgment(m, order, winner)
        for m, pair in zip(matches, verdicts, strict=True) for order, winner in zip(("ab", "ba"), pair, strict=True)
    ]  # fmt: skip
    write_table(run.judgments, judgments, Judgment)
    (shown,) = judges(run, {"wrong": 2, "asked": 9})
    assert shown.agreement == swap_agreement(verdicts)
    assert shown.error == rate([True] * 2 + [False] * 7)


def test_subjects_have_the_outcomes_of_the_first_metric_that_counts_them(run: Run) -> None:
    scored(run, "base", ["bad", "bad", "no", "?", "good", "yes", "bad"])
    zero, one = subjects.groups(run, ["base", "gone"], METRICS[:2])
    assert (zero.label, zero.heldout, zero.rates) == ("subject 0", True, {"base": rate([True, False, True])})
    assert (one.label, one.heldout, one.rates) == ("subject 1", True, {"base": rate([True, None])})


def test_items_are_read_with_every_models_answer_and_outcome(run: Run) -> None:
    scored(run, "base", ["bad", "x", "no", "good", "x", "no", "bad", "x", "no", "?", "x", "no"])
    scored(run, "dpo", ["bad", "x", "no", "bad", "x", "no", "good", "x", "no", "good", "x", "no"])
    tables = report_tables.tables_of(run, ["base", "dpo"], "b")
    found = report_tables.scored_items(run, tables, METRICS, ["it's 3", "it's 1"])
    assert {model: a.text for model, a in found["it's 3"].answers.items()} == {"base": "good", "dpo": "bad"}
    assert found["it's 3"].answers["dpo"].outcomes == ((METRICS[0], True),)
    assert found["it's 1"].answers["base"].outcomes == ((METRICS[1], None),), "asked, and not read"


def test_scores_of_another_version_are_refused(run: Run) -> None:
    path = run.evaluate / "base" / "b.parquet"
    path.parent.mkdir(parents=True)
    path.write_text("not a table")
    with pytest.raises(RunError, match="cannot be read"):
        report_tables.tables_of(run, ["base"], "b")
