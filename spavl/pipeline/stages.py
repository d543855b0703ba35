"""The stage table with its functions: what every stage does, which models it asks, and what decides its records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

from spavl.config import Settings
from spavl.dataset.ask import ask, ask_templates
from spavl.dataset.grade import grade
from spavl.dataset.judge import judge
from spavl.dataset.match import match, safety_groups, unsafe_rates
from spavl.dataset.pair import pair
from spavl.dataset.respond import respond
from spavl.errors import SettingsError
from spavl.own_code import require_permission
from spavl.pipeline.judging import guard_named, guard_spec, judge_named, judge_spec
from spavl.records import ImageRecord, Judgment, Match, Query, Response
from spavl.run import STAGES, Made, ModelUse, Stage, StageContext

OWN_PACKAGE = "spavl"
"""Stages in this package need no permission."""


def pipeline_of(settings: Settings, *, allow_code: bool) -> tuple[Stage, ...]:
    """The stages of the dataset in their order, with the settings' own stages among them.

    Args:
        settings: name the user's own stages.
        allow_code: run stages from outside spavl.

    Raises:
        SettingsError: a stage of the user's cannot be found, is none, or comes after no stage; or `allow_code` is off.
    """
    for guard in settings.guards:
        if guard.is_own:
            require_permission(guard.kind, name=guard.name, allow_code=allow_code)
    stages = [replace(stage, **BOUND[stage.name]) for stage in STAGES]
    for target in settings.build.stages:
        own = _own_stage(target, allow_code)
        places = [number for number, stage in enumerate(stages) if stage.name == own.after]
        if not places or own.name in [stage.name for stage in stages]:
            raise SettingsError(
                f"The stage `{own.name}` comes after `{own.after}`, which is no stage"
                if not places
                else f"There are two stages `{own.name}`",
                where=f"build.stages: {target}",
                try_=f"`after` and a name of its own; there are: {', '.join(stage.name for stage in stages)}",
            )
        stages.insert(places[0] + 1, own)
    return tuple(stages)


def _own_stage(target: str, allow_code: bool) -> Stage:
    module, _, name = target.partition(":")
    if module.split(".")[0] != OWN_PACKAGE and not allow_code:
        raise SettingsError(
            "A stage of your own runs code, which is refused unless you say so", where=f"build.stages: {target}",
            try_="if you have read that code, run again with --allow-code",
        )  # fmt: skip
    try:
        stage = vars(import_module(module))[name]
    except (ImportError, KeyError, ValueError) as error:
        raise SettingsError(
            f"There is no such stage: {type(error).__name__}: {error}", where=f"build.stages: {target}",
            try_="write it as package.module:NAME",
        ) from error  # fmt: skip
    if not isinstance(stage, Stage) or stage.work is None:
        raise SettingsError("This is no stage with a function", where=f"build.stages: {target}",
                            try_="make it with spavl.Stage(name=…, after=…, work=…)")  # fmt: skip
    return stage


def _ask(images: Sequence[ImageRecord], at: StageContext) -> list[Query]:
    return ask(images, call=at.call, settings=at.settings.build.ask, folder=at.folder)


def _respond(queries: Sequence[Query], at: StageContext) -> list[Response]:
    return respond(queries, call=at.call, responder=at.model, folder=at.folder)


def _grade(responses: Sequence[Response], at: StageContext) -> list[Response]:
    guard = guard_named(at.settings, at.settings.build.grade.guard, "build.grade.guard", allow_code=True)
    return grade(responses, call=at.call, guard=guard, folder=at.folder)


def _match(responses: Sequence[Response], at: StageContext) -> list[Match]:
    groups = {name: found["group"] for name, found in at.shared["responders"].items()}
    return match(responses, groups=groups, settings=at.settings.build.match, seed=at.settings.seed)


def _judge(matches: Sequence[Match], at: StageContext) -> list[Any]:
    asked = judge_named(at.settings, at.settings.build.judge.judge, "build.judge.judge")
    return judge(matches, call=at.call, judge=asked, folder=at.folder)


def _pair(judgments: Sequence[Judgment], at: StageContext) -> Made:
    pairs, outcomes = pair(judgments, settings=at.settings.build.pair)
    return Made(pairs, outcomes)


def _safety(responses: Path, settings: Settings) -> dict[str, Any]:
    """Unsafe rate and safety group of every responder."""
    rates = unsafe_rates(responses)
    groups = safety_groups(rates, settings.build.match.groups)
    return {"responders": {name: {"unsafe_rate": rate, "group": groups[name]} for name, rate in rates.items()}}


def _uses_of_ask(settings: Settings) -> list[ModelUse]:
    one = settings.build.ask
    calls = len({*one.types, "easy_question"})
    return [ModelUse(label=one.model, setting="build.ask.model", sampling=one.sampling, calls=calls)]


def _uses_of_respond(settings: Settings) -> list[ModelUse]:
    one = settings.build.respond
    return [ModelUse(label=name, setting="build.respond.models", sampling=one.sampling) for name in one.models]


def _uses_of_grade(settings: Settings) -> list[ModelUse]:
    one = guard_spec(settings, settings.build.grade.guard, "build.grade.guard")
    return [ModelUse(label=one.asks, setting=f"guards: {one.name}", sampling=one.sampling)]


def _uses_of_judge(settings: Settings) -> list[ModelUse]:
    one = judge_spec(settings, settings.build.judge.judge, "build.judge.judge")
    return [ModelUse(label=one.asks, setting=f"judges: {one.name}", sampling=one.sampling, calls=2.0)]


def _matches_of_an_answer(settings: Settings) -> float:
    responders = len(settings.build.respond.models)
    return settings.build.match.per_question / responders if responders > 1 else 0.0


def _decides_questions(settings: Settings) -> Any:
    return [settings.build.ask.model_dump(mode="json"), ask_templates(settings.build.ask)]


def _decides_grades(settings: Settings) -> Any:
    guard = guard_named(settings, settings.build.grade.guard, "build.grade.guard", allow_code=True)
    return [guard.name, guard.identity_with("")]


def _decides_verdicts(settings: Settings) -> Any:
    judge = judge_named(settings, settings.build.judge.judge, "build.judge.judge")
    return [judge.name, judge.kind, judge.winner, judge.template.text]


BOUND: Mapping[str, Mapping[str, Any]] = {
    "collect": {
        "decides": lambda settings: [settings.build.collect.model_dump(mode="json"), settings.limit],
        "nothing": ("None of the pictures can be used", "rejected.json in the run folder names the reason of each"),
    },
    "ask": {
        "work": _ask, "models": _uses_of_ask, "decides": _decides_questions,
        "makes": lambda settings: float(len(settings.build.ask.types)),
    },
    "respond": {"work": _respond, "models": _uses_of_respond},
    "grade": {"work": _grade, "models": _uses_of_grade, "decides": _decides_grades},
    "match": {
        "work": _match, "barrier": _safety, "makes": _matches_of_an_answer,
        "decides": lambda settings: [settings.build.match.model_dump(mode="json"), settings.seed],
    },
    "judge": {
        "work": _judge, "models": _uses_of_judge, "decides": _decides_verdicts, "makes": lambda settings: 2.0,
    },
    "pair": {
        "work": _pair, "decides": lambda settings: settings.build.pair.model_dump(mode="json"),
        "nothing": ("No match became a pair", "use responders that differ more, or a stronger judge"),
    },
}  # fmt: skip
"""The functions of every stage of the table."""
