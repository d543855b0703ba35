"""Random preference pairs with all that makes trouble in files, as rows of our own form."""

from __future__ import annotations

import io
import json
from pathlib import Path
from random import Random
from typing import Any

from hypothesis import strategies as st
from PIL import Image

PIECES = (
    "a", " ", "\n", "\t", "é", "日本", "🙂", "\u2028", "\u0085", "\0", "\r", "\r\n", '"', ",", "'", "\\", "|", "=1+1",
    "<image>", "<video>", "<bbox>", "Human: ", "\n\nAssistant: ", "user", "assistant", "<|im_end|>",
    '{"role": "user", "content": "b"}', '[{"from": "gpt", "value": "c"}]', "[1]", "null", "true", "\ufeff", "</s>",
    "{'role': 'user', 'content': 'd'}",
)  # fmt: skip
"""What texts are made of."""
PICTURES = 4
texts = st.one_of(
    st.sampled_from(("what is this", "tell me more", "a red cup", "")),
    st.lists(st.sampled_from(PIECES), max_size=5).map("".join),
    st.text(max_size=12).filter(lambda text: text.isprintable()),
)
pictures = st.lists(st.integers(0, PICTURES - 1).map(lambda n: f"images/{n}.png"), max_size=3)
known = st.fixed_dictionaries(
    {},
    optional={
        "class1": texts, "class3": st.just("cups"), "chosen_safe": st.booleans(), "rejected_safe": st.booleans(),
        "chosen_severity": st.integers(0, 4), "judges_for": st.lists(texts, max_size=2), "license": st.just("CC0"),
        "chosen_thought": texts, "chosen_source": st.sampled_from(("one", "two")),
        "rejected_outcome": st.sampled_from(("refusal", "unsafe")), "weight": st.sampled_from((0.0, 0.5, 1.0, 1e-7)),
        "system": texts, "pair_id": texts,
    },
)  # fmt: skip


@st.composite
def rows(draw: st.DrawFn) -> dict[str, Any]:
    """A row; earlier turns mostly alternate."""
    turns = draw(st.integers(0, 2))
    roles = ["user", "assistant"] * turns
    if draw(st.integers(0, 9)) == 0:
        roles = roles[1:]
    earlier = [
        {"role": role, "text": draw(texts), "images": draw(pictures) if role == "user" else []} for role in roles
    ]
    asked = {"question": draw(texts), "chosen": draw(texts), "rejected": draw(texts), "images": draw(pictures)}
    return {**asked, "earlier": earlier, **draw(known)}


def write_source(folder: Path, made: list[dict[str, Any]]) -> Path:
    """Rows as a file in our own form, beside their pictures."""
    (folder / "images").mkdir(parents=True, exist_ok=True)
    for number in range(PICTURES):
        file = io.BytesIO()
        Image.new("RGB", (20 + number, 10), (60 * number, 0, 0)).save(file, "PNG" if number % 2 else "JPEG")
        (folder / f"images/{number}.png").write_bytes(file.getvalue())
    path = folder / "train.jsonl"
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in made), "utf-8", newline="\n")
    return path


def random_row(random: Random, number: int) -> dict[str, Any]:
    """A row for a benchmark: one text in three is made of `PIECES`, the others are words."""

    def text() -> str:
        if random.random() < 1 / 3:
            return "".join(random.choices(PIECES, k=random.randint(0, 5)))
        return f"words {random.randint(0, 9)} of row {number}"

    def shown() -> list[str]:
        return [f"images/{random.randrange(PICTURES)}.png" for _ in range(random.choice((0, 1, 1, 1, 2, 3)))]

    turns = random.choice((0, 0, 1, 2))
    earlier = [
        {"role": role, "text": text(), "images": shown() if role == "user" else []}
        for role in ("user", "assistant") * turns
    ]
    optional = {
        "system": text(), "class1": text(), "class3": "cups", "chosen_safe": random.random() < 0.9,
        "chosen_severity": random.randrange(5), "judges_for": [text()], "license": "CC0", "chosen_source": "one",
        "rejected_source": text(), "weight": random.random(), "chosen_thought": text(),
    }  # fmt: skip
    known = {name: value for name, value in optional.items() if random.random() < 0.5}
    asked = {"question": text(), "chosen": text(), "rejected": text(), "images": shown(), "earlier": earlier}
    return {"pair_id": f"row-{number}", **asked, **known}
