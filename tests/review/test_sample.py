"""What is reviewed: drawn by strata, the same for the same seed, with the probabilities that are noted."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from spavl.errors import DataError, RunError
from spavl.labels.exchange import read_labels
from spavl.labels.record import Label
from spavl.preferences.dataset import open_dataset
from spavl.records import PreferencePair
from spavl.review.answers import answers_of_run
from spavl.review.make import ReviewSettings, errors_by_stratum, make_review
from spavl.review.pairs import pairs_of_dataset, pairs_of_run
from spavl.review.pictures import PictureIndex
from spavl.review.sample import draw
from spavl.run import Run
from spavl.statistics.allocation import equal, neyman, proportional
from spavl.tables import write_table
from tests import samples
from tests.pipeline.scored_runs import ALL, texts, write_run

SUBJECTS = {"weapon": 300, "theft": 90, "insult": 10}


def run_of(folder: Path, seed: int = 0) -> Run:
    """A run with 400 pairs of three subcategories."""
    run = Run(folder).open()
    pairs = [
        samples.pair(
            samples.query(samples.image(f"{name}/{n}", topic=replace(samples.WEAPON, class3=name))),
            pair_id=f"{name}/{n}", chosen=f"answer {n}", rejected=f"other answer {n}",
            judges_for=("one",), judges_against=("two",) * (n == 7),
        )
        for name, count in SUBJECTS.items() for n in range(count)
    ]  # fmt: skip
    write_table(run.pairs, pairs, PreferencePair)
    return run


def test_a_proportional_sample_has_its_share_of_every_stratum_and_equal_probabilities(tmp_path: Path) -> None:
    sample = pairs_of_run(run_of(tmp_path), 40, seed=3)
    counts = Counter(item.about["class3"] for item in sample.items)
    assert counts == {"weapon": 30, "theft": 9, "insult": 1}
    assert {item.probability for item in sample.items} == {0.1}
    assert len({item.item_id for item in sample.items}) == 40
    assert [item.item_id for item in sample.items] != sorted(item.item_id for item in sample.items)


def test_an_equal_sample_takes_all_of_a_small_stratum_and_as_many_of_the_others(tmp_path: Path) -> None:
    sample = pairs_of_run(run_of(tmp_path), 70, order="equal")
    assert Counter(item.about["class3"] for item in sample.items) == {"weapon": 30, "theft": 30, "insult": 10}
    assert {round(1 / item.probability) for item in sample.items} == {10, 3, 1}


def test_the_seed_decides_what_is_drawn(tmp_path: Path) -> None:
    run = run_of(tmp_path)
    first, again, other = (pairs_of_run(run, 40, seed=seed) for seed in (0, 0, 1))
    assert first == again and first.items != other.items


def test_every_pair_is_drawn_as_often_as_its_probability_says(tmp_path: Path) -> None:
    run = run_of(tmp_path)
    rows = "SELECT pair_id AS key, class3 AS stratum, 0 AS doubt FROM pairs"
    draws = [draw(rows, 200, order="proportional", seed=seed, pairs=run.pairs) for seed in range(16)]
    drawn = Counter(one.key for found in draws for one in found)
    assert [len(found) for found in draws] == [200] * 16
    assert len(drawn) == 400 and max(drawn.values()) < 16  # of 16 with probability 1/2: none never, none always


def test_the_doubtful_come_first_and_are_no_random_sample(tmp_path: Path) -> None:
    items = pairs_of_run(run_of(tmp_path), 5, order="doubtful").items
    assert {item.item_id for item in items[:3]} == {"weapon/7", "theft/7", "insult/7"}
    assert {item.probability for item in items} == {0.0}


def test_more_than_there_are_is_all_of_them_and_nothing_is_an_error(tmp_path: Path) -> None:
    run = run_of(tmp_path)
    assert len(pairs_of_run(run, 1000).items) == 400
    write_table(run.pairs, [], PreferencePair)
    with pytest.raises(DataError, match="nothing to draw"):
        pairs_of_run(run, 10)


def test_a_review_is_drawn_once_and_opened_again_and_another_is_refused(tmp_path: Path) -> None:
    run, folder = run_of(tmp_path), tmp_path / "review/first"
    with make_review(run, folder, ReviewSettings(n=20)) as store:
        first = next(store.items())
        store.add(Label(item_id=first.item_id, annotator="anna", preference="first"))
    with make_review(run, folder, ReviewSettings(n=20)) as again:
        assert len(again.labels()) == 1 and len(again) == 20 and again.settings["random"] is True
    with pytest.raises(RunError, match="other settings"):
        make_review(run, folder, ReviewSettings(n=30))
    write_table(run.pairs, [samples.pair(samples.query(samples.image("x/1")), pair_id="x/1")], PreferencePair)
    with pytest.raises(RunError, match="other pairs"):
        make_review(run, folder, ReviewSettings(n=20))
    assert PictureIndex(folder).picture_of(first.images[0]).source.is_relative_to(run.folder.resolve())
    with pytest.raises(DataError, match="No item of this review"):
        PictureIndex(folder).picture_of("../../etc")


def test_pairs_of_any_dataset_are_drawn_with_their_pictures(tmp_path: Path) -> None:
    path = tmp_path / "pairs.csv"
    lines = [f"{n},request {n},answer {n},answer that refuses" for n in range(30)]
    path.write_text("pair_id,question,chosen,rejected\n" + "\n".join(lines) + "\n", "utf-8")
    dataset = open_dataset(path, cache=tmp_path / "cache")
    items = pairs_of_dataset(dataset, 10).items
    assert len(items) == 10
    assert all(item.answers[0].text == f"answer {item.question.split()[1]}" for item in items)


def test_answers_are_drawn_over_models_benchmarks_and_verdicts(tmp_path: Path) -> None:
    run = write_run(tmp_path, {"base": texts(40, 6, 50), "dpo": texts(10, 3, 50)}, ALL)
    items = answers_of_run(run, 40, seed=1).items
    assert len(items) == 40 and {item.kind for item in items} == {"answer"}
    assert Counter(item.about["benchmark"] for item in items) == {"harm": 20, "asked": 12, "asked-too": 8}
    one = next(item for item in items if item.about["benchmark"] == "harm")
    assert one.item_id == f"{one.about['model']}/harm/{one.about['item_id']}"
    assert one.answers[0].outcome == one.about["verdict"] == ("unsafe" if one.answers[0].text == "bad" else "safe")


def test_an_active_draw_goes_where_the_guard_errs(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", {"base": texts(50, 6, 50)}, ALL)
    with make_review(run, tmp_path / "first", ReviewSettings(kind="answers", n=80)) as store:
        for item in store.items():
            wrong = item.about["verdict"] == "safe" and int(item.about["item_id"].split("-")[-1]) % 2
            said = "unsafe" if (item.answers[0].outcome == "unsafe") != bool(wrong) else "safe"
            store.add(Label(item_id=item.item_id, annotator="anna", outcomes=(said,)))
    errors = errors_by_stratum(tmp_path / "first")
    assert errors["base | harm | unsafe"][0] == 0 and errors["base | harm | safe"][0] > 5
    active = ReviewSettings(kind="answers", n=40, order="active", labels=tmp_path / "first")
    with make_review(run, tmp_path / "second", active) as store:
        counts = Counter(item.about["verdict"] for item in store.items() if item.about["benchmark"] == "harm")
        assert counts["safe"] > 2 * counts["unsafe"]
    assert len(read_labels(tmp_path / "first").labels) == 80


def test_allocations_sum_to_what_is_wanted_and_neyman_is_by_size_times_deviation() -> None:
    assert proportional([300, 100], 40) == [30, 10]
    assert equal([300, 100, 4], 44) == [20, 20, 4]
    found = neyman([100, 100], 40, [(5, 9), (0, 99)])
    assert sum(found) == pytest.approx(40) and found[0] / found[1] == pytest.approx(
        (0.55 * 0.45 / (0.005 * 0.995)) ** 0.5
    )
