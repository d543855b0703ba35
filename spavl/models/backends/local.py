"""The backend of kind `local`: weights on this machine, any transformers image-text-to-text checkpoint, batched.

Here are identity, lazy loading and what is done when memory runs out, without torch, so that stored answers can be
found without it; `local_vlm` holds what needs torch.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

from spavl.config.models import LocalSpec
from spavl.errors import MissingExtra, ModelError
from spavl.models.backends.device import choose_device, choose_dtype
from spavl.models.base import Reply, Request, failed_reply
from spavl.models.identity import Checkpoint, file_stamp, find_checkpoint, local_identity
from spavl.threads import let_waiting_threads_sleep

if TYPE_CHECKING:
    from spavl.models.backends.local_vlm import VLM


@final
class LocalModel:
    """A BatchModel over a checkpoint, loaded at the first `generate`, freed by `close`, and loaded again when needed.

    Answers are a function of the request alone (greedy, or Gumbel noise seeded from its key), up to rounding: where
    the logits of two tokens are within rounding of each other, another batch shape may choose the other one. That is
    about once in a million tokens in float32, and a stored answer is never generated again.

    Args:
        spec: the settings entry.
    """

    def __init__(self, spec: LocalSpec) -> None:
        self.name = spec.name
        self.batch_size = spec.batch_size
        self._spec = spec
        self._fitting_batch = spec.batch_size
        self._vlm: VLM | None = None
        self._stamp: object = None

    @cached_property
    def checkpoint(self) -> Checkpoint:
        """Where the weights lie; ModelError if there are none."""
        return find_checkpoint(self._spec)

    @cached_property
    def identity(self) -> str:
        """Hash of everything its answers depend on; reads the weights once."""
        self._stamp = file_stamp(self.checkpoint)
        return local_identity(self._spec, self.checkpoint)

    @cached_property
    def device(self) -> str:
        """Name of the torch device: `cpu`, `cuda`, `cuda:1`, `mps`."""
        return choose_device(self._spec.device)

    @cached_property
    def dtype(self) -> str:
        """Name of the torch dtype of the weights: `float32`, `bfloat16` or `float16`."""
        return choose_dtype(self._spec.dtype, self.device)

    @property
    def fits(self) -> int:
        """Requests that fit into memory at once: `batch_size`, or less after memory ran out."""
        return self._fitting_batch

    def generate(self, requests: Sequence[Request]) -> list[Reply]:
        """One reply a request, in order. When memory runs out, the batch is halved and the work goes on.

        Args:
            requests: any number of them; they are split into batches that fit into memory.
        """
        replies: list[Reply] = []
        while len(replies) < len(requests):
            batch = whole_groups(requests[len(replies) :], self._fitting_batch)
            start = time.monotonic()
            try:
                answers = self._loaded().answer(batch)
            except self._loaded().out_of_memory as error:
                self._loaded().free_cache()
                if len(batch) > 1:
                    self._fitting_batch = max(1, len(batch) // 2)
                    continue
                answers = [failed_reply(f"out of memory: {error}")]
            share = (time.monotonic() - start) / len(batch)
            replies += [replace(answer, latency=share) for answer in answers]
        return replies

    def close(self) -> None:
        """Free the weights."""
        if self._vlm is not None:
            self._vlm.free()
            self._vlm = None

    def _loaded(self) -> VLM:
        if self._vlm is None:
            model, processor = load_vlm(
                self.checkpoint.folder,
                self.dtype,
                self.device,
                adapter=self.checkpoint.adapter,
                quantisation=self._spec.quantisation,
                trust_remote_code=self._spec.trust_remote_code,
            )
            self._check_unchanged()
            from spavl.models.backends.local_vlm import VLM, tree_family

            as_shipped = self._spec.quantisation == "none" and not self._spec.trust_remote_code
            family = tree_family(model, processor) if as_shipped else None
            self._vlm = VLM(model, processor, self._spec.system, family, max_pixels=self._spec.max_pixels)
        return self._vlm

    def _check_unchanged(self) -> None:
        """Answers of new weights must not be stored under the identity of the old ones."""
        if self._stamp is not None and self._stamp != file_stamp(self.checkpoint):
            raise ModelError(
                f"The checkpoint of `{self.name}` was changed while it was in use.",
                where=str(self.checkpoint.folder),
                try_="Wait until nothing writes there, and run again.",
            )


def whole_groups(requests: Sequence[Request], most: int) -> Sequence[Request]:
    """The first requests, cut where the pictures change if there is such a place, so that each is encoded once.

    Args:
        requests: those that are left.
        most: how many at most.
    """
    if len(requests) <= most:
        return requests
    pictures = [request.prompt.pictures for request in requests[: most + 1]]
    return requests[: next((cut for cut in range(most, 0, -1) if pictures[cut] != pictures[cut - 1]), most)]


def load_vlm(
    folder: Path | str,
    dtype: str = "auto",
    device: str = "auto",
    *,
    adapter: Path | str | None = None,
    quantisation: str = "none",
    trust_remote_code: bool = False,
) -> tuple[Any, Any]:
    """The model, in eval mode, and the processor, padding on the left, of a checkpoint folder.

    Args:
        folder: the checkpoint; only safetensors weights are read.
        dtype: `auto` (see `choose_dtype`), `float32`, `bfloat16` or `float16`.
        device: `auto` (see `choose_device`) or the name of a torch device.
        adapter: a peft adapter folder, merged into the weights. None: no adapter.
        quantisation: `none`, `8bit` or `4bit`, of the language model; needs bitsandbytes.
        trust_remote_code: run Python code that comes with the checkpoint.

    Raises:
        MissingExtra: torch or another package of the extra `local` is not installed.
        ModelError: the folder is missing, damaged or incomplete, or there is no such device.
    """
    let_waiting_threads_sleep()
    try:
        from spavl.models.backends import local_vlm
    except ImportError as missing:
        raise MissingExtra(
            f"Models of kind `local` need packages that are not installed: {missing}.",
            try_="pip install 'spavl[local]'",
        ) from missing
    device = choose_device(device)
    return local_vlm.load(
        Path(folder),
        local_vlm.LoadOptions(choose_dtype(dtype, device), device, quantisation, trust_remote_code),
        Path(adapter) if adapter is not None else None,
    )
