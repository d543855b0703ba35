"""How the model was given eyes: what was trained, for how long, how its losses fell; from what the package ships."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from bench.real_language.markdown import table

TRAINED = Path(__file__).resolve().parents[2] / "spavl" / "data" / "miniworld" / "real"
"""Projector, adapters and log, as `python -m spavl.miniworld.real --teach` leaves them."""


def teaching(folder: Path = TRAINED) -> str:
    """Tables of what was trained and of the log; empty where nothing is there.

    Args:
        folder: with `log.json`, `projector.safetensors` and the adapters.
    """
    if not (folder / "log.json").exists():
        return ""
    known = json.loads((folder / "log.json").read_text("utf-8"))
    weights = [_weights(file, folder) for file in sorted(folder.rglob("*.safetensors"))]
    phases = [_phase(name, rows) for name, rows in _logs(known)]
    facts = [f"{name.capitalize()}: {value}." for name, value in known.items() if not isinstance(value, list)]
    head = ["trained", "minutes", "steps", "nats a token on the way"]
    return "\n\n".join([table(["weights", "what", "MB"], weights), table(head, phases), *facts])


def _weights(file: Path, folder: Path) -> list[str]:
    megabytes = f"{file.stat().st_size / 1e6:.1f}"
    config = file.with_name("adapter_config.json")
    if not config.exists():
        return [f"`{file.relative_to(folder)}`", "every weight", megabytes]
    found = json.loads(config.read_text("utf-8"))
    return [f"`{file.relative_to(folder)}`", f"LoRA, rank {found['r']}, alpha {found['lora_alpha']}", megabytes]


def _logs(known: Mapping[str, Any]) -> Iterator[tuple[str, list[Mapping[str, float]]]]:
    """Names and rows of the logs; one that has several stages has a list of them."""
    for name, rows in known.items():
        if isinstance(rows, list) and rows and isinstance(rows[0], list):
            yield from ((f"{name} {number}", stage) for number, stage in enumerate(rows, start=1))
        elif isinstance(rows, list):
            yield name, rows


def _phase(name: str, rows: list[Mapping[str, float]]) -> list[str]:
    losses = ", ".join(f"{row['nats']:.2f}" for row in rows)
    return [name, f"{rows[-1]['seconds'] / 60:.0f}", f"{rows[-1]['step']}", losses]
