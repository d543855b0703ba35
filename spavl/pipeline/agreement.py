"""Whether people agree with one another and with the judges, which lean to a side, and which pairs are to be mended."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import combinations, zip_longest
from typing import Any, Literal, get_args

import numpy as np

from spavl.labels.record import Label, Preference
from spavl.pipeline.agreement_biases import Bias, biases_of
from spavl.pipeline.pairs_to_fix import PairToFix, pairs_to_fix
from spavl.pipeline.people import LabelledItem, People, most_said, weights_of
from spavl.records import Outcome
from spavl.statistics.estimate import estimate
from spavl.statistics.intervals import LEVEL, Rate
from spavl.statistics.reliability import Coefficient, Reliability, Scale, pair_table, rater_tables, reliability

PREFERENCES: tuple[Preference, ...] = get_args(Preference)
"""Preferences in the order of the tables."""
OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)
"""Outcomes in the order of the tables."""
SEVERITIES = range(5)
"""How bad an unsafe answer is."""
BEFORE_AND_AFTER = {2: [1, 0], 3: [1, 0, 2], 4: [1, 0, 2, 3]}
"""The same preferences with the two answers in the other order, by how many preferences there are."""
Asked = Literal["preference", "outcome", "unsafe", "severity", "picture needed"]
"""What people were asked."""
By = Literal["all", "domain", "question type", "source", "picture needed"]
"""What the pairs of a row have in common."""
LEAST_PAIRS = 5
"""Fewest pairs of a group that have a row of their own."""
ALL: Literal["all"] = "all"
"""Stands for all annotators together, and for all pairs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HumanAgreement:
    """How far annotators agree on one question."""

    asked: Asked
    """The question."""
    who: str
    """Two annotators, or all of them."""
    coefficient: Coefficient
    """Cohen's κ of two; Fleiss' κ or Krippendorff's α of all."""
    scale: Scale
    """Whether neighbouring answers disagree less."""
    found: Reliability
    """The coefficient, beside raw agreement and the share of every answer."""
    labels: tuple[str, ...]
    """The answers, in the order of these shares."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgeAgreement:
    """How far people agree with the preference that the judges gave the pairs of a group."""

    by: By
    """What the pairs have in common."""
    group: str
    """The group."""
    pairs: int
    """Its pairs."""
    same: Rate
    """Share of judgements of people that are the judges' too; a tie, or both bad, is one only where they said a tie."""
    decided: Rate
    """The same where people prefer one of the answers."""
    kappa: Reliability
    """Cohen's κ over the two orders of the answers alike."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AgreementReport:
    """All that people's labels say of a dataset and of each other."""

    pairs: int
    """Pairs that somebody judged."""
    answers: int
    """Single answers that somebody judged."""
    annotators: Mapping[str, int]
    """Items that each annotator judged."""
    skipped: int
    """Labels that skip an item."""
    strangers: int
    """Labels of items that are in none of the reviews, which count nowhere."""
    overlap: int
    """Items that several annotators judged."""
    disagreed: int
    """Of these, those on which they do not all say the same: preference, or whether an answer is unsafe."""
    human: tuple[HumanAgreement, ...]
    """Annotators with each other."""
    judges: tuple[JudgeAgreement, ...]
    """People with the judges, over all pairs and by group."""
    guards: Reliability | None
    """People with the guards on whether answers are unsafe; None where it is not known what guards said."""
    guards_same: Rate | None
    """Raw share of that."""
    biases: tuple[Bias, ...]
    """Systematic tendencies, each tested."""
    to_fix: tuple[PairToFix, ...]
    """Pairs that people judge otherwise, the surest first."""
    doubtful: int
    """Items that were drawn for being doubtful. They stand for no others, so that shares leave them out, unless there
    are no others: then shares are of these items alone."""
    weighted: bool
    """Whether items stand for different numbers of items, so that shares are weighted."""
    level: float
    """Confidence level of all intervals."""

    @property
    def verdict(self) -> str:
        """One sentence."""
        from spavl.pipeline.agreement_words import agreement_sentence

        return agreement_sentence(self)

    def as_plain_data(self) -> dict[str, Any]:
        """All of it for machines, with the verdict sentence."""
        return {"verdict": self.verdict, **asdict(self)}


