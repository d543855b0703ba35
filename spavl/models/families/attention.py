"""Attention over a tree in pieces: the trunk by itself, then each question's part against trunk and itself.

A row of S tokens has S² pairs of tokens, most of which a tree's mask forbids. Cut into pieces, the forbidden ones are
mostly not computed: SPA-VL's shape (600 shared tokens, three questions, two answers each) costs half. Registered with
transformers as attention `spavl_tree`, which is its `sdpa` wherever no tree is given, so generation does not notice.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

NAME = "spavl_tree"


class AttentionBlock(NamedTuple):
    """A run of tokens in a row, and what it sees: the row's first piece, and itself."""

    length: int
    masked: bool
    """If not, each of its tokens sees all before it in the piece."""


AttentionBlocks = Sequence[Sequence[AttentionBlock]]
"""How each row of a batch is cut, in order; or one cut for all rows alike. Tokens in no piece are padding, their output
is nought."""


def tree_attention(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    tree: AttentionBlocks | None = None,
    **more: Any,
) -> tuple[Tensor, None]:
    """`sdpa` in pieces. query [B, heads, S, D], mask [B, 1, S, S], output [B, S, heads, D], as transformers has it."""
    if tree is None or attention_mask is None:
        whole: tuple[Tensor, None] = sdpa_attention_forward(module, query, key, value, attention_mask, **more)
        return whole
    more["is_causal"] = True
    if len(tree) == 1:
        return _row(module, (query, key, value), attention_mask, tree[0], more), None
    rows = zip(*(part.split(1) for part in (query, key, value)), strict=True)
    masks = attention_mask.split(1)
    cut = zip(rows, masks, tree, strict=True)
    return torch.cat([_row(module, parts, mask, pieces, more) for parts, mask, pieces in cut]), None


def _row(
    module: Any,
    parts: tuple[Tensor, Tensor, Tensor],
    mask: Tensor,
    pieces: Sequence[AttentionBlock],
    more: dict[str, Any],
) -> Tensor:
    """Rows that are cut alike. Tensors are split once and not sliced, which would cost a backward pass each."""
    width = mask.shape[-1]
    runs = [*(piece.length for piece in pieces), width - sum(piece.length for piece in pieces)]
    queries, keys, values = (part.split(runs, 2) for part in parts)
    done, start = [], 0
    for index, piece in enumerate(pieces):
        stop = start + piece.length
        sees = mask[:, :, start:stop]
        if index == 0:
            key, value, sees = keys[0], values[0], sees[..., :stop]
        elif index == 1 and stop == width:
            key, value = parts[1:]
        else:
            key, value = torch.cat((keys[0], keys[index]), 2), torch.cat((values[0], values[index]), 2)
            sees = torch.cat((sees[..., : runs[0]], sees[..., start:stop]), 3)
        if piece.length:
            part = (module, queries[index], key, value, sees if piece.masked else None)
            done.append(sdpa_attention_forward(*part, **more)[0])
        start = stop
    if start < width:
        done.append(done[0].new_zeros(done[0].shape[0], width - start, *done[0].shape[2:]))
    return torch.cat(done, 1)


AttentionInterface.register(NAME, tree_attention)
AttentionMaskInterface.register(NAME, sdpa_mask)
