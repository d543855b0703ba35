"""Work of a validation, shared out among the processes that train together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from accelerate import PartialState
from accelerate.utils import broadcast_object_list, gather_object

A = TypeVar("A")
B = TypeVar("B")


def share_out(items: Sequence[A], work: Callable[[Sequence[A]], Sequence[B]]) -> list[B]:
    """What a function makes of some items, of which every process does its share; all processes get the whole.

    Args:
        items: the same in every process.
        work: makes one result of each item, in order.
    """
    world = PartialState()
    ranks = world.num_processes
    own = list(work(items[world.process_index :: ranks]))
    results: list[Any] = [None] * len(items)
    for rank, some in enumerate(gather_object([own])):
        results[rank::ranks] = some
    return results


def of_first(make: Callable[[], A]) -> A:
    """What a function makes in the first process, in all of them.

    Args:
        make: called in the first process alone.
    """
    made = [make() if PartialState().is_main_process else None]
    found: Any = broadcast_object_list(made)[0]
    return found  # type: ignore[no-any-return]
