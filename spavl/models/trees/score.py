"""Run a model on laid-out trees: log-probabilities of answers, hidden states at chosen tokens.

Everything goes through the stock `forward` of the (wrapped, adapted, checkpointed) model, so that DDP, FSDP, peft and
gradient checkpointing see an ordinary call; vocabulary scores are computed only for tokens that predict something.

    model, processor = AutoModelForImageTextToText.from_pretrained(path), load_processor(path)
    family = family_of(model, processor)
    trees = [encode(tree, family) for tree in group(rows, by="picture")]
    for indices in batches([len(tree) for tree in trees], token_budget=8192):
        batch = collate([trees[i] for i in indices], family)
        scores = answer_logprobs(model, batch, family)
        chosen, rejected = scores.sums[batch.pairs()].unbind(1)
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from peft import PeftModel
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel

from spavl.models.families import Family
from spavl.models.trees.batch import TreeBatch
from spavl.models.trees.head import logprobs_at


@dataclass(frozen=True)
class Scores:
    """What a pass over a batch gave."""

    logprobs: Tensor
    """[N] log-probability of every scored token, float32."""
    sums: Tensor
    """[A] their sum over each answer."""
    lengths: Tensor
    """[A] scored tokens of each answer, its end token included."""
    hidden: Tensor | None = None
    """[B × S, D] last hidden states, flat as `TreeBatch.scored` and `TreeBatch.last` count; None unless asked for."""


def answer_logprobs(
    model: Any, batch: TreeBatch, family: Family, *, features: Any = None, hidden: bool = False
) -> Scores:
    """Log-probabilities of all answers, differentiable in every trained parameter.

    `features` are pictures already encoded (`image_features`); without them every distinct picture is encoded once.
    """
    with _last_hidden(model, hidden) as caught, _scoring_head(model, batch, family):
        logprobs = forward(model, batch, family, features, batch.predicting).logits
    return Scores(
        logprobs=logprobs,
        sums=logprobs.new_zeros(batch.answers).index_add(0, batch.owner, logprobs),
        lengths=torch.bincount(batch.owner, minlength=batch.answers),
        hidden=caught[0].flatten(0, 1) if hidden else None,
    )


def hidden_at(model: Any, batch: TreeBatch, family: Family, at: Tensor, *, features: Any = None) -> Tensor:
    """[len(at), D] last hidden states at flat indices, such as `batch.last` (rewards) or `batch.scored` (values)."""
    nothing = torch.zeros_like(batch.ids, dtype=torch.bool)
    with _last_hidden(model, True) as caught:
        forward(model, batch, family, features, nothing)
    return caught[0].flatten(0, 1)[at]


def image_features(model: Any, batch: TreeBatch, family: Family) -> Any:
    """The batch's distinct pictures after tower and projector, to be given as `features` to several passes.

    Only for passes between which neither tower nor projector differs: policy and reference where both are frozen.
    """
    return _bare(model).get_image_features(**batch.pixels, return_dict=True)


def forward(model: Any, batch: TreeBatch, family: Family, features: Any, keep: Tensor, *, cache: Any = None) -> Any:
    """The model's own output on a batch. `keep` [B, S]: tokens whose vocabulary scores are computed, flat in `logits`.

    `cache`: an empty transformers cache to be filled with the keys and values of all tokens.
    """
    with _each_picture_once(model, batch, family, features) as pictures:
        return model(
            input_ids=batch.ids,
            **_attention(batch, family, _bare(model).dtype),
            **pictures,
            logits_to_keep=keep,
            use_cache=cache is not None,
            past_key_values=cache,
        )


def _attention(batch: TreeBatch, family: Family, dtype: torch.dtype) -> dict[str, Any]:
    """Mask and positions: ours for trees; for separate sequences nothing but the padding, as anyone would call."""
    if batch.packing == "separate":
        place = torch.arange(batch.ids.shape[1], device=batch.ids.device)
        inputs = {"attention_mask": (place < batch.lengths[:, None]).long()}
        if family.facts.token_types:
            inputs[family.facts.token_types] = (batch.ids == family.picture_id).long()
        return inputs
    masks = {kind: batch.mask(family.attention, dtype, window) for kind, window in family.masks.items()}
    inputs = {"attention_mask": masks.get("", masks), "position_ids": batch.positions}
    if family.attention == "tree":
        plain = batch.blocks is None and not any(family.masks.values())
        inputs["tree"] = batch.pieces(plain_prefix=plain, together=batch.ids.is_cuda)
    return inputs


@contextmanager
def _each_picture_once(model: Any, batch: TreeBatch, family: Family, features: Any) -> Iterator[dict[str, Any]]:
    """The picture part of the call. Where a picture stands in several rows it is encoded once, inside the call.

    Inside, by a hook of the innermost model: there every wrapper has already gathered what it shards and counts.
    """
    if batch.occurrences.tolist() == list(range(len(batch.picture_tokens))):
        yield dict(batch.pixels) if features is None else {"mm_encoder_outputs": {"image": features}}
        return

    def encode(module: Any, args: Any, kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        seen = module.get_image_features(**batch.pixels, return_dict=True) if features is None else features
        return args, {**kwargs, "mm_encoder_outputs": {"image": _laid_out(seen, batch)}}

    grid = family.facts.positions == "grid"
    hook = _bare(model).register_forward_pre_hook(encode, with_kwargs=True)
    try:
        yield {"image_grid_thw": batch.pixels["image_grid_thw"][batch.occurrences]} if grid else {}
    finally:
        hook.remove()


def _laid_out(seen: Any, batch: TreeBatch) -> Any:
    """Encoded pictures in reading order, each as often as it stands there. Leaves `seen` as it is."""

    def order(features: Any) -> Any:
        flat = features.flatten(0, -2) if isinstance(features, Tensor) else torch.cat(tuple(features))
        each = flat.split(batch.picture_tokens)
        chosen = [each[index] for index in batch.occurrences.tolist()]
        return torch.cat(chosen) if isinstance(features, Tensor) else chosen

    parts = {"pooler_output": order(seen.pooler_output)}
    if "deepstack_features" in seen:
        parts["deepstack_features"] = [order(layer) for layer in seen.deepstack_features]
    return type(seen)(**{**seen, **parts})


@contextmanager
def _last_hidden(model: Any, wanted: bool) -> Iterator[list[Tensor]]:
    caught: list[Tensor] = []
    if not wanted:
        yield caught
        return
    hook = _bare(model).model.register_forward_hook(lambda _, __, output: caught.append(output.last_hidden_state))
    try:
        yield caught
    finally:
        hook.remove()


@contextmanager
def _scoring_head(model: Any, batch: TreeBatch, family: Family) -> Iterator[None]:
    """Inside, the head returns the log-probabilities [N] of the batch's targets in place of its scores.

    It is still called where the model calls it: there every wrapper has gathered its weights.
    """
    head = _bare(model).get_submodule(family.facts.head)
    assert head.bias is None, "no family has a head with a bias"
    before = vars(head).get("forward")

    def scored(hidden: Tensor) -> Tensor:
        return logprobs_at(hidden.flatten(0, -2)[batch.which], head.weight, batch.targets)

    head.forward = scored
    try:
        yield
    finally:
        del head.forward
        if before is not None:
            head.forward = before


def _bare(model: Any) -> Any:
    """The transformers model inside wrappers."""
    inside = model.module if isinstance(model, DistributedDataParallel) else model
    return inside.get_base_model() if isinstance(inside, PeftModel) else inside
