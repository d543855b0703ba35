"""Guards and judges of the settings by their names, and calls of their models."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches

from spavl.config import GuardSpec, JudgeSpec, ModelSpec, Settings
from spavl.config.judging import Subject
from spavl.config.models import SamplingSettings
from spavl.errors import SettingsError
from spavl.judging.guard import Guard, open_guard, require_verdict
from spavl.judging.judge import Judge, open_judge
from spavl.judging.kinds import KINDS, Verdict
from spavl.models.base import Prompt, Reply
from spavl.pipeline.live import calls_of_model
from spavl.pipeline.session import Session


def guard_named(
    settings: Settings, name: str, setting: str, *, allow_code: bool, tells: Verdict = "safety",
    grades: Subject = "answer",
) -> Guard:  # fmt: skip
    """A guard of the settings.

    Args:
        settings: list the guards.
        name: label of the guard.
        setting: path of the setting that names it, for errors.
        allow_code: run a kind of the user's own.
        tells: what it must tell.
        grades: what it must grade.

    Raises:
        SettingsError: `guards` lists none of that name, or it tells or grades something else.
        DataError: its template or policy cannot be read.
    """
    guard = open_guard(guard_spec(settings, name, setting), allow_code=allow_code)
    return require_verdict(guard, tells, setting, grades)


def judge_named(settings: Settings, name: str, setting: str) -> Judge:
    """A judge of the settings.

    Args:
        settings: list the judges.
        name: label of the judge.
        setting: path of the setting that names it, for errors.

    Raises:
        SettingsError: `judges` lists none of that name.
        DataError: its template cannot be read.
    """
    return open_judge(judge_spec(settings, name, setting))


def refusal_guard(settings: Settings) -> str | None:
    """The guard that tells refusals: the one that is named, else the first listed that tells them of answers; or none.

    Args:
        settings: list the guards.
    """
    named = settings.evaluate.refusal_guard
    if named is not None:
        return named or None
    telling = (spec for spec in settings.guards if spec.kind in KINDS and "refusal" in KINDS[spec.kind].tells)
    return next((spec.name for spec in telling if spec.grades == "answer"), None)


def guard_spec(settings: Settings, name: str, setting: str) -> GuardSpec:
    """The settings entry of a guard; a model that `guards` does not list is asked with the built-in rubric.

    Args:
        settings: list guards and models.
        name: label of the guard, or of a model.
        setting: path of the setting that names it, for the error.

    Raises:
        SettingsError: there is none.
    """
    found = {spec.name: spec for spec in settings.guards}
    return found[name] if name in found else GuardSpec(name=_model_named(settings, name, setting, "guard", list(found)))


def judge_spec(settings: Settings, name: str, setting: str) -> JudgeSpec:
    """The settings entry of a judge; a model that `judges` does not list gives a combined verdict.

    Args:
        settings: list judges and models.
        name: label of the judge, or of a model.
        setting: path of the setting that names it, for the error.

    Raises:
        SettingsError: there is none.
    """
    found = {spec.name: spec for spec in settings.judges}
    return found[name] if name in found else JudgeSpec(name=_model_named(settings, name, setting, "judge", list(found)))


def _model_named(settings: Settings, name: str, setting: str, what: str, listed: Sequence[str]) -> str:
    models = [spec.name for spec in settings.models]
    if name in models:
        return name
    near = get_close_matches(name, [*listed, *models], n=1)
    raise SettingsError(
        f"`{setting}` names the {what} `{name}`, which is listed neither under `{what}s` nor under `models`",
        where=setting,
        try_=f"did you mean `{near[0]}`?" if near else f"add it: `{what}s: [{{name: {name}, model: MODEL}}]`",
    )


def ask_guard(session: Session, guard: Guard, doing: str, prompts: Sequence[Prompt]) -> list[Reply]:
    """The replies of a guard's model, one for each prompt, through the call store.

    Args:
        session: the settings and models.
        guard: of the settings.
        doing: what is done, for the progress bar and for calls without an answer.
        prompts: what is sent.

    Raises:
        SettingsError: its model is not listed.
    """
    return ask_model(session, session.spec(guard.model, f"guards: {guard.name}"), guard.sampling, doing, prompts)


def ask_model(
    session: Session, spec: ModelSpec, sampling: SamplingSettings, doing: str, prompts: Sequence[Prompt]
) -> list[Reply]:
    """The replies of a model, one for each prompt, through the call store.

    Args:
        session: the settings and models.
        spec: the model.
        sampling: how it generates.
        doing: what is done, for the progress bar and for calls without an answer.
        prompts: what is sent.
    """
    model = session.model(spec)
    tell_calls = calls_of_model(session, spec.name, len(prompts))
    with session.progress.bar(doing, tell_calls) as on_progress:
        replies = session.engine.complete(model, prompts, sampling=session.sampling(sampling), on_progress=on_progress)
    for reply in replies:
        session.lost.count(spec, doing, reply.status, reply.detail)
    return replies
