"""Preference pairs as training reads them, from the public forms of preference files.

Our own files have the columns of the published train split of `sqrti/SPA-VL` (`image`, a struct of bytes and path,
`question`, `chosen`, `rejected`) and more: `pair_id`, `images` (a list; these follow `image`), `earlier` (turns before
the question: role, text, images), `system`, `chosen_thought`, `rejected_thought`, `weight` (of the pair's loss). Other
forms: `forms`. A row without a picture is a row of text. Invalid rows are found later, by the preflight, with the row's
id; here only files that hold no pairs at all are refused.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field, replace
from functools import cache, lru_cache, partial
from io import BytesIO
from itertools import islice
from json.encoder import encode_basestring_ascii
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from spavl.config.align import PairForm, Preference
from spavl.errors import DataError
from spavl.models.chat import ChatTurn, all_pictures
from spavl.models.thought import END, START
from spavl.pictures import Picture, file_sha256, grey_picture
from spavl.preferences.about import ABOUT, about_of
from spavl.preferences.form_about import said_by_form
from spavl.preferences.forms import SHARED, Conversation, Form, NoForm, form_of
from spavl.preferences.messages import RowError, Turn, text_of
from spavl.preferences.picture_values import LONGEST, KeyOf, picture_of
from spavl.preferences.sources import PairFile, PairSource
from spavl.records import Role
from spavl.rows import Row, brief

if TYPE_CHECKING:
    from spavl.models.trees.pack import Row as TreeRow

PICTURE_HASH = "image_sha256"
"""Column of our own files with the hash of the first picture, which is computed anew."""
FIRST = 64
"""Rows of a file that its form is looked for in: the first of them may lack a column."""
REMEMBERED = 4096
"""Paths of pictures that are remembered while a file is read."""
Thought = Literal["drop", "train"]
"""What becomes of the reasoning before an answer: left out, or written before the answer in `<think>` marks."""


@dataclass(frozen=True, slots=True)
class Reading:
    """How the rows of a file become pairs."""

    thought: Thought = "drop"
    """What becomes of the reasoning before an answer."""
    form: PairForm | None = None
    """The form of the file; None: told by its columns."""
    prefer: Preference | None = None
    """Which answer is preferred, where the file says of two which is safer and which is more helpful."""
    strict: bool = True
    """Whether a file that is not in `form` is refused; else `form` only decides where the columns fit several."""
    unpaired: bool = False
    """Whether files of single answers are read, as pairs whose other answer is empty; else they are refused."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A preference pair as training reads it: a conversation, and two answers to its last turn, one of them preferred.

    `PreferencePair` is the record that the pipeline writes.
    """

    pair_id: str
    """Names the row in messages; unique in a file."""
    pictures: tuple[Picture, ...]
    """Pictures of the last user turn, before its text; none for a question of text only."""
    question: str
    """Text of the last user turn."""
    chosen: str
    """The preferred answer."""
    rejected: str
    """The other answer."""
    earlier: tuple[ChatTurn, ...] = ()
    """Turns before the last user turn."""
    system: str = ""
    """Text of the system turn; empty: none."""
    weight: float = 1.0
    """What the pair's loss is multiplied with, 0 or more; not read by PPO, which trains on no pairs."""
    malformed: str = ""
    """Why the row that it was read from is no pair; empty: it is one. Such a pair has no texts."""
    about: Mapping[str, Any] = field(default_factory=dict, compare=False)
    """What else the row says of the pair, by the columns of `spavl.preferences.about`, as it is read from a file. A
    table of pairs gives it in its rows alone."""
    where: str = field(default="", compare=False)
    """File and line or row that it was read from, for messages; a table of pairs does not keep it."""
    unpaired: bool = False
    """Whether it is a single answer: wanted where it is `chosen`, unwanted where it is `rejected`; the other is empty.
    """

    @property
    def all_pictures(self) -> tuple[Picture, ...]:
        """The pictures of the whole conversation, in reading order."""
        return all_pictures(self.earlier, self.pictures)

    @property
    def context(self) -> str:
        """Names the content of all that stands before the question: equal for pairs that may share a tree.

        For one picture and nothing else the picture's own key. A pair without pictures and earlier turns shares its
        tree with pairs of the same question alone: else all rows of text in a dataset were one tree.
        """
        if not (self.pictures or self.earlier):
            return _sha256(_listed([self.system, self.question]))
        keys = [picture.key for picture in self.pictures]
        if len(keys) == 1 and not (self.earlier or self.system):
            return keys[0]
        turns = [[turn.role, turn.text, [picture.key for picture in turn.pictures]] for turn in self.earlier]
        return _sha256(json.dumps([self.system, turns, keys]))

    @property
    def digest(self) -> bytes:
        """SHA-256 of all that training reads of the pair."""
        return self.identity[1]

    @property
    def swapped_digest(self) -> bytes:
        """`digest` of the pair with its answers the other way round, which contradicts it."""
        return self.identity[2]

    @property
    def identity(self) -> tuple[str, bytes, bytes]:
        """`context`, `digest` and `swapped_digest`, computed together."""
        context = self.context
        first, second = (_digest([context, self.question, *two], self.weight) for two in (
            (self.chosen, self.rejected), (self.rejected, self.chosen),
        ))  # fmt: skip
        return context, first, second

    def row(self, *answers: str) -> TreeRow:
        """The pair as a row of a tree.

        Args:
            answers: the answers that the row has; none given: chosen and rejected, or the only one.
        """
        from spavl.models.trees.pack import Row as TreeRow  # it needs what the base install lacks

        texts = answers or ((self.chosen or self.rejected,) if self.unpaired else (self.chosen, self.rejected))
        return TreeRow(self.pair_id, self.question, texts, self.pictures, self.system, self.earlier)

    def with_pictures(self, change: Callable[[Picture], Picture]) -> Pair:
        """The same pair with other pictures.

        Args:
            change: gives the picture in place of one of the pair's; called in reading order.
        """
        if not self.all_pictures:
            return self
        turns = tuple(replace(turn, pictures=tuple(map(change, turn.pictures))) for turn in self.earlier)
        return replace(self, earlier=turns, pictures=tuple(map(change, self.pictures)))


