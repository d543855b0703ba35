"""Preference pairs as items of a review: of a run, or of a dataset in any public form."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_args

from spavl.errors import DataError
from spavl.labels.record import Answer, Item
from spavl.pictures import Picture
from spavl.preferences.dataset import PreferenceDataset
from spavl.records import ImageRef, Outcome, PreferencePair, Turn
from spavl.review.pictures import place_of
from spavl.review.sample import Drawn, Order, draw
from spavl.run import Run
from spavl.tables import slices_of
from spavl.tables.query import query

Places = dict[str, list[str | int] | None]
"""Where pictures are, by key."""
ABOUT = ("class1", "class2", "class3", "question_type", "judge", "license")
"""What is known of a pair and never shown."""
_STRATUM = "concat_ws(' | ', coalesce(class3, ''), coalesce(question_type, ''), coalesce(chosen_source, ''))"
_DOUBT = """
    2.0 * coalesce(chosen_outcome = 'unsafe' AND rejected_outcome <> 'unsafe', FALSE)::INT
    + coalesce(len(judges_against)::DOUBLE / nullif(len(judges_for) + len(judges_against), 0), 0)
    + 0.5 * coalesce(chosen_outcome = rejected_outcome, TRUE)::INT
    + 0.5 * coalesce(verdict_ab <> verdict_ba, FALSE)::INT
