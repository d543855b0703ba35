"""A model that is asked the same several times, as Inspect does for its epochs: each time it gives another sample."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

from spavl.evaluate.order import put_back, sharing_order
from spavl.models.base import Model, Prompt, Reply, Sampling
from spavl.models.calls.engine import Engine, plan


class RepeatedQuestions:
    """Asks a model lists of prompts, each of which may have been asked before.

    Where answers are sampled, the first who asks a question gets its first sample, the next one its second. A process
    that starts anew counts anew, and finds the samples of the one before it in the store. Greedy answers are all one.

    Args:
        engine: makes the calls; asked by one thread at a time.
        model: the model.
    """

    def __init__(self, engine: Engine, model: Model) -> None:
        self._engine = engine
        self._model = model
        self._times: Counter[str] = Counter()

    def ask(self, prompts: Sequence[Prompt], sampling: Sampling) -> list[Reply]:
        """One reply a prompt, in order.

        Args:
            prompts: what is asked; equal ones may be among them.
            sampling: how answers are sampled.
        """
        order = sharing_order(prompts)
        ordered = [prompts[place] for place in order]
        if sampling.temperature == 0:
            return put_back(self._engine.complete(self._model, ordered, sampling=sampling), order)
        keys = [call.request.key for call in plan(self._model, ordered, sampling=sampling)]
        numbers = []
        for key in keys:
            numbers.append(self._times[key])
            self._times[key] += 1
        samples = self._samples(dict(zip(keys, ordered, strict=True)), sampling)
        return put_back([samples[key][number] for key, number in zip(keys, numbers, strict=True)], order)

    def _samples(self, prompts: dict[str, Prompt], sampling: Sampling) -> dict[str, list[Reply]]:
        """All samples so far of every question, by its key."""
        alike: dict[int, list[str]] = defaultdict(list)
        for key in prompts:
            alike[self._times[key]].append(key)
        found: dict[str, list[Reply]] = {}
        for times, keys in alike.items():
            asked = [prompts[key] for key in keys]
            replies = self._engine.complete(self._model, asked, sampling=sampling, samples=times)
            found |= {key: replies[place * times : (place + 1) * times] for place, key in enumerate(keys)}
        return found