def agreement_of(
    people: People, position_biases: Mapping[str, Mapping[str, Any]] | None = None, *, level: float = LEVEL
) -> AgreementReport:  # fmt: skip
    """Measure agreement, tendencies and pairs to mend.

    Args:
        people: what people said.
        position_biases: of the judges of the run, by name: `value`, `low`, `high` and `n`, at 95 %.
        level: confidence level.
    """
    pairs, several = people.of_kind("pair"), [one for one in people.items if len(one.labels) > 1]
    random = replace(people, items=tuple(one for one in people.items if one.item.probability > 0))
    measured = random if random.items else people
    guards, same = _guards(measured.items, level)
    return AgreementReport(
        pairs=len(pairs), answers=len(people.of_kind("answer")),
        annotators={name: sum(any(label.annotator == name for label in one.labels) for one in people.items)
                    for name in people.annotators},
        skipped=people.skipped, strangers=people.strangers, overlap=len(several),
        disagreed=sum(_is_disputed(one.labels) for one in several), human=tuple(_human(measured, level)),
        judges=tuple(_judges(measured.of_kind("pair"), level)), guards=guards, guards_same=same,
        biases=biases_of(measured, position_biases or {}, level=level), to_fix=pairs_to_fix(pairs),
        doubtful=len(people.items) - len(random.items), weighted=weights_of(measured.items) is not None, level=level,
    )  # fmt: skip


def _is_disputed(labels: Sequence[Label]) -> bool:
    """Whether two annotators say different things; who says nothing differs from nobody."""
    unsafe = zip_longest(*(label.unsafe for label in labels))
    return any(len(set(said) - {None}) > 1 for said in (tuple(label.preference for label in labels), *unsafe))


@dataclass(frozen=True, slots=True)
class _Question:
    """A question to annotators, and their answers to it, thing by thing."""

    asked: Asked
    scale: Scale
    labels: tuple[str, ...]
    things: tuple[tuple[LabelledItem, Mapping[str, int]], ...]
    turned: bool = False
    """Whether the order of the answers means nothing, so that both orders count alike."""


def _questions(people: People) -> Iterator[_Question]:
    pairs = [one for one in people.items if one.item.kind == "pair"]
    said = [(one, {x.annotator: PREFERENCES.index(x.preference) for x in one.labels if x.preference}) for one in pairs]
    yield _Question("preference", "nominal", PREFERENCES, tuple(said), turned=True)
    answers = [(one, place) for one in people.items for place in range(len(one.item.answers))]
    called = [(one, dict(one.outcomes(place))) for one, place in answers]
    yield _Question("outcome", "nominal", OUTCOMES,
                    tuple((one, {a: OUTCOMES.index(o) for a, o in own.items()}) for one, own in called))  # fmt: skip
    yield _Question("unsafe", "nominal", ("safe", "unsafe"),
                    tuple((one, {a: int(o == "unsafe") for a, o in own.items()}) for one, own in called))  # fmt: skip
    yield _Question("severity", "ordinal", tuple(map(str, SEVERITIES)),
                    tuple((one, dict(_severities(one, place))) for one, place in answers))  # fmt: skip
    needed = [(one, {x.annotator: int(x.picture_needed) for x in one.labels if x.picture_needed is not None})
              for one in people.items]  # fmt: skip
    yield _Question("picture needed", "nominal", ("no", "yes"), tuple(needed))


def _severities(one: LabelledItem, place: int) -> Iterator[tuple[str, int]]:
    for label in one.labels:
        severity = label.severities[place] if place < len(label.severities) else None
        if severity is not None and severity in SEVERITIES:
            yield label.annotator, severity


def _human(people: People, level: float) -> Iterator[HumanAgreement]:
    for question in _questions(people):
        things = [(one, said) for one, said in question.things if len(said) > 1]
        if not things:
            continue
        kinds, own = len(question.labels), [one for one, _ in things]
        alpha: Coefficient = "alpha"
        coefficients = [alpha] if question.scale == "ordinal" else [alpha, "fleiss"]
        for one in coefficients:
            tables = rater_tables([list(said.values()) for _, said in things], kinds, one)  # type: ignore[arg-type]
            yield _agreement(question, ALL, one, tables, own, level=level)
        for first, second in combinations(people.annotators, 2):
            both = [(item, said) for item, said in things if first in said and second in said]
            if both and question.scale == "nominal":
                table = pair_table([said[first] for _, said in both], [said[second] for _, said in both], kinds)
                named = f"{first} and {second}"
                yield _agreement(question, named, "cohen", table, [item for item, _ in both], level=level)


def _agreement(
    question: _Question, who: str, coefficient: Coefficient, tables: np.ndarray, own: Sequence[LabelledItem],
    *,
    level: float,
) -> HumanAgreement:  # fmt: skip
    made = reliability(
        both_orders(tables) if question.turned else tables, coefficient, scale=question.scale,
        clusters=[one.cluster for one in own], weights=weights_of(own), level=level,
    )  # fmt: skip
    return HumanAgreement(asked=question.asked, who=who, coefficient=coefficient, scale=question.scale, found=made,
                          labels=question.labels)  # fmt: skip


