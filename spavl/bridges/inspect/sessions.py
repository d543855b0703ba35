"""One open session for a settings file and process, which provider and tasks share: a run folder has one at a time."""

from __future__ import annotations

import atexit
from functools import cache
from pathlib import Path

from spavl.config import Settings, load_settings
from spavl.pipeline.session import Session
from spavl.progress import NoProgress


def session_of(settings: str, allow_code: bool = False) -> Session:
    """The session of a settings file, opened once and closed when the process ends.

    Args:
        settings: path of the file.
        allow_code: run models and benchmarks of your own that the settings name.

    Raises:
        SettingsError: something in the settings is wrong.
        RunError: another process works on the run folder or the call store.
    """
    return _opened(Path(settings).resolve(), allow_code)


@cache
def _opened(settings: Path, allow_code: bool) -> Session:
    session = Session(load_settings(Settings, settings, []), NoProgress(), allow_code=allow_code)
    session.__enter__()
    atexit.register(session.__exit__, None, None, None)
    return session
