"""An audit with the judges of a settings file, where probes ask them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import get_args

from spavl.audit.probes import ProbeKind
from spavl.config import Settings, load_settings
from spavl.errors import SettingsError
from spavl.pipeline.audit import Audited, AuditRequest, audit
from spavl.pipeline.session import Session
from spavl.progress import Progress


def audit_source(
    source: str, *, out: Path | None, limit: int | None, settings: Path | None, probes: Sequence[str], sample: int,
    progress: Progress, allow_code: bool = False,
) -> Audited:  # fmt: skip
    """Audit a dataset.

    Args:
        source: a run folder, or pairs of any public form.
        out: folder of the audit; None: the default.
        limit: only the first so many pairs.
        settings: file with limits of findings, and the judges which probes ask; None: the run's own.
        probes: `necessity`, `wording`.
        sample: pairs that a probe asks about.
        progress: shows bars.
        allow_code: run Python classes of the user's own that the settings name.

    Raises:
        SettingsError: a probe is not known, or no settings name a judge.
        DataError: there are no pairs, or they cannot be read.
        RunError: the folder holds something else.
    """
    kinds = probe_kinds(probes)
    request = AuditRequest(source=source, out=out, limit=limit, probes=kinds, sample=sample)
    named = settings or _own_settings(request)
    if kinds and named is None:
        raise SettingsError("Probes ask judges, and no settings name any", where="--probe",
                            try_="add --settings FILE, which names judges and models")  # fmt: skip
    if named is None:
        return audit(request, progress)
    found = load_settings(Settings, named)
    request = replace(request, settings=found.audit)
    if not kinds:
        return audit(request, progress)
    with Session(found, progress, allow_code=allow_code) as session:
        return audit(request, progress, session)


def probe_kinds(names: Sequence[str]) -> tuple[ProbeKind, ...]:
    """The probes of some names, in the order in which they are asked.

    Args:
        names: as a user typed them.

    Raises:
        SettingsError: there is no probe of a name.
    """
    known: tuple[ProbeKind, ...] = get_args(ProbeKind)
    if strange := sorted(set(names) - set(known)):
        raise SettingsError(
            f"There is no probe {', '.join(strange)}", where="--probe", try_=f"one of {', '.join(known)}"
        )
    return tuple(kind for kind in known if kind in names)


def _own_settings(request: AuditRequest) -> Path | None:
    """The settings of the run that is audited; None where it is no run, or an old one without any."""
    path = request.run.folder / "settings.yaml" if request.run else None
    return path if path is not None and path.is_file() else None
