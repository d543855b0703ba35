"""The stage table with its functions: what every stage does, which models it asks, and what decides its records."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from spavl.config import Settings
from spavl.dataset.balance import balance, find_cuts
from spavl.dataset.grade import grade
from spavl.dataset.judge import judge
from spavl.dataset.match import match, safety_groups, unsafe_rates
from spavl.dataset.pair import pair
from spavl.dataset.people import apply_labels, labels_content, people_said
from spavl.dataset.vote import majority, vote
from spavl.errors import DataError, SettingsError
from spavl.judging.readers.verdicts import READING
from spavl.own_code import require_permission
from spavl.pipeline import asking
from spavl.pipeline.failures import why_no_pair
from spavl.pipeline.guard_stages import decides, grade_questions, screen_pictures, uses_of
from spavl.pipeline.judging import guard_named, guard_spec, judge_named, judge_spec
from spavl.pipeline.own_stage import own_stage
from spavl.records import Judgment, Match, PreferencePair, Response
from spavl.run import STAGES, Made, ModelUse, Stage, StageContext


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
    bound = [replace(stage, **BOUND[stage.name]) for stage in STAGES]
    stages = [stage for stage in bound if stage.wanted(settings)]
    for target in settings.build.stages:
        _put_in(stages, own_stage(target, allow_code=allow_code), where=f"build.stages: {target}")
    return tuple(stages)


def last_tables(folder: Path, settings: Settings, stages: Sequence[Stage], kind: type[Any]) -> tuple[Path, ...]:
    """The tables of the last stage that writes a kind of record, which are what others than stages read.

    Args:
        folder: the run folder.
        settings: name the stages' models.
        stages: from `pipeline_of`.
        kind: of record.

    Raises:
        DataError: no stage writes it.
    """
    writing = [stage for stage in stages if stage.writes is kind]
    if not writing:
        there = ", ".join(dict.fromkeys(stage.writes.__name__ for stage in stages))
        raise DataError(f"No stage makes records of the kind {kind.__name__}", try_=f"there are: {there}")
    return writing[-1].tables(folder, settings)


def _fault(own: Stage) -> tuple[str, str] | None:
    """What is wrong with a stage of the user's own, as part of a sentence, and what to try."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9 ._-]*", own.name):
        return "has a name that is no file name", "letters, digits, blanks, dots, dashes"
    if own.file:
        return "names a table of the run folder", "leave out `file`: its table is parts/<name>.parquet"
    if own.by_model and not own.order:
        return "is `by_model`, and does not say what its tables are put together by", "set `order`, as `query.query_id`"
    return None


def _put_in(stages: list[Stage], own: Stage, *, where: str) -> None:
    """Put a stage of the user's own into its place."""
    if fault := _fault(own):
        raise SettingsError(f"The stage `{own.name}` {fault[0]}", where=where, try_=fault[1])
    names = [stage.name for stage in stages]
    if own.name in names:
        raise SettingsError(f"There are two stages `{own.name}`", where=where, try_="give it a name of its own")
    if own.after not in names:
        raise SettingsError(f"The stage `{own.name}` comes after `{own.after}`, which is no stage", where=where,
                            try_=f"set `after` to one of: {', '.join(names)}")  # fmt: skip
    place = names.index(own.after) + 1
    written = {stage.writes: stage.writes.__name__ for stage in stages[:place]}
    if own.reads not in written:
        reads = own.reads.__name__ if own.reads else "nothing"
        raise SettingsError(
            f"The stage `{own.name}` reads {reads}, which no stage before it writes", where=where,
            try_=f"set `reads` to what there is after `{own.after}`: {', '.join(written.values())}",
        )  # fmt: skip
    stages.insert(place, own)


def _grade(responses: Sequence[Response], at: StageContext) -> list[Response]:
    guard = guard_named(at.settings, at.model, "build.grade.guards", allow_code=True)
    return grade(responses, call=at.call, guard=guard, folder=at.folder)


def _vote(responses: Sequence[Response], at: StageContext) -> list[Response]:
    return vote(responses, guards=at.settings.build.grade.guards, quorum=_quorum(at.settings))


def _quorum(settings: Settings) -> int:
    return settings.build.grade.quorum or majority(len(settings.build.grade.guards))


def _match(responses: Sequence[Response], at: StageContext) -> list[Match]:
    known = at.shared["responders"]
    groups = {name: found["group"] for name, found in known.items()}
    rates = {name: found["unsafe_rate"] for name, found in known.items()}
    return match(responses, groups=groups, settings=at.settings.build.match, seed=at.settings.seed, rates=rates)


def _judge(matches: Sequence[Match], at: StageContext) -> list[Any]:
    asked = judge_named(at.settings, at.model, "build.judge.judges")
    return judge(matches, call=at.call, judge=asked, folder=at.folder)


def _pair(judgments: Sequence[Judgment], at: StageContext) -> Made:
    pairs, outcomes = pair(judgments, settings=at.settings.build.pair)
    return Made(pairs, outcomes)


def _labelled(pairs: Sequence[PreferencePair], at: StageContext) -> Made:
    said = people_said(at.settings.build.labels)
    must_be_safe = at.settings.build.pair.chosen_must_be_safe
    found, counts = apply_labels(pairs, said=said, chosen_must_be_safe=must_be_safe)
    return Made(found, counts)


