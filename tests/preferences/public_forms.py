"""One conversation written in every public form, as their own tools write it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

Message = dict[str, Any]


@dataclass(frozen=True)
class Talk:
    """A conversation with two answers; each turn with its number of pictures."""

    turns: tuple[tuple[str, int], ...]
    """Text and pictures of the turns, the user's and the assistant's by turns, the user's last."""
    chosen: str
    rejected: str
    system: str = ""

    @property
    def pictures(self) -> int:
        return sum(count for _, count in self.turns)

    def spoken(self, *, marks: bool = True) -> list[tuple[str, str]]:
        """Who speaks and the text, with a placeholder for each picture if `marks`."""
        roles = ("user", "assistant") * len(self.turns)
        said = [
            (role, ("<image>\n" * count if marks else "") + text)
            for role, (text, count) in zip(roles, self.turns, strict=False)
        ]
        return ([("system", self.system)] if self.system else []) + said


def openai(spoken: list[tuple[str, str]]) -> list[Message]:
    return [{"role": role, "content": text} for role, text in spoken]


def in_parts(talk: Talk) -> list[Message]:
    """Messages whose content is a list of parts, as TRL and transformers have them."""
    return [
        {
            "role": role,
            "content": [{"type": "image", "text": None}] * text.count("<image>\n")
            + [{"type": "text", "text": text.replace("<image>\n", "")}],
        }
        for role, text in talk.spoken()
    ]


def gpt(role: str, text: str) -> Message:
    return {"from": {"user": "human", "assistant": "gpt", "system": "system"}[role], "value": text}


def answer(text: str) -> Message:
    return {"role": "assistant", "content": text}


def spa_vl(talk: Talk) -> Message:
    *earlier, (_, question) = [one for one in talk.spoken() if one[0] != "system"]
    turns = [{"role": role, "text": text, "images": []} for role, text in earlier]
    return {"question": question, "chosen": talk.chosen, "rejected": talk.rejected, "earlier": turns} | named(talk)


def named(talk: Talk) -> Message:
    return {"system": talk.system} if talk.system else {}


def trl(talk: Talk) -> Message:
    return {"prompt": in_parts(talk), "chosen": [answer(talk.chosen)], "rejected": [answer(talk.rejected)]}


def trl_texts(talk: Talk) -> Message:
    return {"prompt": openai(talk.spoken()), "chosen": talk.chosen, "rejected": talk.rejected}


def trl_implicit(talk: Talk) -> Message:
    said = in_parts(talk)
    two = {
        name: [{"type": "text", "text": text}] for name, text in (("chosen", talk.chosen), ("rejected", talk.rejected))
    }
    return {name: [*said, {"role": "assistant", "content": content}] for name, content in two.items()}


def sharegpt(talk: Talk) -> Message:
    said = [gpt(*one) for one in talk.spoken() if one[0] != "system"]
    two = {name: gpt("assistant", text) for name, text in (("chosen", talk.chosen), ("rejected", talk.rejected))}
    return {"conversations": said} | two | named(talk)


def sharegpt_openai(talk: Talk) -> Message:
    return {"messages": openai(talk.spoken()), "chosen": answer(talk.chosen), "rejected": answer(talk.rejected)}


def alpaca(talk: Talk) -> Message:
    *earlier, (_, question) = [text for text in talk.spoken() if text[0] != "system"]
    history = [[earlier[n][1], earlier[n + 1][1]] for n in range(0, len(earlier), 2)]
    two = {"chosen": talk.chosen, "rejected": talk.rejected}
    return {"instruction": question, "input": "", "history": history} | two | named(talk)


def swift(talk: Talk) -> Message:
    return {"messages": [*openai(talk.spoken()), answer(talk.chosen)], "rejected_response": talk.rejected}


def swift_messages(talk: Talk) -> Message:
    said = openai(talk.spoken())
    return {"messages": [*said, answer(talk.chosen)], "rejected_messages": [*said, answer(talk.rejected)]}


def hh(talk: Talk) -> Message:
    said = "".join(
        f"\n\n{'Human' if role == 'user' else 'Assistant'}: {text}" for role, text in talk.spoken() if role != "system"
    )
    two = {"chosen": talk.chosen, "rejected": talk.rejected}
    return {name: f"{said}\n\nAssistant: {text}" for name, text in two.items()} | named(talk)


WRITERS = {
    "spa-vl": spa_vl,
    "trl": trl,
    "trl, answers as texts": trl_texts,
    "trl, implicit prompt": trl_implicit,
    "sharegpt": sharegpt,
    "sharegpt, as openai": sharegpt_openai,
    "alpaca": alpaca,
    "ms-swift": swift,
    "ms-swift, rejected messages": swift_messages,
    "hh-rlhf": hh,
}
"""What writes a row without pictures, by the form; pictures go into `images`."""
