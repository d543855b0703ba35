"""Attention over a packed tree in blocks: the shared prefix, then each question with its answers against both.

A row of S tokens has S² pairs of tokens, most of which a tree's mask forbids. Cut into blocks, the forbidden ones are
mostly not computed: SPA-VL's shape (600 shared tokens, three questions, two answers each) costs half. Registered with
transformers as attention `spavl_tree`, which is its `sdpa` wherever no blocks are given, so generation is unchanged.

Shapes: B rows, S tokens of a row, H attention heads, G key and value heads, D features of a head.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

NAME = "spavl_tree"
"""Name under which transformers knows this attention."""


class AttentionBlock(NamedTuple):
    """Consecutive tokens of a row that attend to the row's first block and to their own."""

    length: int
    """Number of tokens."""
    masked: bool
    """Whether the mask is applied; if not, attention inside the block is plainly causal."""


AttentionBlocks = Sequence[Sequence[AttentionBlock]]
"""Blocks of each row of a batch, in order; or one sequence of blocks for all rows. Tokens in no block are padding,
their output is zero."""


def tree_attention(
    module: Any,
    query: Float[Tensor, "B H S D"],
    key: Float[Tensor, "B G K D"],
    value: Float[Tensor, "B G K D"],
    attention_mask: Bool[Tensor, "#B 1 S K"] | Float[Tensor, ...] | None,
    *,
    tree: AttentionBlocks | None = None,
    decode: Callable[..., Any] | None = None,
    **more: Any,
) -> tuple[Float[Tensor, "B S H D"], None]:
    """Scaled dot-product attention, block by block where blocks are given; or that of answers in decoding.

    Args:
        module: the attention layer.
        query: of the new tokens.
        key: of all K tokens; K = S where blocks are given.
        value: of all K tokens.
        attention_mask: true where a token attends; None: causal. With `decode`, whatever that takes.
        tree: blocks of the rows; None: transformers' own `sdpa`.
        decode: makes the output in place of it all, as `AnswerCache.attend` of `spavl.models.trees.answer_cache`, which
            keeps keys and values itself; None: none.
        more: other arguments of transformers' attention functions.
    """
    if decode is not None:
        return decode(module.layer_idx, query * more["scaling"], key, value, attention_mask), None
    if tree is None or attention_mask is None:
        whole: tuple[Tensor, None] = sdpa_attention_forward(module, query, key, value, attention_mask, **more)
        return whole
    more["is_causal"] = True
    if len(tree) == 1:
        return _attend(module, (query, key, value), attention_mask, tree[0], more), None
    rows = zip(*(part.split(1) for part in (query, key, value)), strict=True)
    of_rows = zip(rows, attention_mask.split(1), tree, strict=True)
    return torch.cat([_attend(module, parts, mask, blocks, more) for parts, mask, blocks in of_rows]), None


def _attend(
    module: Any,
    parts: tuple[Tensor, Tensor, Tensor],
    mask: Tensor,
    blocks: Sequence[AttentionBlock],
    more: dict[str, Any],
) -> Tensor:
    """Rows with the same blocks. Tensors are split once and not sliced, which would cost a backward pass each."""
    width = mask.shape[-1]
    lengths = [*(block.length for block in blocks), width - sum(block.length for block in blocks)]
    queries, keys, values = (part.split(lengths, 2) for part in parts)
    outputs, start = [], 0
    for index, block in enumerate(blocks):
        stop = start + block.length
        own_mask = mask[:, :, start:stop]
        if index == 0:
            key, value, own_mask = keys[0], values[0], own_mask[..., :stop]
        elif index == 1 and stop == width:
            key, value = parts[1:]
        else:
            key, value = torch.cat((keys[0], keys[index]), 2), torch.cat((values[0], values[index]), 2)
            own_mask = torch.cat((own_mask[..., : lengths[0]], own_mask[..., start:stop]), 3)
        if block.length:
            arguments = (module, queries[index], key, value, own_mask if block.masked else None)
            outputs.append(sdpa_attention_forward(*arguments, **more)[0])
        start = stop
    if start < width:
        outputs.append(outputs[0].new_zeros(outputs[0].shape[0], width - start, *outputs[0].shape[2:]))
    return torch.cat(outputs, 1)


AttentionInterface.register(NAME, tree_attention)
AttentionMaskInterface.register(NAME, sdpa_mask)
