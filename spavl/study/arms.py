"""From the settings of a study to its arms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import product
from typing import Any, assert_never

from spavl.config.load import merge
from spavl.config.study import (
    DatasetsStudy,
    FamiliesStudy,
    FreezeStudy,
    GridStudy,
    MethodStudy,
    MixStudy,
    QuestionsStudy,
    ScaleStudy,
    SourcesStudy,
    TransferStudy,
    nested,
)
from spavl.errors import DataError, SettingsError
from spavl.plural import plural
from spavl.rows import listed
from spavl.study.arm import Arm, ArmPairs
from spavl.study.results import BASE
from spavl.study.selection import available, benign_share
from spavl.study.source import StudySource
from spavl.tables.query import query

PARTS = (
    ("safest", "Safest responders"),
    ("relatively-safe", "Relatively safe responders"),
    ("least-safe", "Least safe responders"),
)
"""Bags of responders by the safety groups that a run measured, with their labels. As in SPA-VL the relatively safe ones
hold the safest: of five groups the first, the first two, and the last two."""
LEAST_GROUPS = 3
"""Fewest safety groups that bags are made by."""
SPOKEN = {
    "easy_question": "Easy questions", "hard_question": "Hard questions", "hard_statement": "Hard statements",
    "benign_question": "Benign questions", "follow_up": "Follow-up questions",
}  # fmt: skip
"""Types of questions, for readers."""
EVERY = "all"
"""Arm of the pairs of all responders, or of all subcategories."""
MIXED = "mixed"
"""Arm of the pairs with questions of all types."""


def refuse_names_of_bases(arms: Sequence[Arm]) -> None:
    """Refuse arms that are called as models before training are in the results.

    Args:
        arms: of a study.

    Raises:
        SettingsError: one is.
    """
    taken = {BASE, *(f"{BASE}-{arm.name}" for arm in arms)}
    if wrong := next((arm.name for arm in arms if arm.name in taken), None):
        raise SettingsError(f"An arm of the study is called `{wrong}`, as a model before training is",
                            where="the study's settings", try_="give it another name")  # fmt: skip


def arms_of(source: StudySource) -> list[Arm]:
    """The arms of a study, in order; where arms choose pairs, with the number that all of them have.

    Args:
        source: the study and the run that it is about.

    Raises:
        DataError: there are no pairs for an arm, or fewer than wanted.
        SettingsError: the arms cannot be told apart, or need what the run did not measure.
    """
    study = source.study
    match study:
        case ScaleStudy():
            return _scale(source, study)
        case SourcesStudy():
            return _equally_many(source, _of_one_mix(source, _sources(source, study)))
        case QuestionsStudy():
            return _equally_many(source, _of_one_mix(source, _questions(study)))
        case DatasetsStudy():
            return _equally_many(source, _datasets(study))
        case TransferStudy():
            return _equally_many(source, _of_one_mix(source, _transfer(source, study)))
        case MixStudy():
            return _equally_many(source, _mix(study))
        case FreezeStudy():
            return _freeze(study)
        case MethodStudy():
            return _methods(study)
        case FamiliesStudy():
            return _families(study)
        case GridStudy():
            return _grid(study)
        case _ as never:
            assert_never(never)


def _scale(source: StudySource, study: ScaleStudy) -> list[Arm]:
    most = available(source.dataset().rows, ArmPairs())
    sizes = [most if size == "all" else size for size in study.sizes]
    if too_large := [size for size in sizes if size > most]:
        raise DataError(f"`sizes` names {plural(too_large[0], 'pair')}, and there are {most:,}",
                        where=source.pairs_at()[0], try_="smaller sizes; `all` stands for every pair")  # fmt: skip
    if len(set(sizes)) < 2:
        raise SettingsError("`sizes` needs at least two different numbers of pairs", where="sizes")
    return [
        Arm(name=str(size), label=plural(size, "pair"), what=f"a subset of {plural(size, 'pair')}", value=float(size),
            pairs=ArmPairs(size=size))
        for size in sorted(set(sizes))
    ]  # fmt: skip


def _sources(source: StudySource, study: SourcesStudy) -> list[Arm]:
    named = [(name, name, list(names)) for name, names in study.bags.items()]
    bags = named or measured_bags(source)
    arms = [
        Arm(name=name, label=label, what=f"pairs of the answers of {', '.join(names)}",
            pairs=ArmPairs(size=study.size, responders=tuple(names)))
        for name, label, names in bags
    ]  # fmt: skip
    if study.all:
        arms.append(Arm(name=EVERY, label="All responders", what="pairs of the answers of all responders",
                        pairs=ArmPairs(size=study.size)))  # fmt: skip
    return _distinct(arms)


def measured_bags(source: StudySource) -> list[tuple[str, str, list[str]]]:
    """Name, label and responders of the bags by the safety groups that a run measured.

    Args:
        source: the study and its run.

    Raises:
        SettingsError: the run measured too few groups.
    """
    said = source.run.manifest().get("responders", {})
    groups = sorted({one["group"] for one in said.values() if one.get("group") is not None})
    if len(groups) < LEAST_GROUPS:
        raise SettingsError(
            f"`bags: auto` needs responders in three safety groups, and the run measured {len(groups)}",
            where=str(source.run.folder), try_="name the bags: `bags: {safe: [NAME, …], unsafe: [NAME, …]}`",
        )  # fmt: skip
    fifth = max(1, len(groups) // 5)
    parts = (groups[:fifth], groups[: 2 * fifth], groups[-max(1, 2 * len(groups) // 5) :])
    return [
        (name, label, [who for who, one in said.items() if one.get("group") in part])
        for (name, label), part in zip(PARTS, parts, strict=True)
    ]


def _questions(study: QuestionsStudy) -> list[Arm]:
    arms = [
        Arm(name=kind, label=SPOKEN[kind], what=f"pairs whose question is of type {kind}",
            pairs=ArmPairs(size=study.size, question_type=kind))
        for kind in dict.fromkeys(study.types)
    ]  # fmt: skip
    if study.mixed:
        arms.append(Arm(name=MIXED, label="Mixed questions", what="pairs with questions of all types",
                        pairs=ArmPairs(size=study.size)))  # fmt: skip
    return arms


def _transfer(source: StudySource, study: TransferStudy) -> list[Arm]:
    """Without each group of subcategories, and with all."""
    groups = study.leave_out if isinstance(study.leave_out, dict) else domains(source)
    known = {row[0] for row in query("SELECT DISTINCT class3 FROM pairs", pairs=source.dataset().rows)}
    unknown = [name for names in groups.values() for name in names if name not in known]
    if unknown and isinstance(study.leave_out, dict):
        raise SettingsError(f"`leave_out` names {listed(unknown, '`')}, of which there is no pair", where="leave_out",
                            try_="`spavl show` counts the pairs of every subcategory")  # fmt: skip
    arms = [
        Arm(name=f"without-{_word(name)}", label=f"Without {name}", what=f"pairs of no subcategory of {name}",
            pairs=ArmPairs(size=study.size, without=tuple(names)))
        for name, names in groups.items()
    ]  # fmt: skip
    arms.append(Arm(name=EVERY, label="All subcategories", what="pairs of all subcategories that are trained on",
                    pairs=ArmPairs(size=study.size)))  # fmt: skip
    return _distinct(arms)


def domains(source: StudySource) -> dict[str, tuple[str, ...]]:
    """Subcategories of the pairs by domain.

    Args:
        source: the study and the run that it is about.

    Raises:
        SettingsError: the pairs are of fewer than two domains.
    """
    rows = query("SELECT DISTINCT class1, class3 FROM pairs WHERE class1 <> '' AND class3 <> '' ORDER BY ALL",
                 pairs=source.dataset().rows)  # fmt: skip
    found: dict[str, list[str]] = {}
    for domain, leaf in rows:
        found.setdefault(domain, []).append(leaf)
    if len(found) < 2:
        raise SettingsError(f"The pairs are of {plural(len(found), 'domain')}, so none can be left out",
                            where="leave_out: domains",
                            try_="name groups of subcategories: `leave_out: {GROUP: [SUBCATEGORY, …]}`")  # fmt: skip
    return {domain: tuple(leaves) for domain, leaves in found.items()}


def _datasets(study: DatasetsStudy) -> list[Arm]:
    return [
        Arm(name=name, label=name, what=f"pairs of {one.path or 'the run'}",
            pairs=ArmPairs(size=study.size, dataset=one))
        for name, one in study.datasets.items()
    ]  # fmt: skip


def _mix(study: MixStudy) -> list[Arm]:
    return [
        Arm(name=f"benign-{share:g}", label=f"{100 * share:g} % harmless pairs", value=share,
            what=f"pairs of which {100 * share:g} % are about harmless pictures",
            pairs=ArmPairs(size=study.size, benign_share=share))
        for share in sorted(set(study.shares))
    ]  # fmt: skip


def _freeze(study: FreezeStudy) -> list[Arm]:
    return [
        Arm(name=name, label=name, what=_changes({"freeze": mode}) or "as the settings have it",
            pairs=ArmPairs(size=study.size), align={"freeze": nested(mode)})
        for name, mode in study.modes.items()
    ]  # fmt: skip


def _methods(study: MethodStudy) -> list[Arm]:
    if unknown := [name for name in study.rewards if name not in study.arms]:
        raise SettingsError(f"`rewards` names `{unknown[0]}`, which is no arm", where="rewards",
                            try_=f"there are: {', '.join(study.arms)}; `reward` is for all of them")  # fmt: skip
    return [
        Arm(name=name, label=name, what=_changes(changed) or "as the settings have it",
            pairs=ArmPairs(size=study.size), align=nested(changed), reward=nested(study.rewards.get(name, {})))
        for name, changed in study.arms.items()
    ]  # fmt: skip


def _families(study: FamiliesStudy) -> list[Arm]:
    return [
        Arm(name=name, label=name, what=one.model, pairs=ArmPairs(size=study.size),
            align=merge({"model": one.model, "revision": one.revision}, nested(one.changed)))
        for name, one in study.models.items()
    ]  # fmt: skip


def _grid(study: GridStudy) -> list[Arm]:
    arms = []
    one_axis = len(study.axes) == 1
    for values in product(*study.axes.values()):
        chosen = dict(zip(study.axes, values, strict=True))
        number = next(iter(values)) if one_axis else None
        arms.append(Arm(
            name="-".join(f"{key.rpartition('.')[2]}={_word(value)}" for key, value in chosen.items()),
            label=_changes(chosen), what=_changes(chosen), pairs=ArmPairs(size=study.size), align=nested(chosen),
            value=float(number) if isinstance(number, int | float) and not isinstance(number, bool) else None,
        ))  # fmt: skip
    return _distinct(arms)


def _word(value: Any) -> str:
    """A value as part of an arm's name."""
    return "".join(sign if sign.isalnum() or sign in "._+-" else "-" for sign in str(value))


