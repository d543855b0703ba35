"""Guards and judges of the settings, each with a function that asks its model."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches

from spavl.config import GuardSpec, JudgeSpec
from spavl.dataset.caller import Caller
from spavl.errors import SettingsError
from spavl.evaluate.guard_scorer import GuardScorer
from spavl.judging.guard import Guard, Verdict, open_guard, require_verdict
from spavl.judging.judge import Judge, open_judge
from spavl.models.identity import identity_of
from spavl.pipeline.session import Session


def guard_of(session: Session, name: str, setting: str, *, tells: Verdict = "safety") -> tuple[Guard, Caller]:
    """A guard of the settings, and a function that asks its model.

    Args:
        session: the settings and models.
        name: label of the guard.
        setting: path of the setting that names it, for errors.
        tells: what it must tell.

    Raises:
        SettingsError: `guards` lists none of that name, `models` does not list its model, or it tells something else.
        DataError: its template or policy cannot be read.
    """
    guard = open_guard(guard_spec(session, name, setting), allow_code=session.allow_code)
    require_verdict(guard, tells, setting)
    return guard, session.caller(guard.model, f"guards: {guard.name}", guard.sampling)


def judge_of(session: Session, name: str, setting: str) -> tuple[Judge, Caller]:
    """A judge of the settings, and a function that asks its model.

    Args:
        session: the settings and models.
        name: label of the judge.
        setting: path of the setting that names it, for errors.

    Raises:
        SettingsError: `judges` lists none of that name, or `models` does not list its model.
        DataError: its template cannot be read.
    """
    judge = open_judge(judge_spec(session, name, setting))
    return judge, session.caller(judge.model, f"judges: {judge.name}", judge.sampling)


def guard_scorer(session: Session, name: str, setting: str, *, tells: Verdict = "safety") -> GuardScorer:
    """The scorer by a guard of the settings.

    Args:
        session: the settings and models.
        name: label of the guard.
        setting: path of the setting that names it, for errors.
        tells: whether True is unsafe, or a refusal.

    Raises:
        SettingsError: the guard is not listed, or does not tell that.
        ModelError: its checkpoint is not there.
    """
    guard, ask = guard_of(session, name, setting, tells=tells)
    return GuardScorer(guard, identity_of(session.spec(guard.model, f"guards: {guard.name}")), ask, tells)


def guard_spec(session: Session, name: str, setting: str) -> GuardSpec:
    """The settings entry of a guard.

    Args:
        session: the settings.
        name: label of the guard.
        setting: path of the setting that names it, for the error.

    Raises:
        SettingsError: there is none.
    """
    found = {spec.name: spec for spec in session.settings.guards}
    if name in found:
        return found[name]
    raise _unlisted("guard", name, setting, list(found))


def judge_spec(session: Session, name: str, setting: str) -> JudgeSpec:
    """The settings entry of a judge.

    Args:
        session: the settings.
        name: label of the judge.
        setting: path of the setting that names it, for the error.

    Raises:
        SettingsError: there is none.
    """
    found = {spec.name: spec for spec in session.settings.judges}
    if name in found:
        return found[name]
    raise _unlisted("judge", name, setting, list(found))


def _unlisted(what: str, name: str, setting: str, there: Sequence[str]) -> SettingsError:
    near = get_close_matches(name, there, n=1)
    return SettingsError(
        f"`{setting}` names the {what} `{name}`, which is not listed under `{what}s`", where=setting,
        try_=f"did you mean `{near[0]}`?" if near else f"add it: `{what}s: [{{name: {name}, model: MODEL}}]`",
    )  # fmt: skip
