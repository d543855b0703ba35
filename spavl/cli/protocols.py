"""Protocols as tables."""

from __future__ import annotations

import json
from typing import Any

from spavl.cli.terminal import print_json, say, table
from spavl.config.protocols import Protocol, protocol_named, protocol_names
from spavl.errors import SettingsError


def print_protocols(*, as_json: bool) -> None:
    """Print the protocols that ship: what each is of, and its hash.

    Args:
        as_json: print JSON.
    """
    known = {name: protocol_named(name) for name in protocol_names()}
    if as_json:
        print_json({name: _plain(protocol) for name, protocol in known.items()})
        return
    rows = [[name, protocol.hash, ", ".join(protocol.benchmarks), protocol.title] for name, protocol in known.items()]
    table("Protocols", ["protocol", "hash", "benchmarks", "what it is"], rows, right=9)
    say("\nNext:   `spavl protocols NAME` shows what one fixes; name it as `protocol` in a benchmark's entry")


def print_protocol(name: str, *, as_json: bool) -> None:
    """Print what a protocol fixes.

    Args:
        name: of the protocol, or a YAML file.
        as_json: print JSON.

    Raises:
        SettingsError: there is none, or the file is no protocol.
    """
    try:
        protocol = protocol_named(name)
    except ValueError as error:
        said = str(error)
        raise SettingsError(
            said[0].upper() + said[1:], where="protocols", try_="`spavl protocols` lists them"
        ) from None
    if as_json:
        print_json(_plain(protocol))
        return
    say(f"{name}  {protocol.hash}", style="bold")
    say(f"{protocol.title}\n{protocol.source}")
    for kind, one in protocol.benchmarks.items():
        say(f"\n{kind}", style="bold")
        fixed = {**one.entry, "sampling": one.sampling.model_dump(exclude_defaults=True)}
        for setting, value in fixed.items():
            say(f"  {setting}: {json.dumps(value, ensure_ascii=False)}")
        if one.guard is not None:
            say(f"  graded by a guard of kind {one.guard.kind}")
        say(f"  metrics: {', '.join(one.metrics)}")
        if one.note:
            say(f"  {one.note}")
    if protocol.note:
        say(f"\n{protocol.note}")


def _plain(protocol: Protocol) -> dict[str, Any]:
    return {**protocol.model_dump(mode="json"), "hash": protocol.hash}


def protocols_page() -> str:
    """The protocols that ship as a Markdown table, for the page of documentation."""
    rows = ["| protocol | hash | benchmark | fixed | metrics |", "|---|---|---|---|---|"]
    for name in protocol_names():
        protocol = protocol_named(name)
        for kind, one in protocol.benchmarks.items():
            fixed = [f"`{setting}: {json.dumps(value, ensure_ascii=False)}`" for setting, value in one.entry.items()]
            fixed.append(f"{one.sampling.max_tokens} tokens, temperature {one.sampling.temperature:g}")
            if one.guard is not None:
                fixed.append(f"a guard of kind `{one.guard.kind}`")
            metrics = ", ".join(f"`{metric}`" for metric in one.metrics)
            rows.append(f"| `{name}` | {protocol.hash} | `{kind}` | {', '.join(fixed)} | {metrics} |")
    notes = [f"- `{name}`: {protocol_named(name).title}. {protocol_named(name).note}" for name in protocol_names()]
    return "\n".join([*rows, "", *notes])