def _changes(tree: Mapping[str, Any], prefix: str = "") -> str:
    """Overrides in words, such as `loss.beta 0.2, freeze.language full`."""
    words = []
    for key, value in tree.items():
        inner = isinstance(value, Mapping) and value
        words.append(_changes(value, f"{prefix}{key}.") if inner else f"{prefix}{key} {value}")
    return ", ".join(filter(None, words))


def _of_one_mix(source: StudySource, arms: Sequence[Arm]) -> list[Arm]:
    """The arms, of which those that choose by responder, question or subcategory have as large a share of harmless
    pairs as the whole dataset has, so that they differ in nothing else."""
    share = benign_share(source.dataset().rows)
    if share is None:
        return list(arms)
    return [
        replace(arm, pairs=replace(arm.pairs, benign_share=share))
        if arm.pairs.responders or arm.pairs.question_type or arm.pairs.without else arm
        for arm in arms
    ]  # fmt: skip


def _equally_many(source: StudySource, arms: Sequence[Arm]) -> list[Arm]:
    """The arms with as many pairs each as all have, or as many as the study names.

    Raises:
        DataError: an arm has none, or fewer than the study names.
    """
    most = {arm.name: available(source.dataset(arm.pairs.dataset).rows, arm.pairs) for arm in arms}
    least = min(most, key=lambda name: most[name])
    size = source.study.size or most[least]
    if not most[least] or size > most[least]:
        every = ", ".join(f"{name} {count:,}" for name, count in most.items())
        raise DataError(f"Arm `{least}` has {plural(most[least], 'pair')}, too few for a study of equally many",
                        where=every, try_="a smaller `size`, other arms, or more matches of a question")  # fmt: skip
    return [replace(arm, pairs=replace(arm.pairs, size=size)) for arm in arms]


def _distinct(arms: Sequence[Arm]) -> list[Arm]:
    """The arms, whose names must differ: they are names of rows.

    Raises:
        SettingsError: two have one name.
    """
    names = [arm.name for arm in arms]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise SettingsError(f"Two arms of the study would be called `{twice}`", where="the study's settings",
                            try_="rename one of them, or take it out")  # fmt: skip
    return list(arms)
