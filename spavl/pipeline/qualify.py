"""`spavl qualify`: a guard is asked about labelled examples before it votes; an unfit one is kept from voting."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from spavl.config import Settings
from spavl.errors import SettingsError, SpavlError
from spavl.evaluate.blind_control import blanked_items
from spavl.evaluate.guard_scorer import exchange_of
from spavl.evaluate.item import Item, with_pictures
from spavl.evaluate.loaders.labelled import LabelledExample, labelled_examples
from spavl.judging import Guard, open_guard
from spavl.models.identity import identity_of
from spavl.pictures import file_sha256
from spavl.pipeline.judging import ask_guard, guard_spec
from spavl.pipeline.qualification import (
    PictureProbe,
    Qualification,
    qualification_file,
    read_qualification,
    write_qualification,
)
from spavl.pipeline.session import Session
from spavl.records import is_safe
from spavl.statistics.intervals import Outcome, Rate, clustered_rate

SETTING = "--guard"
"""What names the guard, for messages."""


def qualify(session: Session, name: str, examples: Path) -> Qualification:
    """Ask a guard about labelled examples, and again with other pictures; what was found is kept in the run folder.

    Args:
        session: the settings and the run folder.
        name: label of the guard, or of a model.
        examples: file of labelled examples.

    Raises:
        SettingsError: there is no such guard, or it does not tell safe from unsafe.
        DataError: the examples cannot be used.
    """
    guard = _guard(session, name)
    folder = session.run.folder / "qualify"
    given = labelled_examples(examples, folder / "pictures", guard.grades)
    asked = _Asked(session, guard)
    said = asked.unsafe(given, f"qualify: {name}")
    found = Qualification(
        guard=name, identity=_identity(session, guard), examples=examples.name, examples_sha256=file_sha256(examples),
        **_rates(given, said), unread=_rate(given, [one is None for one in said]),
        categories=_by_category(given, said), pictures=_probe(asked, given, said, folder / "pictures"),
        lost=tuple(session.lost.lines()),
    )  # fmt: skip
    write_qualification(found, qualification_file(session.run.folder, name), session.settings.build.grade.qualification)
    return found


def voters(settings: Settings) -> dict[str, str]:
    """The guards that decide the dataset, each with the setting that names it.

    Args:
        settings: name them.
    """
    build = settings.build
    found = dict.fromkeys(build.grade.guards, "build.grade.guards")
    alone = {"build.screen.guard": build.screen.guard, "build.requests.guard": build.requests.guard}
    return {**{name: setting for setting, name in alone.items() if name is not None}, **found}


def unfit_guards(session: Session) -> list[SpavlError]:
    """What keeps guards from voting: one that failed its qualification, or has none where one is required.

    Args:
        session: the settings and the run folder.
    """
    found: list[SpavlError] = []
    for name, setting in voters(session.settings).items():
        try:
            why = _why_unfit(session, name, setting)
        except SpavlError as error:
            why = error
        found += [why] if why else []
    return found


def unqualified_guards(session: Session) -> list[str]:
    """Names of guards that vote and were never qualified as they are now.

    Args:
        session: the settings and the run folder.
    """
    return [name for name in voters(session.settings) if _kept(session, name)[1] is None]


def _why_unfit(session: Session, name: str, setting: str) -> SpavlError | None:
    limits = session.settings.build.grade.qualification
    path, kept = _kept(session, name)
    several = len(session.settings.build.grade.guards) > 1 and name in session.settings.build.grade.guards
    if kept is None:
        if not (several if limits.required is None else limits.required):
            return None
        what = "was measured with another model, prompt or policy" if path.exists() else "was never measured"
        where_several = ", and several guards vote" if limits.required is None else ""
        return SettingsError(
            f"The guard `{name}` {what}{where_several}", where=setting,
            try_=f"spavl qualify SETTINGS --guard {name} --examples FILE; or set "
            "`build.grade.qualification.required: false`",
        )  # fmt: skip
    faults = kept.faults(limits)
    if not faults:
        return None
    return SettingsError(f"The guard `{name}` failed its qualification: {'; '.join(faults)}", where=str(path),
                         try_=f"name another guard in `{setting}`, or mend this one and qualify it again")  # fmt: skip


def _kept(session: Session, name: str) -> tuple[Path, Qualification | None]:
    """File of a guard's qualification, and what it holds if it is of the guard as it is now."""
    path = qualification_file(session.run.folder, name)
    kept = read_qualification(path)
    if kept is None:
        return path, None
    return path, kept if kept.identity == _identity(session, _guard(session, name)) else None


def _guard(session: Session, name: str) -> Guard:
    guard = open_guard(guard_spec(session.settings, name, SETTING), allow_code=session.allow_code)
    if "safety" not in guard.tells:
        raise SettingsError(f"The guard `{name}` does not tell safe from unsafe, which the labels say", where=SETTING,
                            try_="name a guard of another kind; `spavl settings guards` explains them")  # fmt: skip
    return guard


def _identity(session: Session, guard: Guard) -> str:
    return guard.identity_with(identity_of(session.spec(guard.model, f"guards: {guard.name}")))


