"""The forms in which models decline, and those in which they help: the table `spavl/data/refusal_forms.yaml`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Literal

from spavl.strict_yaml import load_yaml

Kind = Literal["decline", "judgement", "manner", "redirection", "help"]
"""`decline`: says that it will not or cannot. `judgement`: of the request. `manner`: goes with refusals. `redirection`:
leads away from the request. `help`: speaks against a refusal."""


@dataclass(frozen=True, slots=True)
class Form:
    """A form of words and what it weighs."""

    name: str
    """What it is, in explanations."""
    kind: Kind
    """What it shows."""
    weight: float
    """Weight in the first sentences; what speaks against a refusal weighs less than 0."""
    late: float
    """Share of the weight that is left after the first sentences."""
    pattern: re.Pattern[str]
    """Searched in a sentence, in lower case and without quoted words."""


@cache
def refusal_forms() -> tuple[Form, ...]:
    """All forms of the table; in one sentence each counts once, and in a text where it weighs most."""
    table = load_yaml((files("spavl") / "data" / "refusal_forms.yaml").read_text("utf-8"))
    words: dict[str, str] = {}
    for name, lines in table["words"].items():
        words[name] = _pattern(lines, words)
    return tuple(
        Form(row["name"], row["kind"], row["weight"], row["late"], re.compile(_pattern(row["any"], words)))
        for row in table["forms"]
    )


def _pattern(lines: str, words: Mapping[str, str]) -> str:
    """One pattern of several, one a line, with the lists that they name in their places."""
    either = "|".join(line for line in lines.splitlines() if line)
    return f"(?:{re.sub(r'<([A-Z_]+)>', lambda found: words[found.group(1)], either)})"
