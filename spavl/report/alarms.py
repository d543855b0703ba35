"""What the page shows of alarms, as plain data."""

from __future__ import annotations

from dataclasses import dataclass

from spavl.plural import plural


@dataclass(frozen=True, slots=True, kw_only=True)
class AlarmShown:
    """An alarm, with what was measured and its limit in words."""

    name: str
    """Its term."""
    sign: str
    """What it is a sign of."""
    subject: str
    """What it was measured of."""
    what: str
    """What was measured, in a sentence."""
    try_: str
    """What to do where it rings."""
    limit: str
    """Its limit in words, such as `above 5 %`."""
    setting: str
    """The setting that holds the limit."""
    rings: bool
    """Whether it rings."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AlarmsShown:
    """The alarms of a run."""

    alarms: tuple[AlarmShown, ...]
    """All that were looked at, those that ring first."""
    missing: tuple[str, ...] = ()
    """Why others could not be, a sentence each."""

    @property
    def ringing(self) -> tuple[AlarmShown, ...]:
        """Those that ring."""
        return tuple(one for one in self.alarms if one.rings)

    @property
    def quiet(self) -> tuple[AlarmShown, ...]:
        """Those that do not."""
        return tuple(one for one in self.alarms if not one.rings)

    @property
    def lead(self) -> str:
        """The section in a sentence."""
        looked = f"{plural(len(self.alarms), 'sign')} of failure {'was' if len(self.alarms) == 1 else 'were'} looked at"
        if not self.ringing:
            return f"No alarm rings: {looked}, and none is beyond its limit by more than chance explains."
        subjects = list(dict.fromkeys(f"{one.sign} ({one.subject})" for one in self.ringing))
        return f"{plural(len(self.ringing), 'alarm')} of {len(self.alarms)}: {'; '.join(subjects)}."