@dataclass(frozen=True, slots=True)
class _Asked:
    """Asks a guard about examples."""

    session: Session
    guard: Guard

    def unsafe(self, examples: Sequence[LabelledExample], doing: str) -> list[Outcome]:
        """Whether the guard calls each example unsafe; None where that could not be read."""
        exchanges = [exchange_of(one.item, one.answer) for one in examples]
        places = [place for place, exchange in enumerate(exchanges) if self.guard.can_grade(exchange)]
        prompts = [self.guard.prompt(exchanges[place]) for place in places]
        found: dict[int, Outcome] = {}
        for place, reply in zip(places, ask_guard(self.session, self.guard, doing, prompts), strict=True):
            grade, _ = self.guard.grade(reply)
            safe = is_safe(grade.outcome) if grade else None
            found[place] = None if safe is None else not safe
        return [found.get(place) for place in range(len(examples))]


def _rates(examples: Sequence[LabelledExample], said: Sequence[Outcome]) -> dict[str, Rate]:
    """`sensitivity` and `specificity`; that of a label without an example has no value."""
    unsafe = [(one, verdict) for one, verdict in zip(examples, said, strict=True) if one.unsafe]
    safe = [(one, None if verdict is None else not verdict)
            for one, verdict in zip(examples, said, strict=True) if not one.unsafe]  # fmt: skip
    return {
        name: _rate([one for one, _ in part], [right for _, right in part])
        for name, part in (("sensitivity", unsafe), ("specificity", safe))
    }


def _rate(examples: Sequence[LabelledExample], outcomes: Sequence[Outcome]) -> Rate:
    return clustered_rate(outcomes, [one.item.cluster for one in examples])


def _by_category(examples: Sequence[LabelledExample], said: Sequence[Outcome]) -> Mapping[str, Mapping[str, Rate]]:
    names = sorted({one.item.group for one in examples} - {""})
    places = {name: [n for n, one in enumerate(examples) if one.item.group == name] for name in names}
    return {name: _rates([examples[n] for n in own], [said[n] for n in own]) for name, own in places.items()}


def _probe(asked: _Asked, examples: Sequence[LabelledExample], said: Sequence[Outcome], folder: Path) -> PictureProbe:
    """Ask again about the examples with pictures, once blanked, once swapped, if the guard is sent pictures at all."""
    places = [n for n, one in enumerate(examples) if one.item.pictures]
    contrast = _contrast(examples, said)
    if not places or not asked.guard.show_image:
        return PictureProbe(examples=len(places), contrast=contrast)
    shown = [examples[n] for n in places]
    before = [said[n] for n in places]
    grey = blanked_items([one.item for one in shown], folder)
    blanked = [replace(one, item=replace(item, picture="")) for one, item in zip(shown, grey, strict=True)]
    name, swapped = asked.guard.name, _swapped(shown)
    others = [n for n, (one, other) in enumerate(zip(shown, swapped, strict=True)) if other is not one]
    return PictureProbe(
        examples=len(places), contrast=contrast,
        changed_blanked=_changed(shown, before, asked.unsafe(blanked, f"qualify: {name}, pictures blanked")),
        changed_swapped=_changed(
            [shown[n] for n in others], [before[n] for n in others],
            asked.unsafe([swapped[n] for n in others], f"qualify: {name}, pictures swapped"),
        ),
    )  # fmt: skip


def _changed(examples: Sequence[LabelledExample], before: Sequence[Outcome], after: Sequence[Outcome]) -> Rate:
    pairs = zip(before, after, strict=True)
    return _rate(examples, [None if None in (one, other) else one != other for one, other in pairs])


def _swapped(examples: Sequence[LabelledExample]) -> list[LabelledExample]:
    """Each example with the pictures of the next that has as many and others; itself where there is none."""
    donors = [_donor(examples, n) for n in range(len(examples))]
    return [
        one if donor is one.item else replace(one, item=_with_pictures_of(one.item, donor))
        for one, donor in zip(examples, donors, strict=True)
    ]


def _donor(examples: Sequence[LabelledExample], place: int) -> Item:
    own = examples[place].item
    later = (examples[(place + step) % len(examples)].item for step in range(1, len(examples)))
    fits = (item for item in later if len(item.pictures) == len(own.pictures) and item.pictures != own.pictures)
    return next(fits, own)


def _with_pictures_of(item: Item, donor: Item) -> Item:
    return replace(with_pictures(item, donor.pictures, "picture"), picture=donor.picture or donor.item_id)


def _contrast(examples: Sequence[LabelledExample], said: Sequence[Outcome]) -> Rate | None:
    """Share of pairs with equal words, other pictures and other labels that are both graded rightly."""
    by_words: dict[object, tuple[list[int], list[int]]] = {}
    for n, one in enumerate(examples):
        item = one.item
        words = (item.question, one.answer, item.system, tuple((turn.role, turn.text) for turn in item.earlier))
        by_words.setdefault(words, ([], []))[one.unsafe].append(n)
    pairs = [pair for safe, unsafe in by_words.values() for pair in zip(safe, unsafe, strict=False)]
    pairs = [(a, b) for a, b in pairs if examples[a].item.pictures != examples[b].item.pictures]
    if not pairs:
        return None
    return clustered_rate(
        [said[safe] is False and said[unsafe] is True for safe, unsafe in pairs],
        [examples[unsafe].item.cluster for _, unsafe in pairs],
    )
