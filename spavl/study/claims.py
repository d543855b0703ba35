"""What the paper says, as claims that a study can confirm or refute: which arm is to be better than which, in what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from spavl.config.align import FreezeSettings
from spavl.config.study import (
    FreezeStudy,
    MethodStudy,
    MixStudy,
    QuestionsStudy,
    ScaleStudy,
    SourcesStudy,
    StudySettings,
    nested,
)
from spavl.evaluate.benchmark import Axis
from spavl.study.arms import EVERY, MIXED


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """That one arm is better than each of some others on an axis."""

    name: str
    """Names the claim in files."""
    claim: str
    """The claim, a sentence without its full stop."""
    better: str
    """Name of the arm that is to be better."""
    than: tuple[str, ...]
    """Names of the arms that it is to be better than; it has to be for all of them."""
    axis: Axis
    """Of the metric that decides: the first one of this axis."""


def claims_of(study: StudySettings, values: Mapping[str, float | None]) -> list[Claim]:
    """The paper's claims that a study of this kind is about; none for kinds that the paper says nothing of.

    Args:
        study: its settings.
        values: place on the axis by name of the arm, without models before training, in the order of the study.

    Source: SPA-VL (arXiv 2406.12030), data scale, response sources, question types, projector; PPO against DPO.
    """
    match study:
        case ScaleStudy():
            return _ends(values, "more-pairs", "More pairs make it safer", "safety")
        case MixStudy():
            return _ends(values, "harmless-pairs", "Harmless pairs cut over-refusal", "over-refusal")
        case SourcesStudy():
            words = "Pairs of all responders make it safer than pairs of the answers of some"
            return _against_others(values, EVERY, "all-responders", words)
        case QuestionsStudy():
            return _against_others(values, MIXED, "mixed-questions", "Mixed questions beat each type alone")
        case FreezeStudy():
            modes = {name: nested(mode) for name, mode in study.modes.items() if name in values}
            return _projector(modes)
        case MethodStudy():
            return _ppo({name: nested(changed) for name, changed in study.arms.items() if name in values})
        case _:
            return []


def _ends(values: Mapping[str, float | None], name: str, words: str, axis: Axis) -> list[Claim]:
    places = {arm: value for arm, value in values.items() if value is not None}
    if len(places) < 2:
        return []
    least, most = min(places, key=lambda arm: places[arm]), max(places, key=lambda arm: places[arm])
    return [Claim(name=name, claim=words, better=most, than=(least,), axis=axis)]


def _against_others(arms: Sequence[str] | Mapping[str, object], best: str, name: str, words: str) -> list[Claim]:
    others = tuple(arm for arm in arms if arm != best)
    if best not in arms or not others:
        return []
    return [Claim(name=name, claim=words, better=best, than=others, axis="safety")]


def _projector(modes: Mapping[str, Mapping[str, object]]) -> list[Claim]:
    """Modes that differ in nothing but the projector."""
    usual = FreezeSettings().projector
    for arm, mode in modes.items():
        for other, changed in modes.items():
            rest = [{key: value for key, value in one.items() if key != "projector"} for one in (mode, changed)]
            trained = mode.get("projector", usual) == "train" and changed.get("projector", usual) == "frozen"
            if trained and rest[0] == rest[1]:
                return [Claim(name="projector", claim="Training the projector makes it safer", better=arm,
                              than=(other,), axis="safety")]  # fmt: skip
    return []


def _ppo(arms: Mapping[str, Mapping[str, object]]) -> list[Claim]:
    by_method = {method: [arm for arm, changed in arms.items() if changed.get("method", "dpo") == method]
                 for method in ("ppo", "dpo")}  # fmt: skip
    if not by_method["ppo"] or not by_method["dpo"]:
        return []
    return [Claim(name="ppo-keeps-skill", claim="PPO keeps more skill than DPO", better=by_method["ppo"][0],
                  than=(by_method["dpo"][0],), axis="skill")]  # fmt: skip
