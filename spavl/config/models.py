"""Settings of the models: a label, a kind (local weights, an endpoint, a Python class), and what that kind needs."""

from __future__ import annotations

import json
import re
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, NonNegativeFloat, PositiveFloat, PositiveInt

from spavl.config.base import Section

Label = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]


SECRET_HEADERS = frozenset({"authorization", "proxy-authorization", "cookie", "api-key", "x-api-key", "x-goog-api-key"})
"""Headers that hold a secret: their value stands in an environment variable, and never in a settings file."""

OWN_FIELDS = frozenset(
    {"messages", "model", "max_tokens", "max_completion_tokens", "temperature", "top_p", "seed", "response_format"}
)
"""Fields of a request that have settings of their own, or are what is asked."""

UNREADABLE_FIELDS = frozenset({"stream", "n"})
"""Fields of a request that would change the form of the reply: one whole answer is what is read."""


def _address(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("an address looks like http://localhost:8000/v1")
    if parts.port == 0:
        raise ValueError("port 0 is no port")
    if parts.username is not None or parts.password is not None:
        raise ValueError(
            "an address holds no name and no password, for settings are written down; put the key into an environment "
            "variable and name it as `key_env`"
        )
    if parts.fragment:
        raise ValueError("an address has no part after #")
    return url


def _headers(headers: dict[str, str]) -> dict[str, str]:
    for name, value in headers.items():
        if not re.fullmatch(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", name):
            raise ValueError(f"`{name}` is no name of a header")
        if not value.isprintable() or not value.isascii():
            raise ValueError(f"the value of `{name}` is more than one line of ASCII")
        if name.lower() in SECRET_HEADERS and not value.startswith("$"):
            raise ValueError(f"`{name}` is a secret: write `$NAME`, the environment variable that holds it")
    return headers


def _extra_body(fields: dict[str, Any]) -> dict[str, Any]:
    for name in fields:
        if name in OWN_FIELDS:
            raise ValueError(f"`{name}` has a setting of its own, or is what is asked")
        if name in UNREADABLE_FIELDS:
            raise ValueError(f"`{name}` would change the form of the reply; one whole answer is read")
    try:
        json.dumps(fields, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ValueError(f"it holds more than plain values: {error}") from None
    return fields


class SamplingSettings(Section):
    """How a model generates."""

    temperature: NonNegativeFloat = 0.0
    """Larger is more varied; 0 is greedy."""
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Nucleus sampling: only the most probable tokens that together have this much probability."""
    max_tokens: PositiveInt = 256
    """Longest answer, in tokens; an answer that reaches it is marked truncated."""
    seed: int | None = None
    """Seed of the sampling, and part of the call's key: another seed gives another answer. None: the run's seed."""


class LocalSpec(Section):
    """Weights on this machine: any transformers image-text-to-text checkpoint."""

    name: Label
    """Label of the model in tables and reports; also a file name."""
    kind: Literal["local"] = "local"
    """Weights on this machine."""
    path: str
    """A checkpoint folder, a Hub id, or `miniworld:<name>` for a checkpoint shipped with the miniature world."""
    adapter: str | None = None
    """A peft adapter folder, merged into the weights on loading."""
    revision: str | None = None
    """Commit, branch or tag of a Hub id. None: its main branch."""
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """Number format of the weights. `auto`: bfloat16 on a GPU that has it, float32 on a CPU."""
    quantisation: Literal["none", "8bit", "4bit"] = "none"
    """Of the language model's weights; needs bitsandbytes (`pip install 'spavl[quantised]'`)."""
    device: str = "auto"
    """`auto`, `cpu`, `cuda`, `cuda:1`, `mps`."""
    batch_size: PositiveInt = 32
    """Requests in one forward pass; halved when memory runs out. Never changes a word of the answers."""
    system: str = ""
    """A system turn put before every prompt."""
    max_pixels: PositiveInt | None = None
    """Pictures of more pixels (width times height) are made smaller before the processor sees them: some models spend
    15,000 tokens on a photograph of 12 megapixels. Changes answers, and is part of every key. None: as they are."""
    trust_remote_code: bool = False
    """Run Python code that comes with the checkpoint. Only for checkpoints you have read."""


class PictureSettings(Section):
    """The form in which an endpoint is sent pictures. Part of every key, for it changes what the model sees."""

    format: Literal["original", "jpeg", "png"] = "original"
    """`original`: the file as it is, if it is an upright JPEG, PNG, WebP or GIF without transparency; any other picture
    (BMP, TIFF, turned by its camera, transparent, animated, 16 bits) is converted, so that every model sees the same.
    `jpeg`, `png`: all pictures in this format."""
    max_pixels: Annotated[int, Field(ge=1)] | None = None
    """Larger pictures are scaled down to so many pixels, their shape kept. None: never."""
    max_bytes: Annotated[int, Field(ge=1000)] | None = None
    """Larger files are sent as JPEG (as PNG, with that format) and scaled down until they fit; for servers that answer
    big photos with status 413. None: never."""


class EndpointSpec(Section):
    """An OpenAI-compatible server: vLLM, SGLang, Ollama, `transformers serve`, or a hosted API."""

    name: Label
    """Label of the model in tables and reports; also a file name."""
    kind: Literal["endpoint"] = "endpoint"
    """An OpenAI-compatible server."""
    url: Annotated[str, AfterValidator(_address)]
    """Base address, up to and including `/v1`; `/chat/completions` is put after its path, before its `?query`."""
    model: str
    """The model's name on that server; part of every key."""
    identity: str
    """What makes its answers its own beyond the name, as provider/model/revision; part of every key. The address is
    not: the same model behind another address keeps its answers."""
    key_env: str | None = None
    """Name of the environment variable that holds the API key. Keys are never written anywhere."""
    headers: Annotated[dict[str, str], AfterValidator(_headers)] = {}
    """Further headers of every request. A value `$NAME` is taken from that environment variable, never written down."""
    extra_body: Annotated[dict[str, Any], AfterValidator(_extra_body)] = {}
    """Further fields of every request, such as `{chat_template_kwargs: {enable_thinking: false}}`. Part of every
    key."""
    token_limit: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    """Field of the request that holds `sampling.max_tokens`; newer OpenAI models know only `max_completion_tokens`."""
    leave_out: tuple[Literal["temperature", "top_p", "seed", "response_format"], ...] = ()
    """Fields of the request that this server refuses and is not sent; its own defaults hold then. Part of every key."""
    pictures: PictureSettings = PictureSettings()
    """The form in which it is sent pictures."""
    max_response_bytes: PositiveInt = 8_000_000
    """A longer response is not read to its end, and its call has failed."""
    concurrency: PositiveInt = 16
    """Most calls in flight at once."""
    timeout: PositiveFloat = 120.0
    """Seconds for one attempt."""
    attempts: PositiveInt = 5
    """Attempts before a call is recorded as failed. Those that fail because the whole server is out of reach do not
    count; see `patience`."""
    patience: NonNegativeFloat = 600.0
    """Seconds that a server which has answered before may be out of reach, or refuse all calls as too many, before its
    model is given up for this run. Until then its calls wait, and one of them is tried again and again; the other
    models go on."""
    longest_wait: PositiveFloat = 120.0
    """Most seconds to wait at once because a server asks for it (`Retry-After`), whatever it asks for."""
    price_in: NonNegativeFloat | None = None
    """Price of a million prompt tokens; 0: it is free. None: what the file of `prices` says, or unknown."""
    price_out: NonNegativeFloat | None = None
    """Price of a million answer tokens. None: what the file of `prices` says, or unknown."""
    system: str = ""
    """A system turn put before every prompt."""

    @property
    def variables(self) -> list[str]:
        """Names of the environment variables that hold its key and its secret headers."""
        headers = [value[1:] for value in self.headers.values() if value.startswith("$")]
        return [*([self.key_env] if self.key_env else []), *headers]


class PythonSpec(Section):
    """A class of your own: `package.module:Class`, built with `options`. Needs `--allow-code`."""

    name: Label
    """Label of the model in tables and reports; also a file name."""
    kind: Literal["python"] = "python"
    """A class of your own."""
    target: str
    """`package.module:Class`; the class has `generate(requests) -> list[Reply]`."""
    version: str
    """Declared by you; change it when its answers change. Part of every key."""
    options: dict[str, Any] = {}
    """Keyword arguments of the class."""
    batch_size: PositiveInt = 256
    """Requests in one call of `generate`."""


ModelSpec = Annotated[LocalSpec | EndpointSpec | PythonSpec, Field(discriminator="kind")]
