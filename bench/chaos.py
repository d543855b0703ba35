"""Builds and trainings among faults: nothing is lost, nothing stops for one prompt or one model.

python -m bench.chaos [--only storm,flagged,restarts,sick,builds,trainings] [--json FILE]

Every build is `python -m spavl build` in a process of its own, whose models are asked at the fault server of
`tests/faults`; what came again is read from that server's own log.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from bench.faulty_builds.kills import killed_builds, killed_trainings
from bench.faulty_builds.outages import restarts, sick_responders
from bench.faulty_builds.storm import flagged, storm
from bench.measures import Measure, run

PARTS: Mapping[str, Callable[[Path], list[Measure]]] = {
    "storm": storm, "flagged": flagged, "restarts": restarts, "sick": sick_responders, "builds": killed_builds,
    "trainings": killed_trainings,
}  # fmt: skip


def measures(names: Sequence[str]) -> list[Measure]:
    """The rows of some parts.

    Args:
        names: the parts.
    """
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for name in names:
            print(f"· {name}", file=sys.stderr, flush=True)
            rows += PARTS[name](Path(folder) / name)
    return rows


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the parts that the command line names, all of them if it names none.

    Args:
        arguments: of the command line; None: those of this process.
    """
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--only", default=",".join(PARTS))
    options, rest = parser.parse_known_args(arguments)
    names = options.only.split(",")
    if unknown := [name for name in names if name not in PARTS]:
        parser.error(f"there is no part {unknown[0]}; there is {', '.join(PARTS)}")
    run(lambda: measures(names), rest)


if __name__ == "__main__":
    main()
