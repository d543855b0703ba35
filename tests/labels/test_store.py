"""A label is on the disk before the next item is shown, once, whoever writes and whatever is killed."""

import os
import signal
import sqlite3
import subprocess
import sys
import time
from threading import Thread

import pytest

from spavl.errors import DataError, RunError, SpavlError
from spavl.labels import Answer, Item, Label, current_labels
from spavl.labels.store import LEASE, LabelStore


def pair(number, **more):
    answers = (Answer(text=f"answer {number}a", source="one"), Answer(text=f"answer {number}b", outcome="unsafe"))
    said = {"stratum": "all", "question": f"request {number}", "answers": answers, **more}
    return Item(item_id=f"pair-{number}", kind="pair", **said)


@pytest.fixture
def store(tmp_path):
    with LabelStore.create(
        tmp_path / "review.sqlite", map(pair, range(5)), made_from="run", settings={"n": 5}, overlap=0
    ) as made:
        yield made


def label(item, annotator="ana", **more):
    return Label(item_id=item.item_id, annotator=annotator, preference="first", seconds=2.0, **more)


def test_an_item_stays_the_same_until_it_is_labelled_and_then_the_next_is_shown(store):
    first = store.next_item("ana")
    assert store.next_item("ana") == first == store.item("pair-0")
    store.add(label(first), key="1")
    assert store.next_item("ana").item_id == "pair-1"


def test_two_annotators_are_not_shown_one_item_until_the_lease_of_one_is_over(store):
    now = time.time()
    assert [store.next_item(name, now=now).item_id for name in ("ana", "ben")] == ["pair-0", "pair-1"]
    store.add(label(store.item("pair-1"), "ben"), key="1")
    assert store.next_item("ben", now=now).item_id == "pair-2"
    store.add(label(store.item("pair-2"), "ben"), key="2")
    assert store.next_item("ben", now=now + LEASE + 1).item_id == "pair-0"


def test_the_overlap_is_shown_to_as_many_as_are_wanted_and_the_rest_to_one(tmp_path):
    seen = {}
    how = {"made_from": "", "settings": {}, "overlap": 0.5, "annotators": 2}
    with LabelStore.create(tmp_path / "review.sqlite", map(pair, range(4)), **how) as store:
        for name in ("ana", "ben", "eva"):
            while item := store.next_item(name):
                store.add(label(item, name), key=f"{name}{item.item_id}")
                seen.setdefault(item.item_id, []).append(name)
    assert sorted(map(len, seen.values())) == [1, 1, 2, 2]


def test_a_page_that_is_sent_twice_is_one_label(store):
    item = store.next_item("ana")
    assert store.add(label(item), key="page") and not store.add(label(item), key="page")
    assert len(store.labels()) == 1


def test_a_second_label_of_one_item_takes_the_place_of_the_first_and_both_are_kept(store):
    item = store.next_item("ana")
    store.add(label(item), key="1")
    store.add(label(item, note="better"), key="2")
    assert len(store.labels()) == 2 and [one.note for one in current_labels(store.labels())] == ["better"]
    assert store.progress("ana").labelled == 1


def test_undo_withdraws_the_last_label_and_shows_its_item_again(store):
    for key in "12":
        store.add(label(store.next_item("ana")), key=key)
    assert store.undo("ana", key="3").item_id == "pair-1" == store.next_item("ana").item_id
    assert store.undo("ana", key="3") is None
    assert [one.item_id for one in current_labels(store.labels())] == ["pair-0"]
    assert store.undo("ana", key="4").item_id == "pair-0" and store.undo("ana", key="5") is None
    assert (store.progress("ana").labelled, store.progress("ana").left) == (0, 5)


def test_what_one_annotator_skips_another_is_shown(store):
    item = store.next_item("ana")
    store.add(Label(item_id=item.item_id, annotator="ana", status="skipped", skip_reason="too hard"), key="1")
    assert store.next_item("ana").item_id == "pair-1" and store.next_item("ben").item_id == "pair-0"
    found = store.progress("ana")
    assert (found.labelled, found.skipped, found.left, found.seconds) == (0, 1, 4, None)


