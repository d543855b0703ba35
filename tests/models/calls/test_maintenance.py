"""Counting, explaining, forgetting, making small and exporting a call store."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from spavl.errors import DataError, RunError
from spavl.models.base import Reply, failed_reply
from spavl.models.calls.keys import key_of
from spavl.models.calls.maintenance import compact, count, explain, export, forget
from spavl.models.calls.store import CallStore
from tests.models.calls.stored import column_of, fill, request_of

STATUSES = ("ok", "refused", "truncated", "filtered", "invalid", "empty", "failed")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "calls.sqlite"


def put(path: Path, *, model: str, status: str, numbers: range, **changed: object) -> list[str]:
    """Store replies of a model. Returns their keys."""
    keys = []
    with CallStore(path) as store:
        for number in numbers:
            request = request_of(number, model)
            reply = replace(Reply("", status=status, prompt_tokens=10, completion_tokens=2, cost=0.25), **changed)  # type: ignore[arg-type]
            store.put(key_of(request), reply, request)
            keys.append(key_of(request))
    return keys


def test_calls_are_counted_by_model_and_status_with_tokens_and_cost(path: Path) -> None:
    put(path, model="endpoint:alpha", status="ok", numbers=range(4))
    put(path, model="endpoint:alpha", status="failed", numbers=range(4, 5))
    put(path, model="local:beta", status="ok", numbers=range(2))
    found = {(one.model, one.status): one for one in count(path)}
    assert {key: one.calls for key, one in found.items()} == {
        ("endpoint:alpha", "ok"): 4, ("endpoint:alpha", "failed"): 1, ("local:beta", "ok"): 2
    }  # fmt: skip
    four = found["endpoint:alpha", "ok"]
    assert (four.prompt_tokens, four.completion_tokens, four.cost) == (40, 8, 1.0)


def test_a_request_that_is_no_json_does_not_stop_the_count(path: Path) -> None:
    keys = fill(path, 3)
    with column_of(path) as connection:
        connection.execute("UPDATE calls SET request = 'nothing' WHERE key = ?", (keys[0],))
    assert {one.model: one.calls for one in count(path)} == {"(damaged)": 1, "endpoint:alpha": 2}


def test_a_call_is_explained_by_the_beginning_of_its_key(path: Path) -> None:
    keys = fill(path, 30, status="invalid", detail="too long for this server")
    call = explain(path, keys[4][:12])
    assert call["key"] == keys[4]
    assert call["status"] == "invalid"
    assert call["detail"] == "too long for this server"
    assert call["fault"] == ""
    assert call["request"]["turns"][0]["text"] == "Question 4?"


def test_no_such_key_and_several_are_sentences(path: Path) -> None:
    keys = fill(path, 300)
    with pytest.raises(DataError, match="No call has a key that begins with `zz`"):
        explain(path, "zz")
    shared = next(key[0] for key in keys if sum(other[0] == key[0] for other in keys) > 6)
    with pytest.raises(DataError, match=f"Several keys begin with `{shared}`: .* …"):
        explain(path, shared)


@pytest.mark.parametrize("status", ["failed", "empty", "invalid", "filtered"])
def test_only_calls_of_that_status_and_model_are_forgotten(path: Path, status: str) -> None:
    keys = {one: put(path, model="endpoint:alpha", status=one, numbers=range(9, 12)) for one in STATUSES[:1]}
    for place, one in enumerate(STATUSES):
        keys[one] = put(path, model="endpoint:alpha", status=one, numbers=range(100 * place, 100 * place + 3))
    put(path, model="local:beta", status=status, numbers=range(2))
    before = sum(one.calls for one in count(path))
    assert forget(path, status=status, model="alpha") == 3  # type: ignore[arg-type]
    assert sum(one.calls for one in count(path)) == before - 3
    with CallStore(path) as store:
        for one in STATUSES:
            assert len(store.get_many(keys[one])) == (0 if one == status else 3)


def test_a_model_that_is_not_there_is_a_sentence(path: Path) -> None:
    fill(path, 2)
    with pytest.raises(DataError, match="No model whose calls are stored has `gamma`") as error:
        forget(path, status="failed", model="gamma")
    assert "endpoint:alpha" in error.value.try_


def test_a_store_is_made_small_and_keeps_all_rows(path: Path) -> None:
    keys = fill(path, 500, text="x" * 500, status="failed")
    good = fill(path, 20, text="Answer of another")
    assert set(good) <= set(keys)
    forget(path, status="failed")
    before, after = compact(path)
    assert after < before / 3
    with CallStore(path) as store:
        assert len(store.get_many(good)) == 20


def test_nothing_writes_into_a_store_that_another_process_writes(path: Path) -> None:
    fill(path, 2)
    with CallStore(path):
        for work in (lambda: forget(path, status="failed"), lambda: compact(path)):
            with pytest.raises(RunError, match="is being written by"):
                work()
        assert count(path)[0].calls == 2


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
def test_an_export_holds_every_whole_row_and_no_other(path: Path, tmp_path: Path, suffix: str) -> None:
    keys = fill(path, 2_500, thought="a line\u2028and another")
    with column_of(path) as connection:
        connection.execute("UPDATE calls SET text = 'changed' WHERE key = ?", (keys[7],))
    out = tmp_path / f"calls{suffix}"
    assert export(path, out) == 2_499
    if suffix == ".parquet":
        rows = pq.read_table(out).to_pylist()
        assert pq.ParquetFile(out).num_row_groups == 3
        assert json.loads(rows[0]["request"])["model"] == "endpoint:alpha"
    else:
        rows = [json.loads(line) for line in out.read_text("utf-8").split("\n") if line]
        assert rows[0]["request"]["model"] == "endpoint:alpha"
    assert [row["key"] for row in rows] == [key for key in keys if key != keys[7]]
    assert rows[0]["text"] == "Answer 000000"
    assert rows[0]["thought"] == "a line\u2028and another"


def test_an_export_under_another_suffix_is_a_sentence(path: Path, tmp_path: Path) -> None:
    fill(path, 1)
    with pytest.raises(DataError, match="as JSON lines or Parquet"):
        export(path, tmp_path / "calls.csv")


def test_there_must_be_a_store(path: Path, tmp_path: Path) -> None:
    for work in (count, compact, lambda at: explain(at, "a"), lambda at: export(at, tmp_path / "x.jsonl")):
        with pytest.raises(RunError, match="There is no call store"):
            work(path)
    assert not path.exists()


def test_failures_are_replaced_by_later_failures_and_by_answers(path: Path) -> None:
    request = request_of(0)
    key = key_of(request)
    with CallStore(path) as store:
        for reply in (Reply("", status="empty"), failed_reply("the server failed"), Reply("", status="empty")):
            store.put(key, reply, request)
            store.flush()
            assert store.get_many([key])[key].status == reply.status
            assert store.known([key]) == set()
        for reply in (Reply("Fine."), Reply("Never.")):
            store.put(key, reply, request)
            store.flush()
        assert store.get_many([key])[key].text == "Fine."
