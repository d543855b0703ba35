"""The key of a call: the hash of everything that decides its answer, and of nothing else.

Inside the key: the model's identity, all turns with their pictures by content, the sampling, the answer's schema, the
number of the sample. Outside: addresses, time limits, batch sizes, prices, names of key variables, labels, file paths.
A change to the canonical form below makes every stored answer unfindable, so the tests pin keys as literals.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import blake2b
from json.encoder import encode_basestring_ascii as quoted
from typing import Any, final

from spavl.errors import ModelError
from spavl.models.base import Prompt, Request, Sampling
from spavl.records import ImageRef

CANONICAL_FORM = 2
"""Version of the canonical request; part of every key."""

PREPROCESSING = "original-bytes"
"""What is done to a picture before a model sees it, beyond what the model's own processor does: nothing. The processor
of a local model is part of that model's identity."""


@final
class CanonicalForm:
    """Requests of one model and one sampling as canonical JSON: sorted, without spaces, ASCII.

    Equal requests are equal strings, those of `json.dumps(…, sort_keys=True)`. What all of them share is written once,
    and the rest is put together from quoted strings: a stage of a million calls spends some 3 s here. The seed is left
    out where nothing is sampled (temperature 0).

    Args:
        identity: identity of the model that is asked.
        sampling: how its answers are generated.
        schema: JSON schema of the answers. None: free text.
        by_item: add the prompt's `item`, which only models of kind `python` see.

    Raises:
        ModelError: the answer's schema is not JSON.
    """

    def __init__(
        self, identity: str, sampling: Sampling, schema: Mapping[str, Any] | None = None, *, by_item: bool = False
    ) -> None:
        self._by_item = by_item
        self._model = f'"model":{quoted(identity)},"sample":'
        self._middle = f',"sampling":{_sampling(sampling)},"schema":{_json(schema)},"system":'

    def of(self, prompt: Prompt, sample: int = 0) -> str:
        """The canonical request.

        Args:
            prompt: what is asked.
            sample: number of the answer among several to the same prompt.
        """
        item = f'"item":{quoted(prompt.item)},' if self._by_item else ""
        turns = "".join([f"{_turn(turn.role, turn.text, turn.images)}," for turn in prompt.earlier])
        last = _turn(prompt.role, prompt.text, prompt.images)
        return (
            f'{{"form":{CANONICAL_FORM},{item}{self._model}{sample}{self._middle}{quoted(prompt.system)},'
            f'"turns":[{turns}{last}]}}'
        )


def canonical(request: Request, identity: str, *, by_item: bool = False) -> str:
    """One request as canonical JSON (see `CanonicalForm`).

    Args:
        request: the request; its `key` is not used.
        identity: identity of the model that is asked.
        by_item: add the prompt's `item`, which only models of kind `python` see.
    """
    form = CanonicalForm(identity, request.sampling, request.schema, by_item=by_item)
    return form.of(request.prompt, request.sample)


def key_of(canonical_request: str) -> str:
    """Key of a canonical request: 128 bits of BLAKE2b, as 32 hexadecimal digits.

    Args:
        canonical_request: what `canonical` returned.
    """
    return blake2b(canonical_request.encode("ascii"), digest_size=16).hexdigest()


def _turn(role: str, text: str, images: tuple[ImageRef, ...]) -> str:
    shown = ",".join([f'{{"as":"{PREPROCESSING}","sha256":{quoted(image.sha256)}}}' for image in images])
    return f'{{"images":[{shown}],"role":"{role}","text":{quoted(text)}}}'


def _sampling(sampling: Sampling) -> str:
    form: dict[str, float] = {
        "temperature": float(sampling.temperature),
        "top_p": float(sampling.top_p),
        "max_tokens": sampling.max_tokens,
    }
    if sampling.temperature > 0:
        form["seed"] = sampling.seed
    return _json(form)


def _json(form: Mapping[str, Any] | None) -> str:
    try:
        return json.dumps(form, sort_keys=True, separators=(",", ":"), allow_nan=False, default=dict)
    except (TypeError, ValueError) as error:
        raise ModelError(
            f"The answer's schema cannot be written as JSON: {error}.",
            try_="Use only strings, numbers, lists and mappings.",
        ) from error