def test_categories_that_an_annotator_does_not_want_are_not_shown(tmp_path):
    items = [pair(n, about={"class3": "weapon" if n % 2 else "fraud"}) for n in range(4)]
    with LabelStore.create(tmp_path / "review.sqlite", items, made_from="", settings={}, overlap=0) as store:
        assert store.next_item("ana").item_id == "pair-0"
        store.opt_out("ana", ["fraud"])
        assert store.next_item("ana").item_id == "pair-1" and store.annotator("ana").opted_out == ("fraud",)
        assert store.progress("ana").left == 2 and store.next_item("ben").item_id == "pair-0"
        store.opt_out("ana", [])
        assert store.progress("ana").left == 4


def test_a_label_of_an_item_that_is_not_there_is_refused(store):
    with pytest.raises(DataError, match="no item"):
        store.add(Label(item_id="pair-9", annotator="ana"), key="1")
    assert store.labels() == []


def test_threads_on_several_connections_label_every_item_once(tmp_path):
    path = tmp_path / "review.sqlite"
    LabelStore.create(path, map(pair, range(60)), made_from="", settings={}, overlap=0).close()

    def work(name):
        with LabelStore(path) as store:
            while item := store.next_item(name):
                store.add(label(item, name), key=f"{name} {item.item_id}")

    threads = [Thread(target=work, args=(name,)) for name in ("ana", "ben", "eva")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with LabelStore(path) as store:
        assert sorted(one.item_id for one in store.labels()) == sorted(f"pair-{n}" for n in range(60))


LABELLING = """
import sys
from pathlib import Path
from spavl.labels import Label
from spavl.labels.store import LabelStore
with LabelStore(Path(sys.argv[1])) as store:
    while item := store.next_item("ana"):
        store.add(Label(item_id=item.item_id, annotator="ana", preference="tie"), key=item.item_id)
        print(item.item_id, flush=True)
"""


def test_no_label_that_was_confirmed_is_lost_when_the_process_is_killed(tmp_path):
    path = tmp_path / "review.sqlite"
    LabelStore.create(path, map(pair, range(400)), made_from="", settings={}, overlap=0).close()
    confirmed = []
    for wanted in (30, 70):
        process = subprocess.Popen([sys.executable, "-c", LABELLING, str(path)], stdout=subprocess.PIPE, text=True)
        for line in process.stdout:
            confirmed.append(line.strip())
            if len(confirmed) >= wanted:
                os.kill(process.pid, signal.SIGKILL)
                break
        confirmed += [line.strip() for line in process.stdout]
        process.wait()
        process.stdout.close()
    with LabelStore(path) as store:
        kept = [one.item_id for one in store.labels()]
    assert len(kept) == len(set(kept)) and set(confirmed) <= set(kept) and len(kept) - len(confirmed) <= 2


def damaged(path):
    path.write_bytes(path.read_bytes()[:4096] + b"\xff" * 8192)


def emptied(path):
    path.write_bytes(b"")


def foreign(path):
    path.unlink()
    sqlite3.connect(path).execute("CREATE TABLE calls (id)").connection.close()


def later(path):
    database = sqlite3.connect(path)
    database.execute("PRAGMA user_version = 99")
    database.commit()
    database.close()


@pytest.mark.parametrize("change", [damaged, emptied, foreign, later, lambda path: path.unlink()])
def test_what_is_no_review_of_this_version_is_a_sentence(tmp_path, change):
    path = tmp_path / "review.sqlite"
    LabelStore.create(path, [pair(0)], made_from="", settings={}, overlap=0).close()
    change(path)
    with pytest.raises(SpavlError), LabelStore(path) as store:
        list(store.items())


def test_a_review_that_is_there_is_not_made_again(store):
    with pytest.raises(RunError, match="already"):
        LabelStore.create(store.path, [], made_from="", settings={}, overlap=0)


def test_two_items_of_one_id_are_refused_and_nothing_is_left(tmp_path):
    with pytest.raises(DataError, match="Two items"):
        LabelStore.create(tmp_path / "review.sqlite", [pair(0), pair(0)], made_from="", settings={}, overlap=0)
    assert not (tmp_path / "review.sqlite").exists()
