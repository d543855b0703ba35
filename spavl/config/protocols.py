"""Protocols: what a published number was measured with, frozen in a file that has a hash.

A protocol says for every benchmark how the model is asked, with which pictures, how it generates, who grades, and which
metrics carry the number. An entry of `evaluate.benchmarks` that names one takes all of that from it, and may not say
otherwise.
"""

from __future__ import annotations

import hashlib
import json
from difflib import get_close_matches
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from spavl.config.base import Section
from spavl.config.models import SamplingSettings
from spavl.strict_yaml import load_yaml

FOLDER = "protocols"
"""Folder of `spavl/data` that holds the protocols which ship."""


class GradedBy(Section):
    """Who has to grade the answers."""

    kind: str
    """Kind of the guard, such as `md-judge`."""
    show_image: bool | None = None
    """Whether it is sent the pictures. None: as its kind does."""


class ProtocolEntry(Section):
    """What a protocol says of one benchmark."""

    entry: dict[str, Any] = {}
    """Settings of the benchmark's entry that are fixed."""
    sampling: SamplingSettings = SamplingSettings(max_tokens=256)
    """How answers are generated."""
    guard: GradedBy | None = None
    """Who has to grade; None: nobody, or whoever the settings name."""
    metrics: tuple[str, ...]
    """Names of the metrics that carry the published number; others may be measured beside them."""
    note: str = ""
    """What is known of the published measurement, and what is not."""


class Protocol(Section):
    """A published way of measuring."""

    title: str
    """What it is, in a few words."""
    source: str
    """Where it is published."""
    benchmarks: dict[str, ProtocolEntry]
    """What it says, by kind of benchmark."""
    note: str = ""
    """What is not known of it, or cannot be followed."""

    @property
    def hash(self) -> str:
        """Hash of all that it fixes; its words are no part of it."""
        fixed = {
            kind: one.model_dump(mode="json", exclude={"note"}) for kind, one in sorted(self.benchmarks.items())
        }  # fmt: skip
        return hashlib.sha256(json.dumps(fixed, sort_keys=True).encode()).hexdigest()[:12]


def protocol_names() -> tuple[str, ...]:
    """Names of the protocols that ship, in alphabetical order."""
    found = (files("spavl") / "data" / FOLDER).iterdir()
    return tuple(sorted(one.name.removesuffix(".yaml") for one in found if one.name.endswith(".yaml")))


@cache
def protocol_named(name: str) -> Protocol:
    """A protocol that ships, or one of the user's own.

    Args:
        name: its name, or the path of a YAML file.

    Raises:
        ValueError: there is none, or the file is no protocol; pydantic makes a sentence of it.
    """
    if name in protocol_names():
        text = (files("spavl") / "data" / FOLDER / f"{name}.yaml").read_text("utf-8")
    elif name.endswith((".yaml", ".yml")):
        try:
            text = Path(name).read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ValueError(f"the protocol {name} cannot be read: {error}") from None
    else:
        near = get_close_matches(name, protocol_names(), n=1)
        meant = f" (did you mean `{near[0]}`?)" if near else ""
        raise ValueError(
            f"there is no protocol `{name}`{meant}: there are {', '.join(protocol_names())}; or name a YAML file"
        )
    return _parsed(text, name)


def _parsed(text: str, name: str) -> Protocol:
    try:
        return Protocol.model_validate(load_yaml(text))
    except yaml.YAMLError as error:
        raise ValueError(f"the protocol {name} is no YAML: {error}") from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ValueError(f"the protocol {name} is none: `{where}`: {first['msg']}") from None


def entry_of(name: str, kind: str) -> ProtocolEntry:
    """What a protocol says of a benchmark.

    Args:
        name: of the protocol.
        kind: of the benchmark.

    Raises:
        ValueError: there is no such protocol, or it says nothing of the benchmark.
    """
    protocol = protocol_named(name)
    if kind not in protocol.benchmarks:
        raise ValueError(f"the protocol `{name}` says nothing of `{kind}`: it is of {', '.join(protocol.benchmarks)}")
    return protocol.benchmarks[kind]


def with_protocol(given: Any, kind: str) -> Any:
    """The settings of a benchmark with those that its protocol fixes.

    Args:
        given: what the settings file says of the benchmark.
        kind: of the benchmark.

    Raises:
        ValueError: there is no such protocol, or the file says otherwise than it.
    """
    if not isinstance(given, dict) or not isinstance(given.get("protocol"), str):
        return given
    fixed = entry_of(given["protocol"], kind).entry
    for name, value in fixed.items():
        if name in given and _plain(given[name]) != _plain(value):
            raise ValueError(
                f"`{name}` is fixed by the protocol `{given['protocol']}`: leave it out, or leave out the protocol"
            )
    return {**given, **fixed}


def _plain(value: Any) -> Any:
    """A value as JSON has it, in which a tuple is a list."""
    return json.loads(json.dumps(value, default=str))
