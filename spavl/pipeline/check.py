"""What would run, and how many model calls it makes at most, before any is made."""

from __future__ import annotations

import os
import socket
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from spavl.config import EndpointSpec, ModelSpec, Settings
from spavl.errors import ModelError, SpavlError
from spavl.models.identity import identity_of
from spavl.pipeline.collect import candidates
from spavl.pipeline.session import Session
from spavl.pipeline.stages import pipeline_of
from spavl.run import ModelUse, Stage

REACH_SECONDS = 3.0
"""Longest wait for a server to accept a connection, in seconds."""


@dataclass(frozen=True, slots=True)
class CallEstimate:
    """The calls of one stage to one model."""

    stage: str
    """Name of the stage, such as `respond`."""
    model: str
    """Name of the model."""
    kind: str
    """`local`, `endpoint` or `python`; `?` where `models` lists no such model or it cannot be opened."""
    calls: int
    """Most calls: those that the store holds are not made again, and after failed ones fewer follow."""


@dataclass(frozen=True, slots=True)
class RunPlan:
    """What a settings file would do."""

    pictures: int
    """Pictures that the dataset is built from."""
    benign: int
    """Of these, harmless counterparts."""
    subcategories: int
    """Subcategories of the taxonomy that they are of."""
    stages: tuple[str, ...]
    """The stages in their order, those of the user's own among them."""
    estimates: list[CallEstimate]
    """Calls by stage and model."""
    stored: int
    """Calls that the store holds, of all runs."""
    runner: str = ""
    """Who does the work of the dataset's stages."""
    problems: list[SpavlError] = field(default_factory=list)
    """What keeps it from running, such as a server that cannot be reached."""

    @property
    def calls(self) -> int:
        """Most calls of all stages together."""
        return sum(b.calls for b in self.estimates)


def check(session: Session) -> RunPlan:
    """Plan a run: count pictures and calls, and test whether every model could be opened, without asking any.

    Args:
        session: the settings, models and call store.

    Raises:
        DataError: the pictures cannot be found.
    """
    stages = pipeline_of(session.settings, allow_code=session.allow_code)
    found = Counter((c.topic.class3, c.benign) for c in candidates(session))
    estimates, problems = _estimates(session, found.total())
    return RunPlan(
        pictures=found.total(), stages=tuple(stage.name for stage in stages),
        benign=sum(n for (_, benign), n in found.items() if benign),
        subcategories=len({name for name, _ in found}),
        estimates=estimates, stored=len(session.store), runner=_runner(session.settings),
        problems=problems + _cluster_problems(session.settings),
    )  # fmt: skip


def _estimates(session: Session, pictures: int) -> tuple[list[CallEstimate], list[SpavlError]]:
    estimates: list[CallEstimate] = []
    problems: list[SpavlError] = []
    seen: set[str] = set()
    for stage, use, calls in _calls(session, pictures, problems):
        label = use.label
        try:
            spec = session.spec(label, use.setting)
            if label not in seen:
                seen.add(label)
                _check_access(spec)
        except SpavlError as error:
            problems.append(error)
            estimates.append(CallEstimate(stage, label, "?", calls))
        else:
            estimates.append(CallEstimate(stage, label, spec.kind, calls))
    return estimates, problems


def _calls(session: Session, pictures: int, problems: list[SpavlError]) -> Iterator[tuple[str, ModelUse, int]]:
    """(stage, model, most calls), by the most records that every stage can make of those of the stage before.

    A stage whose models cannot be named, as where its guard is not listed, is a problem more and no call.
    """
    settings = session.settings
    most: dict[type[Any] | None, float] = {None: pictures}
    for stage in pipeline_of(settings, allow_code=session.allow_code):
        uses = _uses(stage, settings, problems)
        for use in uses:
            yield stage.name, use, round(most[stage.reads] * use.calls)
        most[stage.writes] = most[stage.reads] * stage.makes(settings) * (len(uses) if stage.by_model else 1)


def _uses(stage: Stage, settings: Settings, problems: list[SpavlError]) -> Sequence[ModelUse]:
    try:
        return stage.models(settings)
    except SpavlError as error:
        problems.append(error)
        return ()


def _runner(settings: Settings) -> str:
    if settings.runner == "local":
        return "this process"
    where = settings.ray.address or "a cluster that is started here"
    return f"Ray, {settings.ray.actors} actors on {where}"


def _cluster_problems(settings: Settings) -> list[SpavlError]:
    if settings.runner == "local":
        return []
    from spavl.pipeline.ray_cluster import check_ray

    try:
        check_ray(settings)
    except SpavlError as error:
        return [error]
    return []


def _check_access(spec: ModelSpec) -> None:
    """Test whether a model could be opened: its files, its API key, its address."""
    identity_of(spec)
    if not isinstance(spec, EndpointSpec):
        return
    if spec.key_env and not os.environ.get(spec.key_env):
        raise ModelError(
            f"The API key of `{spec.name}` is not set", where=f"environment variable {spec.key_env}",
            try_=f"export {spec.key_env}=…",
        )  # fmt: skip
    address = urlsplit(spec.url)
    port = address.port or (443 if address.scheme == "https" else 80)
    try:
        socket.create_connection((address.hostname or "", port), timeout=REACH_SECONDS).close()
    except OSError as error:
        raise ModelError(
            f"The server of `{spec.name}` cannot be reached: {error.strerror or error}", where=spec.url,
            try_="start the server, or check `url`",
        ) from error  # fmt: skip
