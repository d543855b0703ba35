"""A review is found or drawn, and made ready to be served: what `spavl review` does before its server starts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final, get_args

from spavl.errors import MissingExtra, RunError, SettingsError
from spavl.labels.exchange import DATABASE
from spavl.labels.record import current_labels
from spavl.labels.store import LabelStore
from spavl.pipeline.audit import AuditRequest
from spavl.pipeline.audit_files import FINDINGS
from spavl.pipeline.exports import CACHE
from spavl.plural import plural
from spavl.preferences.dataset import PreferenceDataset, open_dataset
from spavl.review.access import access_token, hash_of, name_said, personal_token
from spavl.review.guidelines import keep_guidelines
from spavl.review.make import Kind, ReviewSettings, fingerprint_of, folder_of, make_review
from spavl.review.opened import OpenReview
from spavl.review.sample import Order
from spavl.run import Run, run_at

_PACKAGES: Final = ("fastapi", "uvicorn", "python_multipart", "markdown_it")
"""Packages of the extra `review`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewRequest:
    """What is to be reviewed."""

    source: str
    """A run folder, preference pairs of any public form, or the folder of a review."""
    name: str = "first"
    """Name of the review."""
    out: Path | None = None
    """Folder of the review; None: `review/NAME` in the run folder, else `review-SOURCE/NAME` here."""
    settings: ReviewSettings | None = None
    """How it is drawn; None: as it was, or as `ReviewSettings` has it where there is none yet."""
    guidelines: Path | None = None
    """A Markdown file for its guideline page; None: the one that is there, or the built-in one."""

    @property
    def run(self) -> Run | None:
        """The run, where the source is its folder."""
        return run_at(Path(self.source))

    @property
    def folder(self) -> Path:
        """Folder of the review."""
        if self.out is not None:
            return self.out
        if (Path(self.source) / DATABASE).is_file():
            return Path(self.source)
        if run := self.run:
            return folder_of(run.folder, self.name)
        return Path(f"review-{Path(self.source).stem or 'dataset'}") / folder_of(Path(), self.name).name


@dataclass(frozen=True, slots=True)
class Started:
    """A review that can be served."""

    review: OpenReview
    """The review."""
    remark: str = ""
    """What whoever runs it should know; empty: nothing."""

    def personal_link(self, name: str) -> str:
        """A new token for a person, in place of the one before.

        Args:
            name: of the person.

        Raises:
            DataError: that is no name.
        """
        made = personal_token()
        self.review.store.set_token(name_said(name), hash_of(made))
        return made


def check_review_packages() -> None:
    """Refuse to begin where the packages of the web app are not installed.

    Raises:
        MissingExtra: one is missing.
    """
    if missing := [name for name in _PACKAGES if find_spec(name) is None]:
        raise MissingExtra(f"The review page needs {', '.join(missing)}, not installed",
                           try_="pip install 'spavl[review]'")  # fmt: skip


def start_review(request: ReviewRequest) -> Started:
    """Open a review, drawn first where there is none.

    Args:
        request: what is to be reviewed.

    Raises:
        DataError: there is nothing to draw from, or a file is damaged.
        RunError: the folder holds a review that was drawn with other settings or from other pairs.
        MissingExtra: the packages of the web app are not installed.
    """
    check_review_packages()
    folder = request.folder
    is_there = (folder / DATABASE).is_file()
    if is_there and request.settings is None:
        store = LabelStore(folder / DATABASE)
        remark = _changed(request, store)
    else:
        store = make_review(_source(request), folder, request.settings or ReviewSettings())
        remark = ""
    try:
        keep_guidelines(folder, request.guidelines)
        title = f"Review of {Path(request.source).resolve().name}"
        return Started(OpenReview.of(store, folder, title=title, token=access_token(folder)), remark)
    except BaseException:
        store.close()
        raise


def _source(request: ReviewRequest) -> Run | PreferenceDataset:
    run = request.run
    if run is not None:
        return run
    if (Path(request.source) / DATABASE).is_file():
        raise RunError("A review that is there is not drawn anew", where=request.source,
                       try_="name the run or dataset that it is drawn from, and a `--name` of its own")  # fmt: skip
    return open_dataset(request.source, cache=CACHE)


def _changed(request: ReviewRequest, store: LabelStore) -> str:
    """A sentence where the run holds other pairs or answers than the review was drawn from."""
    run = request.run
    if run is None:
        return ""
    kind: Kind = "answers" if store.settings.get("kind") == "answers" else "pairs"
    try:
        same = fingerprint_of(run, kind) == store.made_from
    except RunError:
        same = False
    return "" if same else f"The run's {kind} have changed since this review was drawn: it shows those of then."


def draw_settings(source: str, said: Mapping[str, Any], *, answers: bool = False) -> ReviewSettings | None:
    """How a review is drawn; None where nothing is said of it.

    Args:
        source: a run folder, or preference pairs of any public form.
        said: fields of `ReviewSettings` by name; an audit of the source says which pairs are doubtful.
        answers: whether answers of evaluated models are drawn.

    Raises:
        SettingsError: there is no such order.
    """
    if not said and not answers:
        return None
    order = said.get("order", "proportional")
    if order not in get_args(Order):
        raise SettingsError(f"There is no order `{order}`", where="--order", try_=", ".join(get_args(Order)))
    findings = AuditRequest(source=source).folder / FINDINGS
    suspected = order == "doubtful" and not answers and findings.is_file()
    return ReviewSettings(kind="answers" if answers else "pairs", findings=findings if suspected else None, **said)


def next_command(request: ReviewRequest, store: LabelStore) -> str:
    """What makes something of the labels.

    Args:
        request: what was reviewed.
        store: the review.
    """
    run = request.run
    if run is None or request.folder != folder_of(run.folder, request.folder.name):
        return f"spavl labels export {request.folder} labels.csv"
    verb = "calibrate" if store.settings.get("kind") == "answers" else "agreement"
    return f"spavl {verb} {request.source} --name {request.folder.name}"


def ended_words(store: LabelStore) -> str:
    """What has been labelled so far, as a line.

    Args:
        store: the review.
    """
    labels = [label for label in current_labels(store.labels()) if label.status == "labelled"]
    items, people = len({label.item_id for label in labels}), len({label.annotator for label in labels})
    return (
        f"{plural(len(labels), 'label')} of {items:,} of {plural(len(store), 'item')}, by {plural(people, 'annotator')}"
    )
