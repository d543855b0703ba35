"""Guards held against people's labels: errors by style, corrected rates everywhere, and what to label next."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from spavl.cli.commands import app
from spavl.config.gate import GateSettings
from spavl.errors import DataError, RunError, SettingsError
from spavl.evaluate import Benchmark, Rule
from spavl.evaluate.metrics import unsafe_rate
from spavl.labels.record import Answer, Item, Label
from spavl.labels.store import LabelStore
from spavl.pipeline import calibrate as calibrating
from spavl.pipeline.answer_labels import AnswerLabel, AnswerLabels, labels_of_items, merged, read_answer_labels
from spavl.pipeline.calibrate import SOFT_REFUSAL, Calibrated, calibrate_run
from spavl.pipeline.calibrate_words import rows, style_rows
from spavl.pipeline.compare import compare_runs
from spavl.pipeline.compare_words import markdown
from spavl.pipeline.corrected import drawn_by
from spavl.pipeline.gate import gate_run
from spavl.pipeline.next_answers import ChosenAnswer, next_answers, write_chosen
from spavl.pipeline.people import gathered
from spavl.pipeline.run_agreement import agreements_shown
from spavl.review.answers import answers_of_run, chosen_answers
from spavl.review.make import ReviewSettings, make_review
from spavl.review.sample import Order
from spavl.run import Run
from tests.pipeline.scored_runs import REFUSAL, benchmark, write_run

COUNT = 400
SOFT = "A teapot is best left on the table."
METRIC = unsafe_rate(Rule("test:guard/1", lambda item, text: text in ("bad", SOFT)))
HARM: Benchmark = benchmark("harm", METRIC, COUNT, harmful=True)
KEY = METRIC.name


def said(model: str) -> list[str]:
    """The base answers harmfully to every second item; of amber's answers the guard takes soft refusals for harm."""
    kinds = ["bad", REFUSAL] if model == "base" else ["bad", SOFT, SOFT, REFUSAL, REFUSAL, REFUSAL, "veiled", REFUSAL]
    return [kinds[n % len(kinds)] for n in range(COUNT)]


def truly_unsafe(text: str) -> bool:
    return text in ("bad", "veiled")


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """A run of two models whose metric a guard decides."""
    made = write_run(tmp_path / "run", {name: {"harm": said(name)} for name in ("base", "amber")}, [HARM])
    known = made.manifest()["metrics"]
    made.replace(metrics={key: {**metric, "correctable": True} for key, metric in known.items()})
    return made


def plain_labels(folder: Path, share: float = 0.5, seed: int = 0) -> Path:
    """Labels of random answers of both models."""
    random = np.random.default_rng(seed)
    rows = [
        {"model": model, "benchmark": "harm", "item_id": f"harm-{n}",
         "label": "unsafe" if truly_unsafe(said(model)[n]) else "safe"}
        for model in ("base", "amber") for n in range(COUNT) if random.random() < share
    ]  # fmt: skip
    file = folder / "labels.jsonl"
    file.write_text("\n".join(map(json.dumps, rows)))
    return file


def reviewed(chosen: dict[str, list[int]], annotators: tuple[str, ...] = ("ann",), **more: Any) -> AnswerLabels:
    """Labels of a review, of the answers that are there now unless `text` says otherwise."""
    items, labels = [], []
    for model, numbers in chosen.items():
        for n in numbers:
            text, name = said(model)[n], f"{model}/harm/harm-{n}"
            about = {"model": model, "benchmark": "harm", "item_id": f"harm-{n}"}
            shown = (Answer(text=more.get("text", text)),)
            items.append(Item(item_id=name, kind="answer", stratum="", question="", answers=shown, about=about,
                              probability=more.get("probability", 0.5)))  # fmt: skip
            outcome = "unsafe" if truly_unsafe(text) else "refusal"
            labels += [Label(item_id=name, annotator=who, outcomes=(outcome,)) for who in annotators]  # type: ignore[arg-type]
    return labels_of_items(gathered(items, labels).items)


def calibrated(run: Run, labels: AnswerLabels, monkeypatch: pytest.MonkeyPatch) -> Calibrated:
    """The calibration by labels of a review that is made here."""
    monkeypatch.setattr(calibrating, "_labels", lambda *_: labels)
    return calibrate_run(run.folder)


def test_random_labels_give_errors_and_corrected_rates_that_stand_in_the_run(run: Run, tmp_path: Path) -> None:
    made = calibrate_run(run.folder, files=[plain_labels(tmp_path)])
    base, amber = made.rates
    assert (base.raw.value, amber.raw.value) == (0.5, 0.375) and base.corrected.rate.value == pytest.approx(0.5)
    assert amber.corrected.rate.low < 0.25 < amber.corrected.rate.high < 0.32
    assert amber.corrected.sensitivity.low < 0.5 < amber.corrected.sensitivity.high
    noted = run.manifest()["corrected"]["amber"][KEY]
    assert noted["rate"]["value"] == amber.corrected.rate.value and "prediction-powered" in noted["line"]
    assert amber.needed.total is None or amber.needed.total > amber.corrected.labels
    assert len(list(rows(made))) == 2 and not list(style_rows(made)), "safe and unsafe alone tell no style"


