"""Encoders of pictures from weights on this machine: what is opened, and its identity, found without torch."""

from __future__ import annotations

from spavl.config.models import LocalSpec
from spavl.errors import MissingExtra, ModelError
from spavl.models.backends.device import choose_device
from spavl.models.encoder import ImageEncoder
from spavl.models.identity import Checkpoint, find_checkpoint, local_identity
from spavl.threads import let_waiting_threads_sleep


def open_encoder(path: str, *, device: str = "auto", batch_size: int = 32) -> ImageEncoder:
    """The encoder of a checkpoint: a dual encoder (CLIP, SigLIP), a vision model, or a vision-language model's tower.

    A dual encoder gives its own picture and text features; a vision model (DINOv2, ViT) its pooled output, or the mean
    of its patches where it pools none; a vision-language model the mean of its patches. All compute in float32, so that
    vectors of one machine serve on another.

    Args:
        path: a checkpoint folder, a Hub id, or `miniworld:base`; only safetensors weights are read, and no code of the
            checkpoint is run.
        device: `auto` for the best there is, or the name of a torch device.
        batch_size: pictures in one forward pass; halved when memory runs out.

    Raises:
        MissingExtra: torch or another package of the extra `local` is not installed.
        ModelError: there is no such checkpoint, it is damaged or incomplete, or it encodes no pictures.
    """
    checkpoint, identity = _identified(path)
    let_waiting_threads_sleep()
    try:
        from spavl.models.backends.local_towers import TowerEncoder, load_tower
    except ImportError as missing:
        raise MissingExtra(
            f"Encoders of pictures need packages that are not installed: {missing}.", try_="pip install 'spavl[local]'"
        ) from missing
    tower = load_tower(checkpoint.folder, choose_device(device))
    return TowerEncoder(tower, identity=identity, batch_size=batch_size)


def encoder_identity(path: str) -> str:
    """Identity of the encoder of a checkpoint, as `open_encoder` gives it, without loading it.

    Args:
        path: a checkpoint folder, a Hub id, or `miniworld:base`.

    Raises:
        ModelError: there is no such checkpoint, or it is an adapter.
        MissingExtra: it would have to be downloaded, and torch is not installed.
    """
    return _identified(path)[1]


def _identified(path: str) -> tuple[Checkpoint, str]:
    spec = LocalSpec(name="encoder", path=path, dtype="float32")
    checkpoint = find_checkpoint(spec)
    if checkpoint.adapter is not None:
        raise ModelError(
            "An adapter is no encoder of pictures.", where=path, try_=f"Name its base model: {checkpoint.folder}"
        )
    return checkpoint, f"encoder-{local_identity(spec, checkpoint)}"