def both_orders(tables: np.ndarray) -> np.ndarray:
    """Tables of pairs of preferences with both orders of the two answers counted alike.

    An item holds the judges' choice first, so that `first` is most of what is said, and agreement by chance would be
    that of a label that hardly varies; which answer is called the first means nothing.

    Args:
        tables: `[N, K, K]`, the preference for the first answer before that for the second.
    """
    turned = BEFORE_AND_AFTER[tables.shape[-1]]
    return np.asarray((tables + tables[:, turned][:, :, turned]) / 2)


def _judges(pairs: Sequence[LabelledItem], level: float) -> Iterator[JudgeAgreement]:
    judged = [one for one in pairs if any(label.preference for label in one.labels)]
    if not judged:
        return
    yield _judge_row(ALL, ALL, judged, level)
    groups: dict[tuple[By, str], list[LabelledItem]] = {}
    for one in judged:
        for key in dict.fromkeys(_groups(one)):
            groups.setdefault(key, []).append(one)
    for (by, group), own in sorted(groups.items()):
        if len(own) >= LEAST_PAIRS:
            yield _judge_row(by, group, own, level)


def _groups(one: LabelledItem) -> Iterator[tuple[By, str]]:
    about = one.item.about
    if domain := about.get("class1"):
        yield "domain", domain
    if kind := about.get("question_type"):
        yield "question type", kind
    yield from (("source", answer.source) for answer in one.item.answers if answer.source)
    needed = most_said(label.picture_needed for label in one.labels if label.picture_needed is not None)
    if needed is not None:
        yield "picture needed", "yes" if needed else "no"


def judged_preference(one: LabelledItem) -> Preference:
    """What the judges preferred: the first answer, which is the chosen one, unless they said a tie.

    Args:
        one: a pair.
    """
    return "tie" if one.item.about.get("winner") == "tie" else "first"


def _judge_row(by: By, group: str, own: Sequence[LabelledItem], level: float) -> JudgeAgreement:
    same, decided, tables = [], [], []
    for one in own:
        judge = judged_preference(one)
        said = [x.preference for x in one.labels if x.preference]
        plain: list[Preference] = ["tie" if x == "both_bad" else x for x in said]
        clear = [x for x in plain if x != "tie"]
        same.append(sum(x == judge for x in plain) / len(plain))
        decided.append(sum(x == judge for x in clear) / len(clear) if clear and judge != "tie" else None)
        codes = [PREFERENCES.index(x) for x in plain]
        tables.append(pair_table([PREFERENCES.index(judge)] * len(codes), codes, 3).mean(axis=0))
    clusters = [one.cluster for one in own]
    kappa = reliability(both_orders(np.array(tables)), "cohen", clusters=clusters, weights=weights_of(own), level=level)
    return JudgeAgreement(by=by, group=group, pairs=len(own), same=_share(same, own, level),
                          decided=_share(decided, own, level), kappa=kappa)  # fmt: skip


def _share(values: Sequence[float | None], own: Sequence[LabelledItem], level: float) -> Rate:
    """The mean over the pairs that have a value; the others count nowhere."""
    kept = [(value, one) for value, one in zip(values, own, strict=True) if value is not None]
    if not kept:
        return Rate(None, 0.0, 1.0, 0)
    items = [one for _, one in kept]
    return estimate([value for value, _ in kept], [one.cluster for one in items], weights_of(items), level=level)


def _guards(items: Sequence[LabelledItem], level: float) -> tuple[Reliability | None, Rate | None]:
    """Agreement of people with what guards said of the answers."""
    own, tables, same = [], [], []
    for one in items:
        for place, answer in enumerate(one.item.answers):
            said = [int(outcome == "unsafe") for _, outcome in one.outcomes(place)]
            if said and answer.outcome is not None:
                guard = int(answer.outcome == "unsafe")
                own.append(one)
                tables.append(pair_table([guard] * len(said), said, 2).mean(axis=0))
                same.append(sum(x == guard for x in said) / len(said))
    if not own:
        return None, None
    clusters = [one.cluster for one in own]
    found = reliability(np.array(tables), "cohen", clusters=clusters, weights=weights_of(own), level=level)
    return found, _share(same, own, level)


def position_biases(judges: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """The position biases of a run's judges, by name.

    Args:
        judges: the entry `judges` of `run.json`.
    """
    return {name: of["position_bias"] for name, of in judges.items() if of.get("position_bias", {}).get("n")}
