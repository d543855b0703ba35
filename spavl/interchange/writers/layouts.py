"""The values of a row in each public form, by column: functions of the row, and of what stands for a picture."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from spavl.models.chat import all_pictures
from spavl.pictures import Picture
from spavl.preferences.messages import PLACEHOLDER
from spavl.preferences.pairs import Pair
from spavl.records import Role

Cell = Callable[[Picture], Any]
"""What stands in a cell for a picture."""
Values = dict[str, Any]
"""A row: value by column."""
ValuesOf = Callable[[Pair, Cell], Values]
"""The values of a pair."""
SHAREGPT_ROLES = {"user": "human", "assistant": "gpt", "system": "system"}
"""Who speaks, in the words of ShareGPT."""


def answers(pair: Pair) -> Values:
    """Columns `chosen` and `rejected` as texts.

    Args:
        pair: any pair.
    """
    return {"chosen": pair.chosen, "rejected": pair.rejected}


def spoken(pair: Pair) -> Iterator[tuple[Role, str, tuple[Picture, ...]]]:
    """Role, text and pictures of every turn before the answers, the system turn left out.

    Args:
        pair: any pair.
    """
    for turn in pair.earlier:
        yield turn.role, turn.text, turn.pictures
    yield "user", pair.question, pair.pictures


def marked(text: str, pictures: tuple[Picture, ...]) -> str:
    """A text with a placeholder for each picture before it.

    Args:
        text: what is said.
        pictures: of the turn.
    """
    return PLACEHOLDER * len(pictures) + text


def pictures_in_order(pair: Pair, cell: Cell) -> list[Any]:
    """All pictures of a conversation in reading order.

    Args:
        pair: any pair.
        cell: gives what stands for a picture.
    """
    return [cell(picture) for picture in all_pictures(pair.earlier, pair.pictures)]


def own(pair: Pair, cell: Cell) -> Values:
    """The columns of our own files: question, answers, `images`, `earlier`.

    Args:
        pair: any pair.
        cell: gives what stands for a picture.
    """
    earlier = [
        {"role": turn.role, "text": turn.text, "images": list(map(cell, turn.pictures))} for turn in pair.earlier
    ]
    return {"question": pair.question, **answers(pair), "images": list(map(cell, pair.pictures)), "earlier": earlier}


def flat(pair: Pair, cell: Cell) -> Values:
    """Question, answers and `images`, for files without room for earlier turns.

    Args:
        pair: a pair without earlier turns.
        cell: gives what stands for a picture.
    """
    return {"question": pair.question, **answers(pair), "images": list(map(cell, pair.pictures))}


def hub(pair: Pair, cell: Cell) -> Values:
    """The columns of the Hub schema: the first picture in `image`, the others in `images`.

    Args:
        pair: any pair.
        cell: gives what stands for a picture.
    """
    values = own(pair, cell)
    first, *others = values["images"] or [None]
    return {"image": first, **values, "images": others}


def published(pair: Pair, cell: Cell) -> Values:
    """The columns of the published SPA-VL files: one picture, the question, two answers.

    Args:
        pair: a pair of one turn.
        cell: gives what stands for a picture.
    """
    return {"image": cell(pair.pictures[0]), "question": pair.question, **answers(pair)}


def trl_texts(pair: Pair, cell: Cell) -> Values:
    """TRL's standard form: texts, with the placeholders of pictures in `prompt`.

    Args:
        pair: a pair of one turn.
        cell: gives what stands for a picture.
    """
    images = list(map(cell, pair.pictures))
    return {"images": images, "prompt": marked(pair.question, pair.pictures), **answers(pair)}


def trl_messages(pair: Pair, cell: Cell) -> Values:
    """TRL's conversational form: messages whose content is a list of parts.

    Args:
        pair: any pair.
        cell: gives what stands for a picture.
    """
    prompt = [_in_parts("system", pair.system, 0)] if pair.system else []
    prompt += [_in_parts(role, text, len(pictures)) for role, text, pictures in spoken(pair)]
    return {
        "images": pictures_in_order(pair, cell), "prompt": prompt,
        "chosen": [_in_parts("assistant", pair.chosen, 0)], "rejected": [_in_parts("assistant", pair.rejected, 0)],
    }  # fmt: skip


def _in_parts(role: str, text: str, pictures: int) -> Values:
    places = [{"type": "image", "text": None}] * pictures
    return {"role": role, "content": [*places, {"type": "text", "text": text}]}


def sharegpt(pair: Pair, cell: Cell) -> Values:
    """LLaMA-Factory's sharegpt form for rankings.

    Args:
        pair: any pair.
        cell: gives what stands for a picture.
    """
    said = [_sharegpt_turn(role, marked(text, pictures)) for role, text, pictures in spoken(pair)]
    return {
        "conversations": said, "chosen": _sharegpt_turn("assistant", pair.chosen),
        "rejected": _sharegpt_turn("assistant", pair.rejected), "images": pictures_in_order(pair, cell),
    }  # fmt: skip


def _sharegpt_turn(role: str, text: str) -> Values:
    return {"from": SHAREGPT_ROLES[role], "value": text}


def alpaca(pair: Pair, cell: Cell) -> Values:
    """LLaMA-Factory's alpaca form for rankings; earlier turns are its `history`.

    Args:
        pair: a pair whose turns alternate.
        cell: gives what stands for a picture.
    """
    texts = [marked(text, pictures) for _, text, pictures in spoken(pair)]
    history = [list(two) for two in zip(texts[:-1:2], texts[1:-1:2], strict=True)]
    return {
        "instruction": texts[-1], "input": "", **answers(pair), "history": history,
        "images": pictures_in_order(pair, cell),
    }  # fmt: skip


def swift(pair: Pair, cell: Cell) -> Values:
    """ms-swift's form: `messages` with the chosen answer last, and the other one beside them.

    Args:
        pair: any pair.
        cell: gives what stands for a picture.
    """
    messages = [{"role": "system", "content": pair.system}] if pair.system else []
    messages += [{"role": role, "content": marked(text, pictures)} for role, text, pictures in spoken(pair)]
    messages.append({"role": "assistant", "content": pair.chosen})
    return {"messages": messages, "rejected_response": pair.rejected, "images": pictures_in_order(pair, cell)}
