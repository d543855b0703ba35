"""What actors share: counts that add up, pauses that all of them keep, and a model's concurrency among them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spavl.config import EndpointSpec, Settings
from spavl.errors import RunError
from spavl.models.backends.endpoint import EndpointModel
from spavl.models.calls.oversight import Notice, Usage
from spavl.pipeline.actor import check_seen, share_of, shared_out
from spavl.pipeline.counter import Counter, Counts, SharedLimits, Tally, ceilings_of

SPEC = EndpointSpec(name="amber", url="http://127.0.0.1:9/v1", model="m", identity="test/m", concurrency=2)


def exchange(counter: Counter, tallies: dict[str, Tally]) -> None:
    """Every actor exchanges once."""
    for name, tally in tallies.items():
        tally.heed(counter.exchange(name, *tally.take()))


def test_what_actors_did_adds_up_and_an_exchange_that_is_repeated_changes_nothing() -> None:
    counter, tallies = Counter(), {"0": Tally(), "1": Tally()}
    for tally in tallies.values():
        tally.add_replies(5)
        tally.oversight.count("amber", calls=1, prompt_tokens=10, cost=0.5)
    tallies["1"].oversight.count("birch", calls=2, throttled=1)
    for _ in range(3):
        exchange(counter, tallies)
    amber = Usage(calls=2, prompt_tokens=20, cost=1.0)
    assert counter.total() == Counts(10, {"amber": amber, "birch": Usage(calls=2, throttled=1)})


def test_an_actor_that_is_replaced_still_counts() -> None:
    counter = Counter()
    exchange(counter, {"0-0": _tally(3)})
    exchange(counter, {"0-1": _tally(4)})
    assert counter.total().replies == 7


def _tally(replies: int) -> Tally:
    tally = Tally()
    tally.add_replies(replies)
    return tally


def run(work: Callable[[], Awaitable[None]]) -> None:
    """Run in an event loop of its own, as limits are used."""

    async def awaited() -> None:
        await work()

    asyncio.run(awaited())


def test_a_pause_that_a_server_asks_of_one_actor_is_kept_by_the_others() -> None:
    counter, tallies = Counter(), {name: Tally() for name in "012"}
    limits = {name: SharedLimits(EndpointModel(SPEC), tally) for name, tally in tallies.items()}

    async def work() -> None:
        acquired = await limits["0"].acquire()
        limits["0"].throttle(acquired, pause=0.8)
        limits["0"].release()
        exchange(counter, tallies)
        exchange(counter, tallies)
        began = time.monotonic()
        await limits["1"].acquire()
        assert time.monotonic() - began > 0.6
        exchange(counter, tallies)
        began = time.monotonic()
        await asyncio.gather(limits["0"].acquire(), limits["2"].acquire())
        assert time.monotonic() - began < 0.2, "the pause is over"

    run(work)


def test_another_models_server_is_not_paused() -> None:
    counter, tallies = Counter(), {"0": Tally(), "1": Tally()}
    tallies["0"].pause("birch", 60.0)
    exchange(counter, tallies)

    async def work() -> None:
        await asyncio.wait_for(SharedLimits(EndpointModel(SPEC), tallies["1"]).acquire(), 1.0)

    run(work)


@pytest.mark.parametrize(
    ("concurrency", "actors", "shares"), [(16, 4, [4, 4, 4, 4]), (7, 3, [3, 2, 2]), (2, 3, [1, 1, 0])]
)
def test_a_models_concurrency_is_shared_out_so_that_no_call_is_beyond_it(
    concurrency: int, actors: int, shares: list[int]
) -> None:
    settings = Settings.model_validate({"ray": {"actors": actors}})
    assert [share_of(settings, concurrency, place) for place in range(actors)] == shares


def test_concurrency_of_an_actor_may_be_said() -> None:
    settings = Settings.model_validate({"models": [SPEC.model_dump()], "ray": {"actors": 3, "concurrency": 5}})
    assert [share_of(settings, 2, place) for place in range(3)] == [5, 5, 5]
    (spec,) = shared_out(settings, 1).models
    assert isinstance(spec, EndpointSpec)
    assert spec.concurrency == 5


def test_a_folder_that_an_actor_does_not_see_is_a_sentence(tmp_path: Path) -> None:
    check_seen(tmp_path, tmp_path.stat().st_ino)
    for path, number in ((tmp_path / "none", 1), (tmp_path, tmp_path.stat().st_ino + 1)):
        with pytest.raises(RunError, match="must lie on a disk that all machines of the cluster share"):
            check_seen(path, number)


def test_what_all_actors_have_spent_is_held_against_the_ceiling_by_each() -> None:
    counter, tallies = Counter(), {name: Tally(cost=10.0) for name in "012"}
    for tally in tallies.values():
        tally.oversight.count("amber", cost=3.0)
    assert not any(tally.oversight.reached() for tally in tallies.values())
    exchange(counter, tallies)
    exchange(counter, tallies)
    assert not any(tally.oversight.reached() for tally in tallies.values()), "9 of 10"
    tallies["1"].oversight.count("birch", cost=1.0)
    exchange(counter, tallies)
    exchange(counter, tallies)
    assert {tally.oversight.reached()[:44] for tally in tallies.values()} == {
        "The ceiling of cost is reached: 10 of 10 (`c"
    }
    exchange(counter, tallies)
    assert [notice.state for notice in counter.notices(0)] == ["reached"], "said once, though three actors say it"
    assert counter.notices(1) == []


def test_what_an_actor_that_died_has_spent_counts_for_the_one_in_its_place() -> None:
    counter, died = Counter(), Tally(cost=10.0)
    died.oversight.count("amber", cost=10.0)
    exchange(counter, {"0-0": died})
    replaced = Tally(cost=10.0)
    exchange(counter, {"0-1": replaced})
    assert replaced.oversight.reached()


def test_what_several_actors_say_of_a_model_is_said_once() -> None:
    counter, tallies = Counter(), {name: Tally() for name in "01"}

    def tell(name: str, state: str) -> None:
        tallies[name].oversight.tell(Notice("amber", state, f"{state} by {name}"))

    for state in ("paused", "asking", "paused"):
        tell("0", state)
        tell("1", state)
        exchange(counter, tallies)
        exchange(counter, tallies)
    tell("1", "given up")
    tell("0", "asking")
    exchange(counter, {"1": tallies["1"]})
    exchange(counter, tallies)
    said = [notice.line for notice in counter.notices(0)]
    assert said == ["paused by 0", "asking by 0", "paused by 0", "given up by 1"]


def test_an_actor_knows_which_models_have_answered_the_others() -> None:
    counter, tallies = Counter(), {"0": Tally(), "1": Tally()}
    tallies["0"].oversight.count("amber", calls=1)
    tallies["0"].oversight.count("birch", throttled=1)
    exchange(counter, tallies)
    assert tallies["1"].oversight.answered == {"amber"}


def test_what_all_actors_have_spent_on_one_model_is_held_against_its_ceiling_and_stops_no_other() -> None:
    counter, tallies = Counter(), {name: Tally(models={"amber": 6.0}) for name in "012"}
    for tally in tallies.values():
        tally.oversight.count("amber", cost=2.5)
        tally.oversight.count("birch", cost=99.0)
        assert not tally.oversight.stopped("amber")
    exchange(counter, tallies)
    exchange(counter, tallies)
    for tally in tallies.values():
        assert tally.oversight.stopped("amber").startswith("`amber` has reached its ceiling of cost: 7.5 of 6")
        assert not tally.oversight.stopped("birch") and not tally.oversight.reached()
    exchange(counter, tallies)
    assert [(notice.about, notice.state) for notice in counter.notices(0)] == [("amber", "reached")]


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 6), st.floats(0.05, 5.0), st.integers(0, 10**9))
def test_actors_exceed_a_ceiling_by_at_most_one_call_each_whenever_they_exchange(
    actors: int, price: float, seed: int
) -> None:
    """One call of each actor is in flight at a time; how often one is made and one exchanges is left to chance."""
    chance = Random(seed)
    counter = Counter(ceilings_of(10.0, {"amber": 7.0}), actors)
    tallies = {str(n): Tally(cost=10.0, models={"amber": 7.0}, shared=True) for n in range(actors)}
    idle = 0
    while idle < 60 * actors:
        name, model = chance.choice(list(tallies)), chance.choice(["amber", "birch"])
        oversight = tallies[name].oversight
        if oversight.stopped(model) or oversight.must_wait(model):
            idle += 1
        else:
            oversight.count(model, cost=price)
            idle = 0
        if chance.random() < 0.2:
            exchange(counter, {name: tallies[name]})
    exchange(counter, tallies)
    found = counter.total().models
    assert found.get("amber", Usage()).cost <= 7.0 + actors * price + 1e-9
    assert sum(one.cost for one in found.values()) <= 10.0 + actors * price + 1e-9
    assert sum(one.cost for one in found.values()) > 9.0, "nearly all of the money is spent"


def test_who_hears_nothing_of_the_others_goes_on_at_last(monkeypatch: pytest.MonkeyPatch) -> None:
    oversight = Tally(cost=10.0, shared=True).oversight
    assert oversight.must_wait("amber") and not oversight.stopped("amber")
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + 11.0)
    assert not oversight.must_wait("amber")


def test_the_ceiling_of_time_is_counted_from_the_start_of_an_actor() -> None:
    tally = Tally(seconds=0.2)
    assert not tally.oversight.reached()
    time.sleep(0.25)
    assert tally.oversight.reached().startswith("The ceiling of time is reached")
