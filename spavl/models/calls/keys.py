"""The key of a call: the hash of everything that decides its answer, and of nothing else.

Inside the key: the model's identity, all turns with their pictures by content, the sampling, the answer's schema, the
number of the sample. Outside: addresses, time limits, batch sizes, prices, names of key variables, labels, file paths.
A change to the canonical form below makes every stored answer unfindable, so the tests pin keys as literals.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import blake2b
from typing import Any

from spavl.errors import ModelError
from spavl.models.base import Request
from spavl.records import Turn

CANONICAL_FORM = 2
"""Version of the canonical request; part of every key."""

PREPROCESSING = "original-bytes"
"""What is done to a picture before a model sees it, beyond what the model's own processor does: nothing. The processor
of a local model is part of that model's identity."""


def canonical(request: Request, identity: str, *, by_item: bool = False) -> str:
    """The request as canonical JSON: sorted, without spaces, ASCII, so that equal requests are equal strings.

    The seed is left out where nothing is sampled (temperature 0).

    Args:
        request: the request; its `key` is not used.
        identity: identity of the model that is asked.
        by_item: add the prompt's `item`, which only models of kind `python` see.

    Raises:
        ModelError: the answer's schema is not JSON.
    """
    prompt, sampling = request.prompt, request.sampling
    form: dict[str, Any] = {
        "form": CANONICAL_FORM,
        "model": identity,
        "system": prompt.system,
        "turns": [_turn(turn) for turn in prompt.turns],
        "sampling": {
            "temperature": float(sampling.temperature),
            "top_p": float(sampling.top_p),
            "max_tokens": sampling.max_tokens,
        },
        "schema": request.schema,
        "sample": request.sample,
    }
    if sampling.temperature > 0:
        form["sampling"]["seed"] = sampling.seed
    if by_item:
        form["item"] = prompt.item
    return _json(form)


def key_of(canonical_request: str) -> str:
    """Key of a canonical request: 128 bits of BLAKE2b, as 32 hexadecimal digits.

    Args:
        canonical_request: what `canonical` returned.
    """
    return blake2b(canonical_request.encode("ascii"), digest_size=16).hexdigest()


def _turn(turn: Turn) -> dict[str, Any]:
    images = [{"sha256": image.sha256, "as": PREPROCESSING} for image in turn.images]
    return {"role": turn.role, "images": images, "text": turn.text}


def _json(form: Mapping[str, Any]) -> str:
    try:
        return json.dumps(form, sort_keys=True, separators=(",", ":"), allow_nan=False, default=dict)
    except (TypeError, ValueError) as error:
        raise ModelError(
            f"The answer's schema cannot be written as JSON: {error}.",
            try_="Use only strings, numbers, lists and mappings.",
        ) from error
