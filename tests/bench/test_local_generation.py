"""The benchmark of local generation: both sides read the same requests and give the same words."""

from __future__ import annotations

from pathlib import Path

from bench import local_generation
from bench.trl_comparison.workload import ModelShape
from spavl.models.base import Sampling

TINY = ModelShape("tiny", 32, 48, 2, 2, 200, 16, 32, 2, 2, image_size=28)


def test_both_sides_give_the_same_words(tmp_path: Path) -> None:
    checkpoint, requests = local_generation.prepare(tmp_path, TINY, pictures=2)
    assert len(requests) == 12
    assert [len({request.prompt.images for request in requests[start:][:6]}) for start in (0, 6)] == [1, 1]
    limited = [local_generation.limited(request, 6) for request in requests]
    assert {request.sampling for request in limited} == {Sampling(max_tokens=6)}
    found = local_generation.compare(checkpoint, limited, sizes=(1, 3))
    assert (found.equal, found.items) == (12, 12)
    assert found.batch_size in (1, 3)
    assert found.plain > 0 and found.trees > 0