def _balance(pairs: Sequence[PreferencePair], at: StageContext) -> Made:
    kept, counts = balance(pairs, cuts=at.shared["balance_cuts"], seed=at.settings.seed)
    return Made(kept, counts)


def _cuts(pairs: Path, settings: Settings) -> dict[str, Any]:
    """From where in the order of pairs on they are left out."""
    return {"balance_cuts": find_cuts(pairs, settings=settings.build.balance, seed=settings.seed)}


def _safety(responses: Path, settings: Settings) -> dict[str, Any]:
    """Unsafe rate and safety group of every responder, and whether these groups decide who meets."""
    rates = unsafe_rates(responses)
    groups = safety_groups(rates, settings.build.match.groups)
    found = {name: {"unsafe_rate": rate, "group": groups[name]} for name, rate in rates.items()}
    return {"responders": found, "match_policy": settings.build.match.policy}


def _uses_of_grade(settings: Settings) -> list[ModelUse]:
    guards = [guard_spec(settings, name, "build.grade.guards") for name in settings.build.grade.guards]
    return [
        ModelUse(label=one.asks, setting=f"guards: {one.name}", sampling=one.sampling, name=one.name) for one in guards
    ]


def _uses_of_judge(settings: Settings) -> list[ModelUse]:
    judges = [judge_spec(settings, name, "build.judge.judges") for name in settings.build.judge.judges]
    return [
        ModelUse(label=one.asks, setting=f"judges: {one.name}", sampling=one.sampling, name=one.name, calls=2.0)
        for one in judges
    ]


def _matches_of_an_answer(settings: Settings) -> float:
    wanted = settings.build.match
    responders = len(settings.build.respond.responders)
    answers = asking.answers_of_a_responder(settings) * responders
    return wanted.per_question / answers if responders > 1 or (responders and wanted.same_responder) else 0.0


def _decides_pictures(settings: Settings) -> Any:
    collect = settings.build.collect
    limits = collect.download.model_dump(mode="json", include={"max_bytes", "redirects", "allow_hosts"})
    return [collect.model_dump(mode="json", exclude={"download"}), limits, settings.limit]


def _decides_grades(settings: Settings) -> Any:
    names = settings.build.grade.guards
    guards = [guard_named(settings, name, "build.grade.guards", allow_code=True) for name in names]
    return [[guard.name, guard.identity_with("")] for guard in guards]


def _decides_verdicts(settings: Settings) -> Any:
    judges = [judge_named(settings, name, "build.judge.judges") for name in settings.build.judge.judges]
    return [[judge.name, judge.kind, judge.winner, judge.template.text, READING] for judge in judges]


BOUND: Mapping[str, Mapping[str, Any]] = {
    "collect": {
        "decides": _decides_pictures,
        "nothing": ("None of the pictures can be used", "rejected.json in the run folder names the reason of each"),
    },
    "screen": {
        "work": screen_pictures, "models": partial(uses_of, grades="picture"),
        "decides": partial(decides, grades="picture"),
    },
    "describe": {
        "work": asking.work_describe, "models": asking.uses_of_describe, "decides": asking.decides_descriptions,
        "wanted": lambda settings: settings.build.describe.model is not None,
    },
    "ask": {
        "work": asking.work_ask, "models": asking.uses_of_ask, "decides": asking.decides_questions,
        "makes": lambda settings: float(len(settings.build.ask.types)),
    },
    "distinct": {
        "work": asking.work_distinct, "barrier": asking.near_duplicates_of,
        "wanted": lambda settings: settings.build.ask.near_duplicates is not None,
        "decides": lambda settings: settings.build.ask.near_duplicates,
    },
    "requests": {
        "work": grade_questions, "models": partial(uses_of, grades="request"),
        "decides": partial(decides, grades="request"),
    },
    "respond": {
        "work": asking.work_respond, "models": asking.uses_of_respond, "makes": asking.answers_of_a_responder,
    },
    "grade": {"work": _grade, "models": _uses_of_grade, "decides": _decides_grades},
    "vote": {
        "work": _vote, "decides": _quorum, "makes": lambda settings: 1.0 / len(settings.build.grade.guards),
    },
    "match": {
        "work": _match, "barrier": _safety, "makes": _matches_of_an_answer,
        "decides": lambda settings: [settings.build.match.model_dump(mode="json"), settings.seed],
    },
    "judge": {
        "work": _judge, "models": _uses_of_judge, "decides": _decides_verdicts, "makes": lambda settings: 2.0,
    },
    "pair": {
        "work": _pair, "decides": lambda settings: settings.build.pair.model_dump(mode="json"),
        "makes": lambda settings: 0.5,  # of a match that was judged in both orders
        "nothing": ("No match became a pair", "use responders that differ more, or a stronger judge"),
        "why_nothing": why_no_pair,
    },
    "labels": {
        "work": _labelled, "decides": lambda settings: labels_content(settings.build.labels),
        "nothing": ("No pair is left by people's labels", "look at `build.labels`: all are ties, or both bad"),
    },
    "balance": {
        "work": _balance, "barrier": _cuts, "wanted": lambda settings: settings.build.balance.is_wanted,
        "decides": lambda settings: [settings.build.balance.model_dump(mode="json"), settings.seed],
        "nothing": ("No pair is left by the limits of balance", "set wider limits, or fewer, under `build.balance`"),
    },
}  # fmt: skip
"""The functions of every stage of the table."""
