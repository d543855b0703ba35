"""PreferencePair → PreferencePair: what people said of pairs stands above judges and guard.

More than half of a pair's annotators decide: the answers change places where they prefer the other one, the pair is
dropped where neither is better. Labels name answers by the item that was shown, so a pair whose places changed since is
still labelled rightly, and one whose texts changed is not labelled at all.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from statistics import median_low
from typing import Any, Literal

from spavl.labels.exchange import DATABASE, FORMS, Labelled, read_labels, together
from spavl.labels.record import Label, hash_of_answers, labels_by_item
from spavl.records import Outcome, PeopleSaid, PreferencePair, is_safe

Verdict = Literal["first", "second", "neither", "undecided"]
"""What more than half of the annotators say of an item: an answer of it, or that neither is better."""
Position = Literal[0, 1]
SWAPPED: Mapping[str, Any] = {"chosen": "rejected", "rejected": "chosen"}
"""The other answer."""
_SIDES = ("", "_source", "_id", "_thought", "_outcome", "_severity")
"""Ends of the names of what is known of both answers."""


@dataclass(frozen=True, slots=True)
class Said:
    """What people said of an item."""

    verdict: Verdict
    """The better answer."""
    annotators: tuple[str, ...]
    """Who judged it, by alphabet."""
    outcomes: tuple[Outcome | None, Outcome | None]
    """What more than half of those who said so call each answer; None where they do not agree, or nobody said."""
    severities: tuple[int | None, int | None]
    """Median severity of each answer, by those who call it unsafe."""
    answers_hash: str
    """Of the answers that were read, in the order of the item; empty where labels do not say it."""

    def places(self, pair: PreferencePair) -> tuple[Position, Position] | None:
        """Places in the item of the pair's chosen and rejected answers; None where the pair has other answers.

        Args:
            pair: of the same id.
        """
        if self.answers_hash in ("", hash_of_answers((pair.chosen, pair.rejected))):
            return 0, 1
        return (1, 0) if self.answers_hash == hash_of_answers((pair.rejected, pair.chosen)) else None


def apply_labels(
    pairs: Sequence[PreferencePair], *, said: Mapping[str, Sequence[Said]], chosen_must_be_safe: bool
) -> tuple[list[PreferencePair], Counter[str]]:
    """The pairs as people labelled them, and how many of them were `kept` or dropped for what, and what changed.

    Args:
        pairs: preference pairs.
        said: from `people_said`.
        chosen_must_be_safe: drop pairs whose chosen answer is not safe by now.
    """
    kept, counts = [], Counter[str]()
    for pair in pairs:
        own = said.get(pair.pair_id, ())
        one, places = next(((some, found) for some in own if (found := some.places(pair))), (None, None))
        if one is None or places is None:
            counts.update(["kept", *(["with other answers than were labelled"] if own else [])])
            kept.append(pair)
            continue
        counts.update(["by the id alone"] if not one.answers_hash else [])
        changed = _changed(pair, one, places)
        reason = _why_dropped(changed, one, chosen_must_be_safe)
        counts.update([reason] if reason else _what_changed(pair, changed))
        if not reason:
            kept.append(changed)
    return kept, counts


def _why_dropped(pair: PreferencePair, said: Said, chosen_must_be_safe: bool) -> str:
    """Why a pair is dropped; empty: it is not."""
    if said.verdict == "neither":
        return "tie or both bad"
    return "chosen answer not safe" if chosen_must_be_safe and not is_safe(pair.chosen_outcome) else ""


def _what_changed(before: PreferencePair, now: PreferencePair) -> list[str]:
    after = {now.chosen: now.chosen_outcome, now.rejected: now.rejected_outcome}
    outcomes = {before.chosen: before.chosen_outcome, before.rejected: before.rejected_outcome}
    changes = {"kept": "preferred as judged", "swapped": "swapped", "undecided": "undecided"}
    found = ["kept", changes[now.labelled or "undecided"]]
    return [*found, "another outcome"] if after != outcomes else found


def _changed(pair: PreferencePair, said: Said, places: tuple[Position, Position]) -> PreferencePair:
    """The pair with people's outcomes, its answers in the order that people prefer."""
    found = replace(pair, labelled_by=said.annotators, **_outcomes(pair, said, places))
    if said.verdict in ("undecided", "neither"):
        return replace(found, labelled="undecided")
    preferred = 0 if said.verdict == "first" else 1
    return replace(found, labelled="kept") if preferred == places[0] else _swapped(found)


