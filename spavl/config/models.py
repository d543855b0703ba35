"""Settings of the models: a label, a kind (local weights, an endpoint, a Python class), and what that kind needs."""

from __future__ import annotations

from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, NonNegativeFloat, PositiveFloat, PositiveInt

from spavl.config.base import Section

Label = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]


def _address(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("an address looks like http://localhost:8000/v1")
    if parts.port == 0:
        raise ValueError("port 0 is no port")
    return url


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
    trust_remote_code: bool = False
    """Run Python code that comes with the checkpoint. Only for checkpoints you have read."""


class EndpointSpec(Section):
    """An OpenAI-compatible server: vLLM, SGLang, Ollama, `transformers serve`, or a hosted API."""

    name: Label
    """Label of the model in tables and reports; also a file name."""
    kind: Literal["endpoint"] = "endpoint"
    """An OpenAI-compatible server."""
    url: Annotated[str, AfterValidator(_address)]
    """Base address, up to and including `/v1`."""
    model: str
    """The model's name on that server."""
    identity: str
    """What makes its answers its own, as provider/model/revision; part of every key. The address is not: the same
    model behind another address keeps its answers."""
    key_env: str | None = None
    """Name of the environment variable that holds the API key. Keys are never written anywhere."""
    concurrency: PositiveInt = 16
    """Most calls in flight at once."""
    timeout: PositiveFloat = 120.0
    """Seconds for one attempt."""
    attempts: PositiveInt = 5
    """Attempts before a call is recorded as failed."""
    price_in: NonNegativeFloat = 0.0
    """Price of a million prompt tokens."""
    price_out: NonNegativeFloat = 0.0
    """Price of a million answer tokens."""
    system: str = ""
    """A system turn put before every prompt."""


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
