"""What would run, and how many calls it makes at most, before any is made."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from spavl.config import EndpointSpec, ModelSpec, Settings
from spavl.dataset.collect import Candidate
from spavl.errors import SpavlError
from spavl.models.identity import identity_of
from spavl.pipeline.build import candidates
from spavl.pipeline.session import Session

REACH_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class Bill:
    """The calls of one stage to one model."""

    stage: str
    model: str
    kind: str
    calls: int
    """At most: calls that the store already holds are not made again, and failed ones are followed by fewer."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a settings file would do."""

    pictures: int
    benign: int
    subcategories: int
    bills: list[Bill]
    stored: int
    """Calls that the store holds, of all runs."""
    problems: list[SpavlError] = field(default_factory=list)

    @property
    def calls(self) -> int:
        """Most calls in all."""
        return sum(b.calls for b in self.bills)


def check(session: Session) -> Plan:
    """Count pictures, multiply, and try every model's door without asking it anything."""
    found = candidates(session)
    bills, problems = _bills(session, found)
    return Plan(
        pictures=len(found), benign=sum(c.benign for c in found), subcategories=len({c.topic.class3 for c in found}),
        bills=bills, stored=len(session.store), problems=problems,
    )  # fmt: skip


def _bills(session: Session, found: list[Candidate]) -> tuple[list[Bill], list[SpavlError]]:
    bills, problems = [], []
    seen: set[str] = set()
    for stage, label, calls in _wanted(session.settings, len(found)):
        try:
            spec = session.spec(label, f"build.{stage}")
            if label not in seen:
                seen.add(label)
                _knock(spec)
        except SpavlError as error:
            problems.append(error)
            bills.append(Bill(stage, label, "?", calls))
        else:
            bills.append(Bill(stage, label, spec.kind, calls))
    return bills, problems


def _wanted(settings: Settings, pictures: int) -> list[tuple[str, str, int]]:
    build = settings.build
    questions = pictures * len(build.ask.types)
    asked = pictures * len({*build.ask.types, "easy_question"})
    answers = questions * len(build.respond.models)
    judged = questions * build.match.per_question * 2 if len(build.respond.models) > 1 else 0
    return [
        ("ask", build.ask.model, asked),
        *(("respond", name, questions) for name in build.respond.models),
        ("grade", build.grade.model, answers),
        ("judge", build.judge.model, judged),
    ]


def _knock(spec: ModelSpec) -> None:
    """See whether a model could be opened: its files, its key, its address."""
    from spavl.errors import ModelError

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