def with_blank_pictures(pair: Pair) -> Pair:
    """The same pair with grey pictures of the same sizes: the control that shows what is learnt without pictures.

    Args:
        pair: any pair; one without pictures is returned as it is.
    """
    return pair.with_pictures(_blank)


def _blank(picture: Picture) -> Picture:
    file = BytesIO()
    grey_picture(picture.size()).save(file, "PNG")
    return Picture(f"{picture.key}#blank", file.getvalue())


def file_key(path: Path) -> str:
    """The key of the picture in a file.

    Args:
        path: of the file, which need not be there.
    """
    with suppress(OSError):  # a file that may not be read is none
        if path.is_file():
            return file_sha256(path)
    return f"missing:{path}"


def read_rows(
    source: PairSource,
    reading: Reading = Reading(),
    *,
    limit: int | None = None,
    key_of: KeyOf | None = None,
    on_form: Callable[[str, Form, Collection[str]], None] = lambda *_: None,
) -> Iterator[Pair]:
    """The pairs of a source, one by one; each picture's bytes are in its pair.

    A row that does not say what a pair needs becomes a pair that is `malformed`.

    Args:
        source: where they are.
        reading: how rows are read.
        limit: only the first so many pairs.
        key_of: gives the key of the picture in a file; else `file_key`, called once a file.
        on_form: called with the name of each file, its form, and the columns that are not read, to which those of
            later rows are added while the file is read.

    Raises:
        DataError: a file is not readable, or in no form of preference pairs, or in several.
    """
    key_of = key_of or cache(file_key)
    number = 0
    for table in source.tables:
        found = _first(table, reading)
        if found is None:
            continue
        form, first = found
        read = dict.fromkeys((*SHARED, *form.columns, *ABOUT, PICTURE_HASH))
        unread = dict.fromkeys(name for name in first.values if name not in read)
        on_form(table.name, form, unread.keys())
        picture = _picture_opener(table, key_of)
        for row in table.rows(read):
            if limit is not None and number >= limit:
                return
            unread.update(dict.fromkeys(row.values.keys() - read.keys()))
            yield _pair(row, number, form, picture, reading)
            number += 1


def _first(table: PairFile, reading: Reading) -> tuple[Form, Row] | None:
    """The form of a file and the first row that has it: the first rows of all may lack a column. None: no rows."""
    refused: NoForm | None = None
    with closing(table.rows(None)) as rows:
        for row in islice(rows, FIRST):
            try:
                form = form_of(
                    row.values, table.name, name=reading.form, prefer=reading.prefer, strict=reading.strict
                )  # fmt: skip
                _refuse_unpaired(form, table.name, reading)
            except NoForm as error:
                refused = refused or error
                continue
            return form, row
    if refused is not None:
        raise refused
    return None