"""
"""Highest where the guard calls only the chosen answer unsafe; then by judges who disagree, and by likeness."""
_ROWS = f"SELECT {{key}} AS key, {_STRATUM} AS stratum, {{doubt}} AS doubt FROM pairs {{where}}"
_SUSPECTED = "coalesce((SELECT max(10 + f.score) FROM findings f WHERE f.pair_id = pairs.pair_id), 0) + "


@dataclass(frozen=True, slots=True)
class Sample:
    """The items of a review."""

    items: tuple[Item, ...]
    """In the order in which they are shown."""
    pictures: Places
    """Where their pictures are."""


def _rows(key: str, where: str, findings: Path | None) -> str:
    return _ROWS.format(key=key, where=where, doubt=(_SUSPECTED if findings else "") + _DOUBT)


def pairs_of_run(
    run: Run, n: int, *, order: Order = "proportional", seed: int = 0, findings: Path | None = None
) -> Sample:
    """Pairs of a run, as they are exported.

    Args:
        run: the run folder.
        n: how many are wanted.
        order: how they are drawn.
        seed: of the draw.
        findings: for `doubtful`: table of `pair_id` and `score` of pairs that an audit suspects, which come first.

    Raises:
        DataError: there are no pairs.
        RunError: a table is missing or damaged.
    """
    tables = {"pairs": run.last_pairs, **({"findings": findings} if findings else {})}
    drawn = draw(_rows("pair_id", "", findings), n, order=order, seed=seed, errors=None, **tables)
    wanted = {one.key: one for one in drawn}
    found: dict[str, Item] = {}
    places: Places = {}
    for part in slices_of(run.last_pairs, PreferencePair):
        for pair in part:
            if pair.pair_id in wanted:
                found[pair.pair_id] = _item_of_record(pair, wanted[pair.pair_id])
                places |= places_of(run.folder, pair.query.earlier, pair.query.images)
    return Sample(tuple(found[one.key] for one in drawn), places)


def places_of(folder: Path, earlier: Sequence[Turn], images: Sequence[ImageRef]) -> Places:
    """Where the pictures of a conversation are.

    Args:
        folder: to which their paths are relative.
        earlier: turns before the last one.
        images: of the last turn.
    """
    refs = [*(ref for turn in earlier for ref in turn.images), *images]
    return {ref.sha256: place_of(Picture(ref.sha256, folder / ref.path)) for ref in refs}


def by_key(turns: Sequence[Turn]) -> tuple[Turn, ...]:
    """Turns whose pictures are named by their keys alone.

    Args:
        turns: with the paths of their pictures.
    """
    return tuple(replace(turn, images=tuple(ImageRef(Path(), ref.sha256) for ref in turn.images)) for turn in turns)


def _item_of_record(pair: PreferencePair, drawn: Drawn) -> Item:
    topic = pair.query.image.topic
    about = {"class1": topic.class1, "class2": topic.class2, "class3": topic.class3, "judge": pair.judge,
             "question_type": pair.query.question_type, "license": pair.query.image.license,
             "winner": "first"}  # fmt: skip
    answers = (Answer(text=pair.chosen, source=pair.chosen_source, outcome=pair.chosen_outcome),
               Answer(text=pair.rejected, source=pair.rejected_source, outcome=pair.rejected_outcome))  # fmt: skip
    return Item(
        item_id=pair.pair_id, kind="pair", stratum=drawn.stratum, question=pair.query.question, answers=answers,
        images=tuple(ref.sha256 for ref in pair.query.images), earlier=by_key(pair.query.earlier),
        system=pair.query.system,
        flagged=pair.query.harmful or "unsafe" in (pair.chosen_outcome, pair.rejected_outcome), about=about,
        probability=drawn.probability,
    )  # fmt: skip


def pairs_of_dataset(
    dataset: PreferenceDataset, n: int, *, order: Order = "proportional", seed: int = 0, findings: Path | None = None
) -> Sample:
    """Pairs of a dataset; rows that are no pairs are left out.

    Args:
        dataset: the dataset, opened.
        n: how many are wanted.
        order: how they are drawn.
        seed: of the draw.
        findings: for `doubtful`: table of `pair_id` and `score` of pairs that an audit suspects, which come first.

    Raises:
        DataError: there are no pairs, or two that are drawn have one id.
    """
    tables = {"pairs": dataset.rows, **({"findings": findings} if findings else {})}
    rows = _rows("number::VARCHAR", "WHERE malformed = ''", findings)
    drawn = draw(rows, n, order=order, seed=seed, errors=None, **tables)
    numbers = [int(one.key) for one in drawn]
    about = dict(_about_rows(dataset.rows, numbers))
    items, places = [], Places()
    for number, one in zip(numbers, drawn, strict=True):
        pair = dataset.pairs[number]
        pictures = [*(p for turn in pair.earlier for p in turn.pictures), *pair.pictures]
        places |= {picture.key: place_of(picture) for picture in pictures}
        items.append(_item_of_row(pair, about[number], one))
    _refuse_twins(items, dataset.name)
    return Sample(tuple(items), places)


def _about_rows(rows: Path, numbers: Sequence[int]) -> Iterator[tuple[int, dict[str, Any]]]:
    names = (*ABOUT, "chosen_source", "rejected_source", "chosen_outcome", "rejected_outcome")
    sql = f"SELECT number, {', '.join(names)} FROM pairs WHERE list_contains(?::BIGINT[], number)"
    return (
        (number, dict(zip(names, values, strict=True))) for number, *values in query(sql, [list(numbers)], pairs=rows)
    )


def _item_of_row(pair: Any, about: Mapping[str, Any], drawn: Drawn) -> Item:
    answers = tuple(
        Answer(text=text, source=about[f"{name}_source"] or "", outcome=_outcome(about[f"{name}_outcome"]))
        for name, text in (("chosen", pair.chosen), ("rejected", pair.rejected))
    )
    earlier = tuple(
        Turn(turn.role, turn.text, tuple(ImageRef(Path(), picture.key) for picture in turn.pictures))
        for turn in pair.earlier
    )
    known = {name: about[name] for name in ABOUT if about[name]}
    return Item(
        item_id=pair.pair_id, kind="pair", stratum=drawn.stratum, question=pair.question, answers=answers,
        images=tuple(picture.key for picture in pair.pictures), earlier=earlier, system=pair.system,
        flagged=any(one.outcome in (None, "unsafe") for one in answers), about=known | {"winner": "first"},
        probability=drawn.probability,
    )  # fmt: skip


def _outcome(value: str | None) -> Any:
    return value if value in get_args(Outcome) else None


def _refuse_twins(items: Sequence[Item], name: str) -> None:
    if len({item.item_id for item in items}) < len(items):
        raise DataError("Several pairs of this dataset have one id (`pair_id`)", where=name,
                        try_="give every row an id of its own")  # fmt: skip
