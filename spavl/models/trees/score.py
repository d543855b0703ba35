"""Running a model on packed trees: log-probabilities of answers, hidden states at chosen tokens.

Everything goes through the stock `forward` of the (wrapped, adapted, checkpointed) model, so that DDP, FSDP, peft and
gradient checkpointing see an ordinary call; logits are computed only for tokens that predict a scored token.

    model, processor = AutoModelForImageTextToText.from_pretrained(path), load_processor(path)
    family = family_of(model, processor)
    trees = [pack_tree(tree, family) for tree in build_trees(rows, by="picture")]
    for indices in batch_by_tokens([len(tree) for tree in trees], token_budget=8192):
        batch = collate([trees[i] for i in indices], family)
        scores = answer_logprobs(model, batch, family)
        chosen, rejected = scores.sums[batch.pairs()].unbind(1)

Shapes: B, S, A, N and flat indices as in `spavl.models.trees.batch`; BS = B × S tokens of all rows, D features of a
hidden state, K chosen tokens.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from spavl.models.families import Family
from spavl.models.trees.batch import TreeBatch
from spavl.models.trees.lm_head import logprobs_at
from spavl.models.trees.tower import gives_back, unwrapped


@dataclass(frozen=True)
class Scores:
    """Log-probabilities of a batch's answers."""

    logprobs: Float[Tensor, " N"]
    """Log-probability of every scored token, float32."""
    sums: Float[Tensor, " A"]
    """Their sum over each answer."""
    lengths: Int[Tensor, " A"]
    """Scored tokens of each answer, its end token included."""
    hidden: Float[Tensor, "BS D"] | None = None
    """Last hidden states by flat index; None unless asked for."""


def answer_logprobs(
    model: Any, batch: TreeBatch, family: Family, *, features: Any = None, hidden: bool = False
) -> Scores:
    """Log-probabilities of all answers, differentiable in every trained parameter.

    Args:
        model: the model, wrapped or not.
        batch: on the model's device.
        family: the model's family.
        features: the batch's pictures already encoded by `image_features`; None: every distinct one is encoded now.
        hidden: also return the last hidden states.
    """

    def target_logprobs(head: Any, states: Tensor) -> Tensor:
        return logprobs_at(states[batch.predictor], head.weight, batch.targets)

    with _last_hidden(model, hidden) as caught, _head_computes(model, family, target_logprobs):
        logprobs = forward(model, batch, family, features, batch.predicting).logits
    return Scores(
        logprobs=logprobs,
        sums=logprobs.new_zeros(batch.answers).index_add(0, batch.owner, logprobs),
        lengths=torch.bincount(batch.owner, minlength=batch.answers),
        hidden=caught[0].flatten(0, 1) if hidden else None,
    )


def hidden_at(
    model: Any, batch: TreeBatch, family: Family, at: Int[Tensor, " K"], *, features: Any = None
) -> Float[Tensor, "K D"]:
    """Last hidden states of chosen tokens; no logits are computed.

    Args:
        model: the model, wrapped or not.
        batch: on the model's device.
        family: the model's family.
        at: flat indices, such as `batch.last` (rewards) or `batch.scored` (values).
        features: the batch's pictures already encoded by `image_features`; None: every distinct one is encoded now.
    """
    nothing = torch.zeros_like(batch.ids, dtype=torch.bool)
    with _last_hidden(model, True) as caught:
        forward(model, batch, family, features, nothing)
    return caught[0].flatten(0, 1)[at]


def scalars_at(
    model: Any, batch: TreeBatch, family: Family, at: Int[Tensor, " K"], scalar_head: nn.Linear
) -> Float[Tensor, " K"]:
    """What a scalar head makes of the last hidden states of chosen tokens, float32, as the output of the model's call.

    Wrappers for several devices follow gradients from the output of the call, so a head in training has to be called
    inside it, and has to be one of the model's modules.

    Args:
        model: the model, wrapped or not.
        batch: on the model's device.
        family: the model's family.
        at: flat indices, such as `batch.last`.
        scalar_head: hidden → 1, float32.
    """
    distinct, which = at.unique(return_inverse=True)
    keep = torch.zeros(batch.ids.numel(), dtype=torch.bool, device=batch.ids.device)
    keep[distinct] = True

    def scalars(_: Any, states: Tensor) -> Tensor:
        with torch.autocast(states.device.type, enabled=False):
            return scalar_head(states[which].float()).squeeze(-1)

    with _head_computes(model, family, scalars):
        values: Tensor = forward(model, batch, family, None, keep.view_as(batch.ids)).logits
    return values


def image_features(model: Any, batch: TreeBatch, family: Family) -> Any:
    """The batch's distinct pictures after vision tower and projector, to be given as `features` to several passes.

    None where the batch shows no picture at all; the tower is not called then, in any pass.

    Only for passes between which neither tower nor projector differs: policy and reference where both are frozen.

    Args:
        model: the model, wrapped or not.
        batch: on the model's device.
        family: the model's family.
    """
    if not batch.pixels:
        return None
    with _encoded(model, batch, family):
        return unwrapped(model).get_image_features(**batch.pixels, return_dict=True)


