"""Whether the folder of a study is its own, so that it takes the place of no other study's or run's files."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from spavl.config.study import AnyStudy
from spavl.errors import SettingsError
from spavl.study.page import FACTS, PAGE, facts_in
from spavl.study.source import folder_of

OTHER = "name another folder with `out=FOLDER`"
"""What to do where a folder is not the study's own."""


def refuse_folders(studies: Sequence[tuple[AnyStudy, Path]]) -> None:
    """Refuse studies of one command that would overwrite each other's results, or those of another study or a run.

    Args:
        studies: settings and file of each.

    Raises:
        SettingsError: two files have one folder, or a folder holds what is not the study's.
    """
    files: dict[Path, Path] = {}
    for study, file in studies:
        folder = folder_of(study, file)
        first = files.setdefault(folder.resolve(), file)
        if first.resolve() != file.resolve():
            raise SettingsError(f"`{first}` and `{file}` would write their results into one folder", where=str(folder),
                                try_="run them one by one, each with its own `out=FOLDER`")  # fmt: skip
        refuse_folder(study, file)


def refuse_folder(study: AnyStudy, file: Path) -> None:
    """Refuse a folder that holds a run, or another study. Other settings of the same study may take its place.

    Args:
        study: settings of the study.
        file: its file.

    Raises:
        SettingsError: the folder holds what is not the study's.
    """
    folder = folder_of(study, file)
    said = facts_in(folder)
    noted = said.get("file")
    other = folder / noted if isinstance(noted, str) else file
    if (folder / "run.json").is_file():
        raise SettingsError("The study's folder is that of a run", where=str(folder), try_=OTHER)
    if (folder / PAGE).exists() and not (folder / FACTS).exists():
        raise SettingsError(f"The study's folder holds a {PAGE} that no study has written", where=str(folder),
                            try_=f"move it elsewhere, or {OTHER}")  # fmt: skip
    if said.get("kind", study.kind) != study.kind:
        raise SettingsError(f"The study's folder holds a study of kind `{said['kind']}`, and this one is of kind "
                            f"`{study.kind}`", where=str(folder), try_=OTHER)  # fmt: skip
    if other.is_file() and other.resolve() != file.resolve():  # of a file that is gone it may be the same, moved
        raise SettingsError(f"The study's folder holds the study of another file, `{other.resolve()}`",
                            where=str(folder), try_=OTHER)  # fmt: skip


def file_from(folder: Path, file: Path) -> str:
    """Where the file of a study lies, from the study's folder, as `study.json` notes it.

    Args:
        folder: of the study.
        file: its file.
    """
    try:
        return Path(os.path.relpath(file.resolve(), folder.resolve())).as_posix()
    except ValueError:  # on another drive of Windows
        return file.resolve().as_posix()
