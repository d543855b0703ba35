"""What the report shows of the alarms of a run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from spavl.config import Settings
from spavl.pipeline.alarms import ALARMS, TRAINING_SIGNS, alarms_of_run
from spavl.report.alarms import AlarmShown, AlarmsShown
from spavl.report.numbers import THIN
from spavl.run import Run
from spavl.statistics.alarm import Alarm


def alarms_shown(run: Run, manifest: Mapping[str, Any], settings: Settings) -> AlarmsShown | None:
    """The alarms of a run as the page shows them; None where nothing could be looked at.

    Args:
        run: the run folder.
        manifest: its `run.json`.
        settings: with the limits.

    Raises:
        RunError: a table of the run is damaged.
    """
    found = alarms_of_run(run, manifest, settings)
    if not found.alarms:
        return None
    return AlarmsShown(alarms=tuple(map(_shown, found.alarms)), missing=found.missing)


def _shown(alarm: Alarm) -> AlarmShown:
    known = {kind.name: (kind.sign, kind.limit) for kind in ALARMS}
    sign, setting = known.get(alarm.name) or (
        TRAINING_SIGNS.get(alarm.name, alarm.name.replace("_", " ")), f"{known['training'][1]}.{alarm.name}"
    )  # fmt: skip
    return AlarmShown(
        name=alarm.name, sign=sign, subject=alarm.subject, what=alarm.what, try_=alarm.try_, rings=alarm.rings,
        limit=_limit(alarm), setting=setting,
    )  # fmt: skip


def _limit(alarm: Alarm) -> str:
    """The limit in its unit, with the side on which it rings."""
    side = "beyond ±" if alarm.either else "below " if alarm.below else "above "
    if alarm.unit == "number":
        return f"{side}{alarm.limit:g}"
    if alarm.unit in ("share", "points"):
        return f"{side}{100 * alarm.limit:g}{THIN + '%' if alarm.unit == 'share' else ' points'}"
    return f"{side}{alarm.limit:g} {'times' if alarm.unit == 'times' else 'nats'}"
