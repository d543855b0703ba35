"""Which batch makes a call, where several want the same one at the same time."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from typing import final

from spavl.models.calls.batch import Batch, Call


@final
class Claims:
    """Calls that are being made, by key, each with the batch that makes it. For any number of threads."""

    def __init__(self) -> None:
        self.ended = 0
        """Rises whenever calls end: who looked for a reply before must look again before making its call."""
        self._batches: dict[str, Batch] = {}
        self._guard = threading.Lock()

    def claim(self, calls: Mapping[str, Call], batch: Batch) -> tuple[list[Call], dict[str, Batch]]:
        """The calls that a batch is to make, and by key the batches that are making the others.

        Args:
            calls: calls without a reply, by key.
            batch: what wants the replies; it is told how many calls begin.
        """
        own, others = [], {}
        with self._guard:
            for key, call in calls.items():
                other = self._batches.get(key)
                if other is None or other.is_idle:
                    self.ended += other is not None
                    self._batches[key] = batch
                    own.append(call)
                else:
                    others[key] = other
            batch.begin(len(own))
        return own, others

    def release(self, keys: Iterable[str], batch: Batch) -> None:
        """Note that a batch makes these calls no more.

        Args:
            keys: keys of the calls.
            batch: what made them.
        """
        with self._guard:
            self.ended += 1
            for key in keys:
                if self._batches.get(key) is batch:
                    del self._batches[key]
