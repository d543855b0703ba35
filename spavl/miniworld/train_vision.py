"""The vision tower of the mini VLMs: a small CLIP encoder, trained to classify things and cues, then frozen.

Trained jointly with the language model, the tower stays blind; as a classifier it learns within minutes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import CLIPVisionConfig, CLIPVisionModel
from typing_extensions import override

from spavl.miniworld.pictures import SIZE, draw
from spavl.miniworld.world import CUES, Scene, kinds, scenes

MEAN = (0.5, 0.5, 0.5)
STD = (0.25, 0.25, 0.25)
"""Mean and standard deviation of every colour channel, by which pictures are normalised."""


@dataclass(frozen=True, slots=True)
class LabelledPictures:
    """Pictures with the labels that the classifier learns."""

    pixels: UInt8[Tensor, "N 3 H W"]
    """RGB values."""
    thing: Int[Tensor, " N"]
    """Place of the thing in the taxonomy."""
    cues: Float[Tensor, "N C"]
    """1 for every cue that is in the picture, else 0."""
    danger: Float[Tensor, " N"]
    """1 for a dangerous picture, else 0."""


def label_scenes(shown: list[Scene]) -> LabelledPictures:
    """Draw scenes and label them.

    Args:
        shown: the scenes, one a picture.
    """
    things = [kind.thing for kind in kinds().values()]
    pixels = np.stack([np.asarray(draw(scene)) for scene in shown]).transpose(0, 3, 1, 2)
    return LabelledPictures(
        torch.from_numpy(np.ascontiguousarray(pixels)),
        torch.tensor([things.index(scene.kind.thing) for scene in shown]),
        torch.tensor([[float(cue in scene.cues) for cue in CUES] for scene in shown]),
        torch.tensor([float(scene.dangerous) for scene in shown]),
    )


def normalise(pixels: UInt8[Tensor, "N 3 H W"]) -> Float[Tensor, "N 3 H W"]:
    """Pixels as the image processor of the checkpoint normalises them.

    Args:
        pixels: RGB values.
    """
    shape = (1, 3, 1, 1)
    return (pixels.float() / 255 - torch.tensor(MEAN).view(shape)) / torch.tensor(STD).view(shape)


class Classifier(nn.Module):  # type: ignore[misc]
    """A vision tower with three linear heads on the mean of its patch tokens; the heads serve training only.

    Args:
        tower: the tower to train.
    """

    def __init__(self, tower: CLIPVisionModel) -> None:
        super().__init__()
        self.tower = tower
        width = tower.config.hidden_size
        self.norm = nn.LayerNorm(width)
        self.heads = nn.Linear(width, len(kinds()) + len(CUES) + 1)

    @override
    def forward(
        self, pixels: Float[Tensor, "N 3 H W"]
    ) -> tuple[Float[Tensor, "N K"], Float[Tensor, "N C"], Float[Tensor, " N"]]:
        """Logits of the thing among K, of every one of C cues, and of danger."""
        hidden = self.tower(pixel_values=pixels).last_hidden_state[:, 1:]
        thing, cues, danger = self.heads(self.norm(hidden).mean(1)).split([len(kinds()), len(CUES), 1], dim=1)
        return thing, cues, danger.squeeze(1)


def new_tower() -> CLIPVisionModel:
    """An untrained tower: 36 patches of 8 x 8 pixels."""
    config = CLIPVisionConfig(
        hidden_size=96,
        intermediate_size=192,
        num_hidden_layers=3,
        num_attention_heads=4,
        image_size=SIZE,
        patch_size=8,
        projection_dim=96,
        initializer_factor=1.0,
    )
    return CLIPVisionModel(config)


def train_tower(steps: int, *, seed: int = 0, per_subcategory: int = 800, batch: int = 192) -> Classifier:
    """A trained classifier, its parameters frozen; its `tower` becomes the vision tower of the mini VLMs.

    It is trained on every subcategory, the held-out ones too: those are held out of alignment only.

    Args:
        steps: optimiser steps.
        seed: of the pictures, the weights and the batches.
        per_subcategory: training pictures of every subcategory.
        batch: pictures of a step.
    """
    torch.manual_seed(seed)
    data = label_scenes(scenes("vision", seed, per_subcategory, benign_share=0.5))
    model = Classifier(new_tower())
    optimiser = torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, max_lr=2e-3, total_steps=steps, pct_start=0.1)
    model.train()
    for rows in _batches(len(data.thing), batch, steps, seed):
        thing, cues, danger = model(normalise(data.pixels[rows]))
        loss = F.cross_entropy(thing, data.thing[rows])
        loss = loss + 2 * F.binary_cross_entropy_with_logits(cues, data.cues[rows])
        loss = loss + 2 * F.binary_cross_entropy_with_logits(danger, data.danger[rows])
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        optimiser.zero_grad()
    model.eval().requires_grad_(False)
    return model


def _batches(rows: int, batch: int, steps: int, seed: int) -> Iterator[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    for _ in range(steps):
        yield torch.randint(rows, (batch,), generator=generator)


@torch.no_grad()  # type: ignore[untyped-decorator]
def accuracy(model: Classifier, data: LabelledPictures) -> dict[str, float]:
    """Share of pictures whose thing, whole set of cues, and danger the heads classify rightly.

    Args:
        model: in evaluation mode.
        data: fresh pictures.
    """
    thing, cues, danger = model(normalise(data.pixels))
    return {
        "thing": (thing.argmax(1) == data.thing).float().mean().item(),
        "cues": ((cues > 0) == data.cues.bool()).all(1).float().mean().item(),
        "danger": ((danger > 0) == data.danger.bool()).float().mean().item(),
    }
