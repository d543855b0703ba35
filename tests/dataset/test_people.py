"""What people said of pairs stands above judges and guard, and says so in every pair."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from spavl.dataset.people import apply_labels, labels_content, people_said, said_by_pair
from spavl.labels.exchange import Labelled, write_labels
from spavl.labels.record import Answer, Item, Label
from spavl.labels.store import LabelStore
from spavl.records import PreferencePair
from tests import samples

PAIR = samples.pair(
    pair_id="pair-1", chosen_severity=None, rejected_severity=3, judges_for=("one",), judges_against=("two",),
    more_harmless="chosen", more_helpful="tie",
)  # fmt: skip
ITEM = Item(item_id="pair-1", kind="pair", stratum="s", question="request 1",
            answers=(Answer(text=PAIR.chosen), Answer(text=PAIR.rejected)))  # fmt: skip


def said(*preferences: Any, item: Item | None = ITEM, **more: Any) -> Any:
    """What annotators said of the pair, one after the other."""
    labels = tuple(Label(item_id="pair-1", annotator=f"annotator {n}", preference=one, **more)
                   for n, one in enumerate(preferences))  # fmt: skip
    return said_by_pair(Labelled(labels=labels, items=(item,) if item else ()))


def applied(
    found: Any, pair: PreferencePair = PAIR, must_be_safe: bool = False
) -> tuple[PreferencePair | None, dict[str, int]]:
    """The pair as labelled, and what was counted."""
    kept, counts = apply_labels([pair], said=found, chosen_must_be_safe=must_be_safe)
    assert counts["kept"] == len(kept)
    return (kept[0] if kept else None), dict(counts)


def test_a_pair_that_people_prefer_as_judged_stays_and_names_them() -> None:
    pair, counts = applied(said("first", "first", "second"))
    assert pair == replace(PAIR, labelled="kept", labelled_by=("annotator 0", "annotator 1", "annotator 2"))
    assert counts == {"kept": 1, "preferred as judged": 1}


def test_answers_change_places_with_all_that_is_known_of_them() -> None:
    pair, counts = applied(said("second"))
    assert pair is not None and (pair.chosen, pair.rejected) == (PAIR.rejected, PAIR.chosen)
    assert (pair.chosen_source, pair.chosen_id, pair.chosen_outcome, pair.chosen_severity) == (
        PAIR.rejected_source, PAIR.rejected_id, PAIR.rejected_outcome, 3,
    )  # fmt: skip
    assert (pair.judges_for, pair.judges_against) == (("two",), ("one",))
    assert (pair.more_harmless, pair.more_helpful, pair.labelled) == ("rejected", "tie", "swapped")
    assert counts == {"kept": 1, "swapped": 1}


@pytest.mark.parametrize("preferences", [("tie",), ("both_bad", "tie", "first"), ("both_bad",) * 2])
def test_a_pair_of_which_neither_answer_is_better_is_dropped(preferences: Any) -> None:
    assert applied(said(*preferences)) == (None, {"tie or both bad": 1})


@pytest.mark.parametrize("preferences", [("first", "second"), ("first", "second", "tie"), (None,)])
def test_where_no_more_than_half_agree_the_judges_decide(preferences: Any) -> None:
    pair, counts = applied(said(*preferences))
    assert pair is not None and (pair.labelled, pair.chosen) == ("undecided", PAIR.chosen)
    assert counts == {"kept": 1, "undecided": 1}


def test_outcomes_that_people_agree_on_stand_in_place_of_the_guards() -> None:
    found = said("first", "first", outcomes=("unsafe", None), severities=(2, None))
    pair, counts = applied(found)
    assert pair is not None and (pair.chosen_outcome, pair.chosen_severity) == ("unsafe", 2)
    assert (pair.rejected_outcome, pair.rejected_severity) == ("unsafe", 3)
    assert counts["another outcome"] == 1
    assert applied(found, must_be_safe=True) == (None, {"chosen answer not safe": 1})


def test_a_severity_of_an_answer_that_is_safe_by_people_is_gone() -> None:
    pair, _ = applied(said("first", outcomes=(None, "refusal")))
    assert pair is not None and (pair.rejected_outcome, pair.rejected_severity) == ("refusal", None)


def test_labels_name_answers_by_what_was_shown_and_not_by_their_places_now() -> None:
    other_way = replace(ITEM, answers=ITEM.answers[::-1])
    pair, counts = applied(said("first", item=other_way, outcomes=("safe_completion", None)))
    assert pair is not None and counts["swapped"] == 1
    assert (pair.chosen, pair.chosen_outcome) == (PAIR.rejected, "safe_completion")


def test_a_pair_with_other_answers_than_were_labelled_is_left_as_it_is() -> None:
    pair, counts = applied(said("second"), replace(PAIR, chosen="A new answer."))
    assert pair == replace(PAIR, chosen="A new answer.")
    assert counts == {"kept": 1, "with other answers than were labelled": 1}


def test_labels_of_two_versions_of_a_pair_decide_each_its_own() -> None:
    newer = replace(ITEM, answers=(Answer(text="A new answer."), ITEM.answers[1]))
    first = Label(item_id="pair-1", annotator="anna", preference="second", answers_hash=ITEM.answers_hash)
    labels = (first, replace(first, preference="tie", answers_hash=newer.answers_hash))
    found = said_by_pair(Labelled(labels=labels, items=(ITEM, newer)))
    assert applied(found)[1] == {"kept": 1, "swapped": 1}
    assert applied(found, replace(PAIR, chosen="A new answer."))[1] == {"tie or both bad": 1}
    alone = applied(said_by_pair(Labelled(labels=labels)), replace(PAIR, chosen="Another."))
    assert alone[1] == {"kept": 1, "with other answers than were labelled": 1}


def test_labels_without_their_items_are_of_the_places_as_judged_and_skipped_ones_say_nothing() -> None:
    assert applied(said("second", item=None))[1] == {"kept": 1, "swapped": 1, "by the id alone": 1}
    assert applied(said("second", status="skipped")) == (PAIR, {"kept": 1})
    assert applied({}) == (PAIR, {"kept": 1})


def test_the_content_of_labels_is_what_was_said_in_whatever_file(tmp_path: Path) -> None:
    folder = tmp_path / "review"
    folder.mkdir()
    with LabelStore.create(folder / "review.sqlite", [ITEM], made_from="x", settings={}) as store:
        empty = labels_content([str(folder)])
        store.add(Label(item_id="pair-1", annotator="anna", preference="second"))
        first = labels_content([str(folder)])
        write_labels(tmp_path / "labels.csv", Labelled(labels=tuple(store.labels()), items=(ITEM,)))
        assert labels_content([str(tmp_path / "labels.csv")]) == first != empty
        store.undo("anna")
        assert labels_content([str(folder)]) == empty
        assert people_said([str(folder)]) == {}