def _refuse_unpaired(form: Form, where: str, reading: Reading) -> None:
    """Refuse a file of single answers where pairs are wanted."""
    if form.unpaired and not reading.unpaired:
        raise DataError(
            "the file has single answers with labels, and no pairs", where=where,
            try_="`spavl align` with align.loss.kind=kto trains on them; all else needs chosen and rejected answers",
        )  # fmt: skip


def _picture_opener(table: PairFile, key_of: KeyOf) -> Callable[[Any], Picture | None]:
    """What opens the pictures of a file; those of the last paths are remembered, since looking for a file is slow."""
    opened = partial(picture_of, base=table.base, key_of=key_of, tails=table.tails)
    remembered = lru_cache(REMEMBERED)(opened)

    def picture(value: Any) -> Picture | None:
        return remembered(value) if isinstance(value, str) and len(value) <= LONGEST else opened(value)

    return picture


def _pair(row: Row, number: int, form: Form, picture: Callable[[Any], Picture | None], reading: Reading) -> Pair:
    """The pair of a row; `picture` opens one of its pictures, None where there is none."""
    try:
        found = form.read(row.values, reading.prefer)
        pair = _of_conversation(found, picture, reading.thought)
        named, weight = _id(row.values.get("pair_id")), _weight(row.values.get("weight"))
        about = _about(found, row.values, form, reading)
    except RowError as error:
        name = row.where.rpartition("/")[2]
        return Pair(name, (), "", "", "", malformed=error.reason, where=row.where)
    name = named or _made_id(pair, number)
    return Pair(name, pair.pictures, pair.question, pair.chosen, pair.rejected, pair.earlier, pair.system, weight, "",
                about, row.where, form.unpaired)  # fmt: skip


def _id(value: Any) -> str:
    """The id of a pair; a whole number is one too."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else text_of(value, "pair_id")


def _made_id(pair: Pair, number: int) -> str:
    content = _sha256("\x00".join([pair.context, pair.question, pair.chosen, pair.rejected]))
    return f"row{number}-{content[:8]}"


def _about(found: Conversation, values: Mapping[str, Any], form: Form, reading: Reading) -> dict[str, Any]:
    """What the row says beside the conversation: in columns of ours, in those of its form, and as thoughts."""
    said = said_by_form(form.name, values, reading.prefer)
    thoughts = {"chosen_thought": found.chosen.thought, "rejected_thought": found.rejected.thought}
    said |= {name: thought for name, thought in thoughts.items() if thought}
    return {**about_of(said), **about_of(values)} if said else about_of(values)


def _weight(value: Any) -> float:
    """The weight of a pair: 1 where none is given."""
    try:
        weight = 1.0 if value is None else float(value)
    except (TypeError, ValueError, OverflowError):
        weight = math.nan
    if not (math.isfinite(weight) and weight >= 0):
        raise RowError(f"the `weight` {brief(value)} is not a number of 0 or more")
    return weight


def _of_conversation(found: Conversation, picture: Callable[[Any], Picture | None], thought: Thought) -> Pair:
    *earlier, last = [
        ChatTurn(cast("Role", turn.role), turn.text, tuple(one for one in map(picture, turn.pictures) if one))
        for turn in found.turns
    ]
    chosen, rejected = _answer(found.chosen, thought), _answer(found.rejected, thought)
    return Pair("", last.pictures, last.text, chosen, rejected, tuple(earlier), found.system)


def _answer(turn: Turn, thought: Thought) -> str:
    """The text of an answer that is trained on."""
    if thought == "drop" or not (turn.thought and turn.text.strip()):
        return turn.text
    return f"{START}\n{turn.thought}\n{END}\n\n{turn.text}"


def _digest(texts: Sequence[str], weight: float) -> bytes:
    """SHA-256 of texts, and of a weight that is not 1, as `json.dumps` writes their list."""
    content = _listed(texts) if weight == 1 else json.dumps([*texts, weight])
    return hashlib.sha256(content.encode()).digest()


def _listed(texts: Sequence[str]) -> str:
    """Texts as `json.dumps` writes their list, in a third of the time."""
    return f"[{', '.join(map(encode_basestring_ascii, texts))}]"


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
