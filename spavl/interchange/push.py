"""A folder pushed to the Hub as a dataset: private and gated unless more is asked for, never over others' files."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from spavl.errors import RunError, SettingsError
from spavl.plural import plural

if TYPE_CHECKING:
    from huggingface_hub import HfApi

TOKEN = "HF_TOKEN"
"""Variable of the environment that holds the token; it is read nowhere else and never written."""
NOTE = "export.json"
"""File by which a repository is known to hold an export of ours."""
EMPTY = frozenset((".gitattributes", "README.md"))
"""Files of a repository that nobody has put data into."""
OURS = ["data/*", "images/*", "train.*", "heldout.*", "dataset_info.json"]
"""Files of a repository that an export replaces, or removes where it no longer has them."""
_REPO = re.compile(r"[\w.-]+/[\w.-]+")
_AGAIN = "run the same command again: what is there already is not sent again"


def check_push(repo: str) -> None:
    """Check that a push could begin: before anything is written.

    Args:
        repo: `OWNER/NAME`.

    Raises:
        SettingsError: it is no such name, or the environment holds no token.
    """
    if not _REPO.fullmatch(repo):
        raise SettingsError("A dataset of the Hub is named OWNER/NAME", where=f"--push {repo}")
    if not os.environ.get(TOKEN):
        raise SettingsError(
            f"The environment holds no {TOKEN}", where=f"--push {repo}",
            try_=f"make a token with the right to write on the Hub's settings page, and `export {TOKEN}=…`",
        )  # fmt: skip


def push(folder: Path, repo: str, *, public: bool) -> str:
    """Push a folder; what an earlier try has sent is not sent again. Returns the address of the dataset.

    The repository is made private and gated before the first file is sent; `public` makes it public after the last.

    Args:
        folder: an export.
        repo: `OWNER/NAME`.
        public: whether everybody sees that it is there and may ask for access.

    Raises:
        SettingsError: there is no token, or the repository holds something else, or is public and should not be.
        RunError: the Hub refuses, or cannot be reached.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, HTTPError  # type: ignore[attr-defined]  # its own client's

    check_push(repo)
    api = HfApi(token=os.environ[TOKEN], library_name="spavl")
    try:
        address = api.create_repo(repo, repo_type="dataset", private=True, exist_ok=True)
        _refuse_others(api, repo, public)
        api.update_repo_settings(repo, repo_type="dataset", gated="manual")
        api.upload_file(
            path_or_fileobj=folder / NOTE, path_in_repo=NOTE, repo_id=repo, repo_type="dataset",
            commit_message="spavl export: what it is",
        )  # fmt: skip
        api.upload_folder(
            repo_id=repo, folder_path=folder, repo_type="dataset", commit_message="spavl export", delete_patterns=OURS
        )
        if public:
            api.update_repo_settings(repo, repo_type="dataset", visibility="public")
    except HfHubHTTPError as error:
        status = error.response.status_code
        what = " ".join(str(error.server_message or error).split())[:200]
        raise RunError(f"The Hub refuses: {what} (status {status})", where=repo, try_=_advice(status)) from error
    except (HTTPError, OSError, RuntimeError) as error:  # RuntimeError: the sending of a file failed
        why = type(error.__cause__ or error).__name__
        raise RunError(f"The Hub cannot be reached, or not all of the way: {why}", where=repo, try_=_AGAIN) from error
    return str(address)


def _advice(status: int) -> str:
    refused = status in (401, 403)
    return f"a token in {TOKEN} that may write to this owner's datasets" if refused else _AGAIN


def _refuse_others(api: HfApi, repo: str, public: bool) -> None:
    """Refuse a repository that holds other data, or that everybody can see though nobody asked for that."""
    found = api.dataset_info(repo, files_metadata=False)
    if not found.private and not public:
        raise SettingsError(
            "This dataset is public, and the push is to be private", where=repo,
            try_="make it private on the Hub, name another, or say --public",
        )  # fmt: skip
    names = {one.rfilename for one in found.siblings or ()}
    if names - EMPTY and NOTE not in names:
        raise SettingsError(
            f"This dataset holds {plural(len(names - EMPTY), 'file')} that `spavl export` did not put there",
            where=repo, try_="name another: nothing of it is overwritten",
        )  # fmt: skip