def test_labels_of_unlike_shares_of_each_verdict_correct_where_a_review_drew_them(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    random = np.random.default_rng(2)
    flagged = [n for n in range(COUNT) if said("amber")[n] in ("bad", SOFT)]
    cleared = [n for n in range(COUNT) if n not in flagged]
    chosen = [*random.permutation(flagged)[:120].tolist(), *random.permutation(cleared)[:50].tolist()]
    made = calibrated(run, reviewed({"amber": chosen}), monkeypatch)
    (found,) = made.rates
    assert found.corrected.method == "by-verdict" and found.corrected.rate.low < 0.25 < found.corrected.rate.high
    right = {one.style: one.right.value for one in made.styles}
    assert right["plain refusal"] == 1.0 and right[SOFT_REFUSAL] == 0.0 and 0 < (right["unsafe"] or 0) < 1
    limits = GateSettings.model_validate({"model": "amber", "limits": [
        {"metric": KEY, "upper": upper, "judge": "estimated"} for upper in (0.4, 0.2)]})  # fmt: skip
    held, broken = gate_run(run.folder, limits).decisions
    assert held.state == "holds" and broken.state == "broken" and "judge estimated" in held.limit
    strict = limits.model_copy(update={"alpha": 0.001})
    assert "too short" in gate_run(run.folder, strict).decisions[0].why


def test_the_comparison_says_the_change_without_the_guards_errors(run: Run, tmp_path: Path) -> None:
    assert not compare_runs([run.folder]).models[0].by_people
    calibrate_run(run.folder, files=[plain_labels(tmp_path)])
    found = compare_runs([run.folder])
    change = found.models[0].by_people[KEY]
    assert change.difference is not None and change.low < -0.25 < change.high < 0
    words = next(line for line in markdown(found).splitlines() if "without the guard" in line)
    assert words.startswith(f"- amber, {KEY}, without the guard") and "labels)" in words and "→" in words
    assert json.loads(json.dumps(found.as_plain_data()))["models"][0]["by_people"][KEY]["refusal"] == ""


def test_labels_of_answers_that_changed_or_were_drawn_for_doubt_do_not_count(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(DataError, match="No label is of an answer of this run as it is now"):
        calibrated(run, reviewed({"amber": [1, 2, 3]}, text="other words"), monkeypatch)
    doubtful = reviewed({"amber": [1, 2, 3]}, probability=0.0)
    assert (doubtful.count, doubtful.left_out) == (0, 3)
    both = merged([doubtful, reviewed({"base": list(range(0, COUNT, 3))})])
    made = calibrated(run, both, monkeypatch)
    assert [one.model for one in made.rates] == ["base"] and "3 labelled answers not used" in made.notes[0]


def test_most_of_several_annotators_say_what_an_answer_is_and_divided_ones_count_half() -> None:
    item = Item(item_id="m/b/1", kind="answer", stratum="", question="", answers=(Answer(text="words"),),
                about={"model": "m", "benchmark": "b", "item_id": "1"})  # fmt: skip

    def labelled(*outcomes: Any) -> Any:
        given = [Label(item_id="m/b/1", annotator=str(k), outcomes=(one,)) for k, one in enumerate(outcomes)]
        return labels_of_items(gathered([item], given).items).by_answer["m", "b"]["1"]

    most = labelled("unsafe", "refusal", "unsafe")
    assert (most.unsafe, most.style, most.annotators) == (1.0, "unsafe", 3)
    assert (labelled("unsafe", "refusal").unsafe, labelled("unsafe", "refusal").style) == (0.5, None)
    assert labelled("refusal", "unhelpful").unsafe == 0.0


def test_the_next_labels_are_drawn_from_both_models_at_random_and_the_same_each_time(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = calibrated(run, reviewed({"amber": list(range(60))}), monkeypatch)
    text = write_chosen(run.folder, next_answers(run.folder, made, 100)).read_text()
    chosen = list(csv.DictReader(text.splitlines()))
    assert len(chosen) == 100 and text == write_chosen(run.folder, next_answers(run.folder, made, 100)).read_text()
    models = [one["model"] for one in chosen]
    assert models.count("base") > models.count("amber") > 10, "nothing is known of the guard on the base's answers yet"
    assert not {one["item_id"] for one in chosen if one["model"] == "amber"} & {f"harm-{n}" for n in range(60)}
    assert REFUSAL not in text and "unsafe" not in text, "whoever labels is not led by a verdict"
    filled = run.folder / "filled.csv"
    lines = [f"{','.join(one.values())},{'unsafe' if n % 3 else 'safe'}" for n, one in enumerate(chosen)]
    filled.write_text("\n".join(["model,benchmark,item_id,answers_hash,drawn,label", *lines]))
    assert read_answer_labels(filled).by_design and read_answer_labels(filled).count == 100
    flagged = [said(one["model"])[int(one["item_id"].split("-")[1])] in ("bad", SOFT) for one in chosen]
    assert 0 < sum(flagged[:50]) < 50 and len({one["drawn"] for one in chosen}) == 1, (
        "nor by the order, nor by a number"
    )
    assert len(next_answers(run.folder, made, 10_000)) == 2 * COUNT - 60


def test_the_command_prints_the_tables_and_draws_the_first_labels_where_there_is_none(run: Run, tmp_path: Path) -> None:
    wide = {"COLUMNS": "250"}
    first = CliRunner().invoke(app, ["calibrate", str(run.folder), "--next", "40"], env=wide)
    assert first.exit_code == 0 and "40 answers to label next:" in first.output
    done = CliRunner().invoke(app, ["calibrate", str(run.folder), "--labels", str(plain_labels(tmp_path))], env=wide)
    told = " ".join(done.output.split())
    assert (
        done.exit_code == 0
        and "Rates by the guard and by people" in told
        and "more answers: labels of all leave" in told
    )
    shown = agreements_shown(run.manifest())
    assert [one.name for one in shown] == ["calibration"] and shown[0].tables[0].rows[0][0] == "base"


def test_the_chosen_answers_become_a_review_whose_labels_calibrate(run: Run) -> None:
    words = ["calibrate", str(run.folder), "--next", "200", "--review", "second"]
    told = CliRunner().invoke(app, words, env={"COLUMNS": "250"})
    folder = run.folder / "review" / "second"
    assert (
        told.exit_code == 0
        and f"200 items: {folder}" in told.output
        and "they count in `spavl calibrate" in told.output
    )
    chosen = next_answers(run.folder, calibrate_run(run.folder, none_yet=True), 200)
    with LabelStore(folder / "review.sqlite") as store:
        items = list(store.items())
        assert {item.item_id: item.probability for item in items} == {
            f"{one.model}/harm/{one.item_id}": one.probability for one in chosen
        }
        models = [item.about["model"] for item in items]
        assert models != sorted(models) and models != sorted(models, reverse=True), "their order tells nothing"
        for item in items:
            outcome = "unsafe" if truly_unsafe(item.answers[0].text) else "refusal"
            store.add(Label(item_id=item.item_id, annotator="ann", outcomes=(outcome,)))  # type: ignore[arg-type]
    again = CliRunner().invoke(app, words, env={"COLUMNS": "250"})
    assert again.exit_code == 0 and "200 items, 200 labels already" in again.output
    for one, truth in zip(calibrate_run(run.folder).rates, (0.5, 0.25), strict=True):
        assert one.corrected.method == "by-verdict" and one.corrected.rate.low < truth < one.corrected.rate.high


def test_a_review_of_chosen_answers_needs_how_many_and_a_name_of_its_own(run: Run) -> None:
    with pytest.raises(SettingsError, match="none are to be"):
        CliRunner().invoke(app, ["calibrate", str(run.folder), "--review", "second"], catch_exceptions=False)
    make_review(run, run.folder / "review" / "second", ReviewSettings(kind="answers", n=10)).close()
    with pytest.raises(RunError, match="other settings"):
        CliRunner().invoke(
            app, ["calibrate", str(run.folder), "--next", "5", "--review", "second"], catch_exceptions=False
        )
    gone = ChosenAnswer(model="amber", benchmark="harm", item_id="harm-9999", verdict=True,
                        answers_hash="", probability=1.0)  # fmt: skip
    with pytest.raises(DataError, match="1 of the chosen answers are not among the graded ones"):
        chosen_answers(run, [gone])


def test_a_run_without_what_labels_correct_is_told_so(run: Run, tmp_path: Path) -> None:
    run.replace(metrics={key: {**metric, "correctable": False} for key, metric in run.manifest()["metrics"].items()})
    with pytest.raises(RunError, match="which labels could correct"):
        calibrate_run(run.folder, files=[plain_labels(tmp_path)])
    run.replace(models={})
    with pytest.raises(RunError, match="Nothing was evaluated"):
        calibrate_run(run.folder)


def test_a_run_without_labels_is_told_which_command_chooses_answers(run: Run) -> None:
    with pytest.raises(RunError, match="Nobody has labelled an answer") as error:
        calibrate_run(run.folder)
    assert "--next 100 --review first" in error.value.try_


@pytest.mark.parametrize("order", ["equal", "proportional"])
def test_a_review_that_was_drawn_by_strata_is_what_calibrates(run: Run, order: Order) -> None:
    sample = answers_of_run(run, 240, order=order, seed=3)
    path = run.folder / "review" / "answers" / "review.sqlite"
    path.parent.mkdir(parents=True)
    with LabelStore.create(path, sample.items, made_from="run", settings={}) as store:
        for item in sample.items:
            outcome = "unsafe" if truly_unsafe(item.answers[0].text) else "refusal"
            store.add(Label(item_id=item.item_id, annotator="ann", outcomes=(outcome,)))  # type: ignore[arg-type]
    made = calibrate_run(run.folder)
    assert [one.corrected.method for one in made.rates] == ["by-verdict", "by-verdict"] and not made.notes
    for one, truth in zip(made.rates, (0.5, 0.25), strict=True):
        assert one.corrected.rate.low < truth < one.corrected.rate.high and one.corrected.changed == 0
    assert {one.style for one in made.styles} == {"plain refusal", SOFT_REFUSAL, "unsafe"}


def test_a_review_of_the_most_doubtful_corrects_nothing_and_says_so(run: Run) -> None:
    sample = answers_of_run(run, 40, order="doubtful", seed=3)
    path = run.folder / "review" / "answers" / "review.sqlite"
    path.parent.mkdir(parents=True)
    with LabelStore.create(path, sample.items, made_from="run", settings={}) as store:
        for item in sample.items:
            store.add(Label(item_id=item.item_id, annotator="ann", outcomes=("safe_completion",)))
    with pytest.raises(DataError, match="No label is of an answer of this run"):
        calibrate_run(run.folder)
    made = calibrate_run(run.folder, none_yet=True)
    assert not made.rates and "40 labelled answers not used: drawn for being doubtful" in made.notes[0]


def test_a_file_that_was_filled_in_is_never_written_again_and_counts_only_for_answers_as_they_were(
    run: Run, tmp_path: Path
) -> None:
    path = write_chosen(run.folder, next_answers(run.folder, calibrate_run(run.folder, none_yet=True), 60))
    chosen = list(csv.DictReader(path.read_text().splitlines()))
    for n, one in enumerate(chosen):
        unsafe = truly_unsafe(said(one["model"])[int(one["item_id"].split("-")[1])])
        one["label"] = "" if n % 4 == 0 else "unsafe" if unsafe else "safe"
    chosen[1]["answers_hash"] = "of another answer"
    path.write_text("\n".join([",".join(chosen[0]), *(",".join(one.values()) for one in chosen)]))
    filled = path.read_text()
    made = calibrate_run(run.folder, files=[path])
    assert "15 rows not filled in yet." in made.notes and any("1 label not used" in note for note in made.notes)
    assert (
        write_chosen(run.folder, next_answers(run.folder, made, 40)).name == "next-2.csv" and path.read_text() == filled
    )
    done = CliRunner().invoke(app, ["calibrate", str(run.folder), "--next", "5"], env={"COLUMNS": "250"})
    assert "--labels" in done.output and path.read_text() == filled


def test_labels_drawn_within_verdicts_that_the_guard_has_changed_since_are_not_taken_as_drawn_so() -> None:
    answer = AnswerLabel(1.0, drawn_as="safe")
    assert drawn_by(["a", "b"], [False, True], {"a": answer})
    assert not drawn_by(["a", "b"], [True, True], {"a": answer})
    assert drawn_by(["a"], [True], {"a": AnswerLabel(1.0)}), "where it is not known it is taken so"


def test_a_file_without_items_is_of_the_items_of_the_runs_reviews_and_a_label_or_two_correct_nothing(
    run: Run, tmp_path: Path
) -> None:
    sample = answers_of_run(run, 100, seed=3)
    path = run.folder / "review" / "answers" / "review.sqlite"
    path.parent.mkdir(parents=True)
    LabelStore.create(path, sample.items, made_from="run", settings={}).close()
    outcomes = {item.item_id: "unsafe" if truly_unsafe(item.answers[0].text) else "refusal" for item in sample.items}
    rows = [{"item_id": name, "annotator": "ann", "outcomes": [outcome]} for name, outcome in outcomes.items()]
    file = tmp_path / "ours.json"
    file.write_text(json.dumps([*rows, {**rows[0], "item_id": "gone"}]))
    made = calibrate_run(run.folder, files=[file])
    assert [one.corrected.labels for one in made.rates] == [50, 50] and "counted nowhere: 1 label." in made.notes[0]
    file.write_text(json.dumps(rows[:2]))
    for one in calibrate_run(run.folder, files=[file]).rates:
        assert "too few labels" in one.corrected.rate.refusal
