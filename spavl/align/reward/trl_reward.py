"""A reward model as a reward function of TRL's trainers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

from spavl.align.reward.model import RewardModel, pictures_of
from spavl.errors import DataError
from spavl.models.families import ChatTurn
from spavl.models.trees.pack import Row
from spavl.pictures import Picture
from spavl.preferences.messages import RowError, Turn, is_messages, messages_of, place_pictures, text_of
from spavl.records import Role


def to_trl_reward(model: RewardModel) -> Callable[..., list[float]]:
    """A reward function for TRL's GRPO and RLOO trainers, which call a reward model with prompts and completions.

    The whole prompt is read: system turn, earlier turns, and all pictures, from the messages themselves or from the
    dataset's column `images` or `image`. Prompts and completions may be messages or texts. An empty completion is
    scored as an answer that ends at once.

    Args:
        model: the reward model.

    Raises:
        DataError: when called, for a prompt with more or fewer pictures than it has places for them.
    """

    def spavl_reward(prompts: Sequence[Any], completions: Sequence[Any], **columns: Any) -> list[float]:
        shown = columns.get("images") or columns.get("image") or [None] * len(prompts)
        rows = [_row(*one) for one in zip(range(len(prompts)), prompts, completions, shown, strict=True)]
        scored = model.scalar_head.score(rows)
        return [float(scored[row.id][0]) for row in rows]

    return spavl_reward


def _row(number: int, prompt: Any, completion: Any, images: Any) -> Row:
    """A prompt with its completion as a row of a tree."""
    try:
        turns = messages_of(prompt, "prompt") if is_messages(prompt) else [Turn("user", text_of(prompt, "prompt"))]
        system = turns.pop(0).text if turns and turns[0].role == "system" else ""
        answer = messages_of(completion, "completion")[-1].text if is_messages(completion) else completion
        own = any(turn.pictures for turn in turns)
        *earlier, last = place_pictures(turns, [] if own or images is None else pictures_of(images), unmarked=0)
        if last.role != "user":
            raise RowError("the last turn of the prompt is not the user's")
        before = tuple(ChatTurn(cast("Role", turn.role), turn.text, _opened(turn.pictures)) for turn in earlier)
        text = text_of(answer, "completion")
    except (RowError, ValueError, IndexError) as error:
        raise DataError(f"a completion cannot be scored: {error}", where=f"prompt {number}") from error
    return Row(str(number), last.text, (text,), _opened(last.pictures), system, before)


def _opened(pictures: Sequence[Any]) -> tuple[Picture, ...]:
    """Pictures of a turn, some of them from the messages themselves."""
    return tuple(
        one for picture in pictures for one in ([picture] if isinstance(picture, Picture) else pictures_of(picture))
    )
