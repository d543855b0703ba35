"""What a frozen vision tower gives for a picture: to be kept, and given back to the model in place of running it.

It is what the projector reads, so the projector may be trained. `encode` gives it in the form of the tower's inputs, so
that it is kept, collated and moved as they are; `gives_back` answers the tower's call with it while a batch of such
pictures goes through the model's own code.

Shapes: N tiles of a picture (what the tower sees as pictures), T tokens of a tile, D features of a token, P patches.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import PIL
import torch
import transformers
from jaxtyping import Float
from peft import PeftModel
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from transformers.modeling_outputs import BaseModelOutputWithPooling
from transformers.vision_utils import get_vision_window_index

import spavl
from spavl.models.families import Family

PIXELS, MASK = "pixel_values", "pixel_attention_mask"
"""Arguments of the model: a picture's pixels, in whose place its features stand, and which of them are no padding."""
INSIDE = ("inside the tower", "windows")
"""Families whose projector is a part of the tower."""


@dataclass
class TowerOutput(BaseModelOutputWithPooling):  # type: ignore[misc]
    """What a tower's call gives, with the features of several levels where a family has them (Qwen3-VL)."""

    deepstack_features: list[Tensor] | None = None
    """Of every level, after its own projector."""


def unwrapped(model: Any) -> Any:
    """The transformers model inside the wrappers of peft and DDP.

    Args:
        model: the model, wrapped or not.
    """
    inside = model.module if isinstance(model, DistributedDataParallel) else model
    return inside.get_base_model() if isinstance(inside, PeftModel) else inside


@torch.no_grad()  # type: ignore[untyped-decorator]
def encode(model: Any, family: Family, pixels: Mapping[str, Any]) -> dict[str, Tensor]:
    """What the tower gives for pictures, in the form of its inputs: its features stand in place of the pixels.

    Args:
        model: the model, wrapped or not.
        family: its family, whose `facts.projector_reads` is known.
        pixels: from `Family.pixels`, of one picture, on the model's device.
    """
    inside = unwrapped(model)
    caught: list[Tensor] = []
    with ExitStack() as stack:
        if family.facts.projector_reads in INSIDE:
            for module in _projectors(inside, family):
                hook = module.register_forward_pre_hook(lambda _, given: caught.append(given[0]))
                stack.callback(hook.remove)
        else:
            hook = _tower(inside, family).register_forward_hook(
                lambda _, __, output: caught.extend(_read_of(output, inside.config, family))
            )
            stack.callback(hook.remove)
        inside.get_image_features(**pixels, return_dict=True)
    if family.facts.projector_reads in INSIDE:
        levels = [_in_place(level, inside.config, family, pixels) for level in _deepest_last(caught)]
        return {**pixels, PIXELS: torch.cat(levels, -1)}
    features = torch.cat(caught, -1)[:, None]
    tiled = pixels[PIXELS].dim() == 5
    mask = {MASK: _whole_mask(inside.config, features, tiled=tiled)} if MASK in pixels else {}
    return {**pixels, PIXELS: features[None] if tiled else features, **mask}


@contextmanager
def gives_back(model: Any, family: Family) -> Iterator[None]:
    """While the context holds, the tower gives back what it is given: features from `encode`, as its own output.

    Args:
        model: the model, wrapped or not.
        family: its family.
    """
    inside = unwrapped(model)
    tower = _tower(inside, family)
    before = vars(tower).get("forward")
    as_output = _inside_output if family.facts.projector_reads in INSIDE else _plain_output
    tower.forward = lambda *given, pixel_values=None, **_: as_output(
        given[0] if pixel_values is None else pixel_values, inside, family
    )
    try:
        yield
    finally:
        del tower.forward
        if before is not None:
            tower.forward = before


