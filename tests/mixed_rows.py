"""Rows of every shape in one batch, and the same answers by a plain forward pass of transformers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from spavl.models.families import ChatTurn, Family
from spavl.models.trees.batch import Packing, TreeBatch, collate
from spavl.models.trees.pack import Grouping, Row, build_trees, pack_trees
from spavl.pictures import Picture


def noise(number: int, width: int, height: int) -> Picture:
    """A picture of coloured noise."""
    pixels = np.random.default_rng(number).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Picture(f"noise{number}", Image.fromarray(pixels))


def mixed_rows(*, several: bool) -> list[Row]:
    """Rows without a picture, with one, with two, and of two turns, their pictures in either turn or in both.

    Args:
        several: whether the family takes several pictures in one conversation; without them three rows fewer.
    """
    first, second, third = noise(1, 60, 40), noise(2, 36, 76), noise(3, 50, 50)
    answers = ("a red cup", "nothing that i would call a cup, it is green")
    before = (ChatTurn("user", "what is shown here", (second,)), ChatTurn("assistant", "a kite, i think"))
    talk = (ChatTurn("user", "how are you"), ChatTurn("assistant", "well, and you"))
    rows = [
        Row("text", "tell me more", ("no", "it is a long and rather dull story of two shoes")),
        Row("one", "what is shown here", answers, (first,), "be kind"),
        Row("same picture", "what about the kite", ("it is torn", "kites are not shown"), (first,), "be kind"),
        Row("two turns, text", "and now", answers, (), "be brief", talk),
        Row("two turns, picture in the first", "what about the kite", answers, (), "", before),
        Row("two turns, picture in the last", "what about the kite", answers, (third,), "be kind", talk),
    ]
    if several:
        rows += [
            Row("two", "which of them is larger", answers, (first, third)),
            Row("two, same first", "which of them is red", answers, (first, second), "be kind"),
            Row("two turns, picture in both", "and in this one", answers, (third,), "", before),
        ]
    return rows


def mixed_batch(family: Family, packing: Packing = "tree", by: Grouping = "picture") -> tuple[list[Row], TreeBatch]:
    """All these rows in one batch; answers in order of rows."""
    rows = mixed_rows(several=family.facts.several_pictures)
    return rows, collate(pack_trees(build_trees(rows, by), family), family, packing)


def plain_sums(model: Any, processor: Any, rows: Sequence[Row], batch: TreeBatch) -> Tensor:
    """Summed log-probability of every answer [A]: one forward pass an answer, prompt and pictures by transformers.

    Args:
        model: the model.
        processor: its processor.
        rows: those of the batch.
        batch: says which tokens each answer has.
    """
    sums = torch.zeros(batch.answers)
    by_id = {row.id: row for row in rows}
    for name, answers in batch.rows:
        for answer in answers:
            sums[answer] = _plain_sum(model, processor, by_id[name], batch.targets[batch.owner == answer])
    return sums


@torch.no_grad()
def _plain_sum(model: Any, processor: Any, row: Row, answer: Tensor) -> Tensor:
    inputs = processor.apply_chat_template(
        _conversation(row), tokenize=True, return_dict=True, return_tensors="pt", add_generation_prompt=True
    )
    shape = inputs["input_ids"].shape
    added = {"input_ids": answer, "attention_mask": torch.ones_like(answer)}
    longer = {
        name: torch.cat([value, added.get(name, torch.zeros_like(answer))[None]], 1)
        for name, value in inputs.items()
        if value.shape == shape
    }
    logits = model(**{**inputs, **longer}).logits[0, shape[1] - 1 : -1]
    return logits.log_softmax(-1).gather(1, answer[:, None]).sum()


def _conversation(row: Row) -> list[dict[str, Any]]:
    turns = [ChatTurn("user", row.question, row.pictures)]
    system = [{"role": "system", "content": [{"type": "text", "text": row.system}]}] if row.system else []
    return system + [
        {
            "role": turn.role,
            "content": [
                *({"type": "image", "image": picture.load()} for picture in turn.pictures),
                {"type": "text", "text": turn.text},
            ],
        }
        for turn in (*row.earlier, *turns)
    ]