def forward(
    model: Any, batch: TreeBatch, family: Family, features: Any, keep: Bool[Tensor, "B S"], *, cache: Any = None
) -> Any:
    """The model's own output on a batch, its logits only for chosen tokens.

    Args:
        model: the model, wrapped or not.
        batch: on the model's device.
        family: the model's family.
        features: the batch's pictures already encoded by `image_features`; None: every distinct one is encoded now.
        keep: true on the tokens whose logits are computed; they come flat, in order.
        cache: an empty transformers cache, to be filled with the keys and values of all tokens; None: no cache.
    """
    with _encoded(model, batch, family), _image_arguments(model, batch, family, features) as images:
        return model(
            input_ids=batch.ids,
            **_attention(batch, family, unwrapped(model).dtype),
            **images,
            logits_to_keep=keep,
            use_cache=cache is not None,
            past_key_values=cache,
        )


def _encoded(model: Any, batch: TreeBatch, family: Family) -> AbstractContextManager[None]:
    """What makes the tower give back the features of a batch that holds such; nothing for one of pixels."""
    return gives_back(model, family) if batch.encoded else nullcontext()


def _attention(batch: TreeBatch, family: Family, dtype: torch.dtype) -> dict[str, Any]:
    """The model's arguments for mask and positions: ours for trees; of separate sequences the padding mask alone."""
    if batch.packing == "separate":
        place = torch.arange(batch.ids.shape[1], device=batch.ids.device)
        inputs = {"attention_mask": (place < batch.lengths[:, None]).long()}
        if family.facts.token_types:
            inputs[family.facts.token_types] = (batch.ids == family.image_token_id).long()
        return inputs
    masks = {kind: batch.mask(family.attention, dtype, window) for kind, window in family.masks.items()}
    inputs = {"attention_mask": masks.get("", masks), "position_ids": batch.positions}
    if family.attention == "tree":
        causal = batch.picture_index is None and not any(family.masks.values())
        inputs["tree"] = batch.attention_blocks(causal_prefix=causal, uniform=batch.ids.is_cuda)
    return inputs


@contextmanager
def _image_arguments(model: Any, batch: TreeBatch, family: Family, features: Any) -> Iterator[dict[str, Any]]:
    """The model's arguments for pictures; one that several rows show is encoded once.

    That happens inside the call, by a hook of the innermost model: there every wrapper has already gathered the weights
    that it shards.
    """
    if batch.occurrences.tolist() == list(range(len(batch.picture_tokens))):
        yield dict(batch.pixels) if features is None else {"mm_encoder_outputs": {"image": features}}
        return

    def encode(module: Any, args: Any, kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        distinct = module.get_image_features(**batch.pixels, return_dict=True) if features is None else features
        return args, {**kwargs, "mm_encoder_outputs": {"image": _in_reading_order(distinct, batch)}}

    grid = family.facts.positions == "grid"
    hook = unwrapped(model).register_forward_pre_hook(encode, with_kwargs=True)
    try:
        yield {"image_grid_thw": batch.pixels["image_grid_thw"][batch.occurrences]} if grid else {}
    finally:
        hook.remove()


def _in_reading_order(distinct: Any, batch: TreeBatch) -> Any:
    """Features of distinct pictures repeated and ordered as the rows show them. Leaves `distinct` as it is."""

    def order(features: Any) -> Any:
        flat = features.flatten(0, -2) if isinstance(features, Tensor) else torch.cat(tuple(features))
        each = flat.split(batch.picture_tokens)
        chosen = [each[index] for index in batch.occurrences.tolist()]
        return torch.cat(chosen) if isinstance(features, Tensor) else chosen

    parts = {"pooler_output": order(distinct.pooler_output)}
    if "deepstack_features" in distinct:
        parts["deepstack_features"] = [order(layer) for layer in distinct.deepstack_features]
    return type(distinct)(**{**distinct, **parts})


@contextmanager
def _last_hidden(model: Any, wanted: bool) -> Iterator[list[Tensor]]:
    """A list that a call of the model fills with its last hidden states [B, S, D], if they are wanted."""
    caught: list[Tensor] = []
    if not wanted:
        yield caught
        return
    hook = unwrapped(model).model.register_forward_hook(lambda _, __, output: caught.append(output.last_hidden_state))
    try:
        yield caught
    finally:
        hook.remove()


@contextmanager
def _head_computes(model: Any, family: Family, compute: Callable[[Any, Tensor], Tensor]) -> Iterator[None]:
    """Meanwhile the head returns what `compute` makes of it and of hidden states [n, D], in place of logits.

    It is still called where the model calls it: there every wrapper has gathered its weights.
    """
    head = unwrapped(model).get_submodule(family.facts.head)
    assert head.bias is None, "no family has a head with a bias"
    before = vars(head).get("forward")
    head.forward = lambda hidden: compute(head, hidden.flatten(0, -2))
    try:
        yield
    finally:
        del head.forward
        if before is not None:
            head.forward = before