def tower_fingerprint(model: Any, family: Family, dtype: str) -> str:
    """Hash of everything that the tower's features of a picture depend on, beside the picture.

    Weights and settings of the tower, which layers are read, the picture processor, the largest picture, the number
    format, the kind of device, and the versions of what opens, prepares and encodes pictures. Models that share a tower
    share it, whatever stands behind the projector.

    Args:
        model: the model, wrapped or not.
        family: its family.
        dtype: number format of the arithmetic.
    """
    inside = unwrapped(model)
    tower, owned = _tower(inside, family), [id(one) for one in _projectors(inside, family)]
    behind = {id(weight) for module in tower.modules() if id(module) in owned for weight in module.parameters()}
    digest = hashlib.blake2b(digest_size=16)
    form = [
        family.facts.name,
        family.facts.projector_reads,
        _layers(inside.config, family),
        inside.config.vision_config.to_dict(),
        family.processor.image_processor.to_dict(),
        family.max_pixels,
        dtype,
        next(tower.parameters()).device.type,
        [spavl.__version__, torch.__version__, transformers.__version__, PIL.__version__],
    ]
    digest.update(json.dumps(form, sort_keys=True, default=str).encode())
    for name, weight in [*tower.named_parameters(), *tower.named_buffers()]:
        if id(weight) not in behind:
            digest.update(f"{name} {weight.dtype} {tuple(weight.shape)}".encode())
            digest.update(weight.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
    return digest.hexdigest()


def _tower(inside: Any, family: Family) -> Any:
    return inside.get_submodule(family.facts.vision[0])


def _projectors(inside: Any, family: Family) -> list[Any]:
    """The projector's modules in order; a bare parameter among its parts is none."""
    modules = dict(inside.named_modules())
    return [modules[name] for name in family.facts.projector if isinstance(modules.get(name), nn.Module)]


def _layers(config: Any, family: Family) -> list[int]:
    """The layers that the projector reads, as the configuration names them; none where it reads no layer."""
    if family.facts.projector_reads not in ("layers", "last layer"):
        return []
    chosen = config.vision_feature_layer
    return [chosen] if isinstance(chosen, int) else list(chosen)


def _read_of(output: Any, config: Any, family: Family) -> list[Tensor]:
    """What the projector reads of a tower's output, each [N, T, D]."""
    layers = _layers(config, family)
    if not layers or (layers == [-1] and family.facts.projector_reads == "last layer"):
        return [output.last_hidden_state]
    return [output.hidden_states[layer] for layer in layers]


def _plain_output(features: Float[Tensor, "N 1 T D"], inside: Any, family: Family) -> TowerOutput:
    """Features as the output of a tower before the projector."""
    plain = features.squeeze(1)
    layers = _layers(inside.config, family)
    depth = int(inside.config.vision_config.num_hidden_layers) + 1
    states: list[Tensor | None] = [None] * depth
    for layer, part in zip(layers, plain.chunk(max(len(layers), 1), -1), strict=False):
        states[layer] = part
    return TowerOutput(last_hidden_state=plain, hidden_states=tuple(states))


def _inside_output(features: Float[Tensor, "P D"], inside: Any, family: Family) -> TowerOutput:
    """Features as the output of a tower that holds the projector: its modules run on them."""
    merger, *deeper = _projectors(inside, family)
    last, *levels = (level.contiguous() for level in features.chunk(1 + len(deeper), -1))
    deepstack = [module(level) for module, level in zip(deeper, levels, strict=True)]
    return TowerOutput(last_hidden_state=last, pooler_output=merger(last), deepstack_features=deepstack or None)


def _deepest_last(caught: list[Tensor]) -> list[Tensor]:
    """What the projector's modules were given in the order of the modules: the last one called is the first of them."""
    return [caught[-1], *caught[:-1]]


def _in_place(features: Float[Tensor, "P D"], config: Any, family: Family, pixels: Mapping[str, Tensor]) -> Tensor:
    """Features in the order of the picture's patches, where the tower orders them by its windows."""
    if family.facts.projector_reads != "windows":
        return features
    vision = config.vision_config
    order, _ = get_vision_window_index(
        pixels["image_grid_thw"], vision.spatial_merge_size, vision.window_size, vision.patch_size
    )
    blocks = features.unflatten(0, (-1, vision.spatial_merge_size**2))
    return blocks[order.to(features.device).argsort()].flatten(0, 1)


def _whole_mask(config: Any, features: Float[Tensor, "N 1 T D"], *, tiled: bool) -> Tensor:
    """A small mask without padding: what was padding of a picture is in its features already."""
    side = int(config.vision_config.patch_size)
    mask = torch.ones(len(features), side, side, dtype=torch.int64, device=features.device)
    return mask[None] if tiled else mask
