"""What every benchmark shares: measure, compare with a floor, write JSON, print a table.

    from bench.measures import Measure, run

    def measures() -> list[Measure]:
        return [Measure("lookups a second", value=51_000, floor=20_000, unit="1/s", better="higher", how="…")]

    if __name__ == "__main__":
        run(measures)

`python -m bench.NAME --json FILE` writes `{"machine": {...}, "measures": [...]}`. `holds` is true, false, or null where
there is no floor or this machine cannot measure it; `how` then says what machine can, and the command.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal

from spavl.atomic import write_text

Floor = float | tuple[float, float] | None
Better = Literal["lower", "higher", "between"]
PACKAGES = ("spavl", "torch", "transformers", "peft", "trl", "numpy", "pyarrow")


@dataclass(frozen=True, slots=True)
class Measure:
    """One measured number with the limit that it has to keep: a row of the table."""

    name: str
    """What was measured."""
    value: float | None
    """What was measured; None where this machine cannot."""
    floor: Floor
    """Most for `lower`, least for `higher`, (least, most) for `between`; None for a number without a limit."""
    unit: str
    """Of value and floor, as printed; empty: none."""
    better: Better
    """Which side of the floor is good."""
    how: str
    """How it was measured, or why it was not and on what machine it can be."""
    runs: tuple[float, ...] = ()
    """Values of whole runs in sessions of their own, of which the value is the median; empty: there was one session."""

    def __post_init__(self) -> None:
        if self.better == "between" and not isinstance(self.floor, tuple):
            raise ValueError(f"{self.name}: `between` needs a floor of two numbers")
        if self.better != "between" and isinstance(self.floor, tuple):
            raise ValueError(f"{self.name}: a floor of two numbers needs `between`")

    @property
    def holds(self) -> bool | None:
        """Whether the floor holds; None where there is nothing to compare. A limit reached exactly holds."""
        if self.value is None or self.floor is None:
            return None
        if isinstance(self.floor, tuple):
            return self.floor[0] <= self.value <= self.floor[1]
        return self.value <= self.floor if self.better == "lower" else self.value >= self.floor

    def replace(self, **changes: Any) -> Measure:
        """A copy with some fields changed.

        Args:
            changes: new values by field.
        """
        return replace(self, **changes)

    def row(self) -> dict[str, Any]:
        """The row of the JSON file."""
        return {
            "name": self.name,
            "value": self.value,
            "floor": list(self.floor) if isinstance(self.floor, tuple) else self.floor,
            "unit": self.unit,
            "better": self.better,
            "holds": self.holds,
            "how": self.how,
            **({"runs": list(self.runs)} if self.runs else {}),
        }


def run(measures: Callable[[], Sequence[Measure]], arguments: Sequence[str] | None = None) -> None:
    """Run a benchmark: measure, write the JSON file, print the table.

    Args:
        measures: the benchmark.
        arguments: of the command line; None: those of this process.

    Raises:
        SystemExit: always, with status 1 if a floor does not hold, so that a build can rely on it.
    """
    parser = argparse.ArgumentParser(description=sys.modules["__main__"].__doc__)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the measures there")
    options = parser.parse_args(arguments)
    rows = [measure.row() for measure in measures()]
    if options.json:
        write(options.json, rows)
    print(table(rows))
    raise SystemExit(int(any(row["holds"] is False for row in rows)))


def write(
    path: Path, rows: Sequence[dict[str, Any]], on: dict[str, Any] | None = None,
    on_each: Mapping[str, dict[str, Any]] | None = None,
) -> None:  # fmt: skip
    """Write the JSON file of one benchmark, or of all of them; one that is stopped meanwhile leaves the old file.

    Args:
        path: the file; its folder is made.
        rows: as `Measure.row` gives them.
        on: the machine that measured them; None: this one.
        on_each: in place of it the machine of each part, by the part's name.
    """
    each = dict(on_each or {"": machine() if on is None else on})
    first = next(iter(each.values()))
    where = {"machine": first} if all(one == first for one in each.values()) else {"machines": each}
    content = {**where, "measures": list(rows)}
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def machine() -> dict[str, Any]:
    """The machine and the versions of packages; nothing that names a person or a host."""
    return {
        "system": platform.system(),
        "processor": platform.machine(),
        "cores": len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count(),
        "memory_gb": _memory_gb(),
        "gpu": _gpu(),
        "python": platform.python_version(),
        "versions": {name: found for name in PACKAGES if (found := _version(name))},
    }


def measured_on(content: Mapping[str, Any]) -> list[str]:
    """The machines of a file of measures in words, each with the parts that were measured there if there are parts.

    Args:
        content: with `machine`, or with `machines` by part.
    """
    parts: dict[str, list[str]] = {}
    for part, found in content.get("machines", {"": content["machine"]} if "machine" in content else {}).items():
        versions = ", ".join(f"{name} {version}" for name, version in found["versions"].items())
        memory = f", {found['memory_gb']:.0f} GiB" if found.get("memory_gb") else ""
        parts.setdefault(f"{found['cores']} cores{memory}, {found.get('gpu') or 'no GPU'}; {versions}", []).append(part)
    return [f"{on} ({', '.join(some)})" if any(some) else on for on, some in parts.items()]


def table(rows: Iterable[dict[str, Any]]) -> str:
    """The measures as a Markdown table.

    Args:
        rows: as `Measure.row` gives them.
    """
    cells = [("measure", "value", "floor", "holds")]
    cells += [(row["name"], _amount(row["value"], row["unit"]), _limit(row), MARKS[row["holds"]]) for row in rows]
    widths = [max(len(line[column]) for line in cells) for column in range(4)]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |" for line in cells
    ]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)


MARKS = {True: "yes", False: "NO", None: "not here"}
_SIGNS = {"lower": "≤", "higher": "≥"}


def _limit(row: dict[str, Any]) -> str:
    floor = row["floor"]
    if floor is None:
        return ""
    if isinstance(floor, list):
        return f"{_amount(floor[0], '')}–{_amount(floor[1], row['unit'])}"
    return f"{_SIGNS[row['better']]} {_amount(floor, row['unit'])}"


def _amount(value: float | None, unit: str) -> str:
    if value is None:
        return "—"
    shown = f"{value:,.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.3g}"
    return f"{shown} {unit}".strip()


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _memory_gb() -> float | None:
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1)
    except (ValueError, OSError):
        return None


def _gpu() -> str | None:
    torch = sys.modules.get("torch")
    return torch.cuda.get_device_name(0) if torch is not None and torch.cuda.is_available() else None