def _outcomes(pair: PreferencePair, said: Said, places: tuple[Position, Position]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    graded = {"chosen": (pair.chosen_outcome, pair.chosen_severity),
              "rejected": (pair.rejected_outcome, pair.rejected_severity)}  # fmt: skip
    for (side, (outcome, severity)), place in zip(graded.items(), places, strict=True):
        ours = said.outcomes[place]
        if ours is not None:
            same = severity if is_safe(ours) == is_safe(outcome) else None
            found[f"{side}_outcome"] = ours
            found[f"{side}_severity"] = same if said.severities[place] is None else said.severities[place]
    return found


def _swapped(pair: PreferencePair) -> PreferencePair:
    values: dict[str, Any] = _of_answers(pair)
    swapped = {f"{side}{end}": values[f"{SWAPPED[side]}{end}"] for side in SWAPPED for end in _SIDES}
    labelled: PeopleSaid = "swapped"
    return replace(
        pair, **swapped, labelled=labelled, judges_for=pair.judges_against, judges_against=pair.judges_for,
        more_harmless=SWAPPED.get(pair.more_harmless or "", pair.more_harmless),
        more_helpful=SWAPPED.get(pair.more_helpful or "", pair.more_helpful),
    )  # fmt: skip


def _of_answers(pair: PreferencePair) -> dict[str, Any]:
    """What is known of both answers of a pair, by name of the field."""
    return {
        "chosen": pair.chosen, "rejected": pair.rejected,
        "chosen_source": pair.chosen_source, "rejected_source": pair.rejected_source,
        "chosen_id": pair.chosen_id, "rejected_id": pair.rejected_id,
        "chosen_thought": pair.chosen_thought, "rejected_thought": pair.rejected_thought,
        "chosen_outcome": pair.chosen_outcome, "rejected_outcome": pair.rejected_outcome,
        "chosen_severity": pair.chosen_severity, "rejected_severity": pair.rejected_severity,
    }  # fmt: skip


def labels_content(paths: Sequence[str]) -> str:
    """Hash of what people said, whatever files say it.

    Args:
        paths: the setting `build.labels`.

    Raises:
        DataError: one cannot be read.
    """
    found = sorted((pair_id, repr(one)) for pair_id, one in people_said(paths).items())
    return sha256(json.dumps(found).encode()).hexdigest()


def people_said(paths: Sequence[str]) -> Mapping[str, Sequence[Said]]:
    """What people said, by id of the pair, of each version of its answers; read anew when a file has changed.

    Args:
        paths: the setting `build.labels`.

    Raises:
        DataError: one cannot be read.
    """
    return _read(tuple(paths), tuple(stamp for path in paths for stamp in _stamps(Path(path))))


def _stamps(path: Path) -> list[tuple[str, int, int]]:
    """What changes when a file does; a database writes to a second one beside it first."""
    there = [path, *(path.parent.glob(f"{path.name}-wal") if path.is_file() else ())]
    if path.is_dir():
        there = [one for one in path.iterdir() if one.suffix in FORMS or one.name in (DATABASE, f"{DATABASE}-wal")]
    return sorted((str(one), one.stat().st_mtime_ns, one.stat().st_size) for one in there if one.is_file())


@lru_cache(maxsize=2)
def _read(paths: tuple[str, ...], stamps: Hashable) -> Mapping[str, Sequence[Said]]:
    return said_by_pair(together(read_labels(Path(path)) for path in paths))


def said_by_pair(labelled: Labelled) -> dict[str, list[Said]]:
    """What people said, by id of the pair, of each version of its answers; where that is not known, last.

    Args:
        labelled: labels, with the items that are known.
    """
    there, strangers = labels_by_item(labelled.items, labelled.labels)
    by_version: dict[tuple[str, str], list[Label]] = {}
    for item, own in there:
        if item.kind == "pair":
            by_version[item.item_id, item.answers_hash] = own
    for label in strangers:
        by_version.setdefault((label.item_id, label.answers_hash), []).append(label)
    found: dict[str, list[Said]] = {}
    for (name, answers_hash), own in sorted(by_version.items(), key=lambda one: not one[0][1]):
        if judged := [label for label in own if label.status == "labelled"]:
            found.setdefault(name, []).append(_said(judged, answers_hash))
    return found


def _said(labels: Sequence[Label], answers_hash: str) -> Said:
    ours = ["neither" if one.preference in ("tie", "both_bad") else one.preference for one in labels if one.preference]
    verdict: Any = most_say(ours) or "undecided"
    outcomes = [most_say(_at(one.outcomes, place) for one in labels) for place in (0, 1)]
    severities = [_severity(labels, place) for place in (0, 1)]
    annotators = tuple(sorted({one.annotator for one in labels}))
    return Said(verdict, annotators, (outcomes[0], outcomes[1]), (severities[0], severities[1]), answers_hash)


def most_say(said: Iterable[Any]) -> Any:
    """What more than half of those say who say anything; None where there is no such thing.

    Args:
        said: what each says; None: nothing.
    """
    counts = Counter(one for one in said if one is not None)
    found = next(iter(counts.most_common(1)), (None, 0))
    return found[0] if 2 * found[1] > counts.total() else None


def _severity(labels: Sequence[Label], place: int) -> int | None:
    said = [_at(one.severities, place) for one in labels if _at(one.outcomes, place) == "unsafe"]
    known = [one for one in said if one is not None]
    return median_low(known) if known else None


def _at(values: Sequence[Any], place: int) -> Any:
    return values[place] if place < len(values) else None
