"""A stage of the user's own: found by its name, its file part of what decides its table, its errors as sentences."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Sequence
from concurrent.futures import CancelledError
from dataclasses import replace
from functools import partial
from hashlib import blake2b
from pathlib import Path
from typing import Any

from spavl.config import Settings
from spavl.errors import DataError, SettingsError, SpavlError
from spavl.own_code import import_own, line_of
from spavl.run import Made, Stage, StageContext


def own_stage(target: str, *, allow_code: bool) -> Stage:
    """The stage that an entry of `build.stages` names.

    Args:
        target: `package.module:NAME`.
        allow_code: run code from outside spavl.

    Raises:
        SettingsError: it is not allowed, not there, or no stage with a function.
    """
    stage = import_own(target, name="build.stages", allow_code=allow_code)
    if not isinstance(stage, Stage) or stage.work is None:
        raise SettingsError("This is no stage with a function", where=f"build.stages: {target}",
                            try_="make it with spavl.Stage(name=…, after=…, reads=…, writes=…, work=…)")  # fmt: skip
    found = vars(sys.modules[target.partition(":")[0]]).get("__file__")
    file = Path(found) if found else None
    code = blake2b(_code(stage, file), digest_size=16).hexdigest()
    return replace(stage, work=partial(_work, stage, file), decides=partial(_decides, stage, code))


def _code(stage: Stage, file: Path | None) -> bytes:
    """The text of the stage's file; in a notebook that of its function."""
    assert stage.work is not None, "a stage of one's own has a function"
    try:
        if file is None:
            return inspect.getsource(stage.work).encode()
        own = inspect.getsourcefile(inspect.unwrap(stage.work))  # where the function is, if it was imported from there
        return file.read_bytes() + (Path(own).read_bytes() if own and Path(own) != file else b"")
    except (OSError, TypeError) as error:
        raise SettingsError(f"The code of the stage `{stage.name}` cannot be read: {error}",
                            try_="write the stage into a file of its own") from error  # fmt: skip


def _decides(stage: Stage, code: str, settings: Settings) -> list[Any]:
    """What the stage says that decides its records, and the code of its file."""
    return [stage.decides(settings), code]


def _work(stage: Stage, file: Path | None, records: Sequence[Any], at: StageContext) -> Sequence[Any] | Made:
    assert stage.work is not None, "a stage of one's own has a function"
    try:
        made = stage.work(records, at)
        made = replace(made, records=list(made.records)) if isinstance(made, Made) else list(made)
    except (SpavlError, CancelledError):
        raise
    except Exception as error:
        raise DataError(
            f"The stage `{stage.name}` failed: {type(error).__name__}: {error}", where=line_of(error, file),
            try_="mend it and run again: what was made before is kept",
        ) from error  # fmt: skip
    wrong = [one for one in (made.records if isinstance(made, Made) else made) if not isinstance(one, stage.writes)]
    if wrong:
        raise DataError(
            f"The stage `{stage.name}` writes {stage.writes.__name__}, and made a {type(wrong[0]).__name__}",
            where=str(file or ""), try_=f"return records of the class spavl.{stage.writes.__name__}",
        )  # fmt: skip
    if isinstance(made, Made) or stage.writes is not stage.reads or stage.status:
        return made
    return Made(made, {"made": len(made), "left out": len(records) - len(made)})
