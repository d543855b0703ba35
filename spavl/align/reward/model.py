"""A reward model: a vision-language model with one number read off the last token of an answer.

    model = RewardModel.load("runs/first/align/reward")
    model.score(images=["cup.png"], questions=["What is this?"], answers=["A cup."])     # tensor([0.41])

Its folder holds `reward.json` (what it is and what it was measured at), `head.safetensors` (the linear head), and
either `adapter/` (peft, on the base that `reward.json` names) or `checkpoint/` (all weights, where some were trained
in place).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from spavl.config.models import LocalSpec
from spavl.errors import DataError, ModelError
from spavl.models.backends.local import load_vlm
from spavl.models.families import Family, family_of
from spavl.models.identity import Checkpoint, find_checkpoint, identity_of
from spavl.models.trees.batch import Packing, TreeBatch, collate
from spavl.models.trees.pack import Row, batch_by_tokens, build_trees, pack_tree
from spavl.models.trees.score import hidden_at
from spavl.pictures import Picture

FORMAT = 1
CARD, HEAD, ADAPTER_FOLDER, WHOLE_FOLDER = "reward.json", "head.safetensors", "adapter", "checkpoint"

AnyImage = Image.Image | bytes | str | Path


@final
@dataclass(frozen=True, eq=False)
class ScalarHead:
    """Reads a number off hidden states: an answer's reward at its last token, or the value of any moment."""

    model: Any
    """A transformers model, or a peft model around one."""
    adapter: str | None
    """Adapter worn while reading. None: the model is read as it is."""
    head: nn.Linear
    """hidden → 1, without bias, float32."""
    family: Family
    compute: torch.dtype = torch.float32
    """Arithmetic of the model; the head's is float32."""
    home: str | None = None
    """Adapter in training that the model wears otherwise, and is given back."""
    packing: Packing = "tree"

    def read(self, batch: TreeBatch, at: Tensor, *, features: Any = None, train: bool = False) -> Tensor:
        """[len(at)] numbers at flat places of the batch, float32. Gradients reach adapter and head if `train`."""
        with self.active_adapter(train), autocast_to(batch.ids.device, self.compute), torch.set_grad_enabled(train):
            hidden = hidden_at(self.model, batch, self.family, at, features=features)
            with torch.autocast(batch.ids.device.type, enabled=False):
                return self.head(hidden.float()).squeeze(-1)

    @contextmanager
    def active_adapter(self, train: bool = False) -> Iterator[None]:
        """Inside, the model wears this adapter."""
        if self.adapter is not None:
            self.model.set_adapter(self.adapter, inference_mode=not train)
        try:
            yield
        finally:
            if self.home is not None:
                self.model.set_adapter(self.home)

    def weights(self) -> dict[str, Tensor]:
        """Its own weights by name: the head's, and the adapter's; without an adapter, those that take gradients."""
        named = self.model.named_parameters()
        if self.adapter is None:
            own = {name: weight for name, weight in named if weight.requires_grad}
        else:
            own = {name: weight for name, weight in named if f".{self.adapter}." in name}
        return {**own, "head": self.head.weight}


@final
@dataclass(frozen=True, eq=False)
class RewardModel:
    """A trained reward model, opened."""

    reader: ScalarHead
    card: dict[str, Any]
    """What `reward.json` says."""

    @classmethod
    def load(cls, folder: str | Path, *, device: str = "auto", dtype: str = "auto") -> RewardModel:
        """Open a folder that `train_reward` wrote. `dtype` is that of the frozen weights.

        Raises ModelError where it is no reward model, or its base is not the one it was trained on.
        """
        from peft import PeftModel

        folder = Path(folder)
        card = read_card(folder)
        whole = (folder / WHOLE_FOLDER).is_dir()
        source = Checkpoint(folder / WHOLE_FOLDER) if whole else base_of(folder, card)
        model, processor = load_vlm(source.folder, dtype, device, adapter=source.adapter)
        family = family_of(model, processor)
        if not whole:
            model = PeftModel.from_pretrained(model, folder / ADAPTER_FOLDER, adapter_name="reward")
        model.eval().requires_grad_(False)
        head = load_head(folder).to(next(model.parameters()).device)
        return cls(ScalarHead(model, None if whole else "reward", head, family, packing=card["packing"]), card)

    def score(
        self,
        images: Sequence[AnyImage],
        questions: Sequence[str],
        answers: Sequence[str],
        *,
        token_budget: int = 16384,
    ) -> Tensor:
        """[n] reward of every answer to its question about its picture, float32, on the CPU.

        Answers about one picture share its tokens. Raises DataError where a picture cannot be read or is missing.
        """
        rows = [
            Row(str(number), question, (answer,), (_picture(image),))
            for number, (image, question, answer) in enumerate(zip(images, questions, answers, strict=True))
        ]
        family, rewards = self.reader.family, torch.zeros(len(rows))
        trees = [pack_tree(tree, family) for tree in build_trees(rows, "picture")]
        for indices in batch_by_tokens([len(tree) for tree in trees], token_budget):
            batch = collate([trees[i] for i in indices], family, self.reader.packing).to(self.reader.head.weight.device)
            read = self.reader.read(batch, batch.last).cpu()
            for name, (answer,) in batch.rows:
                rewards[int(name)] = read[answer]
        return rewards


def to_trl_reward(model: RewardModel) -> Callable[..., list[float]]:
    """The model as a reward function for TRL's GRPO and RLOO trainers, which hand a model nothing but text.

    The dataset needs conversational prompts and an `image` or `images` column; the last user turn is the question.
    """

    def spavl_reward(prompts: Sequence[Any], completions: Sequence[Any], **columns: Any) -> list[float]:
        images = columns.get("images") or columns.get("image")
        if images is None:
            raise DataError("the reward needs the pictures", try_="a dataset with an `image` or `images` column")
        first = [image[0] if isinstance(image, (list, tuple)) else image for image in images]
        questions = [_words(next(turn for turn in reversed(p) if turn["role"] == "user")) for p in prompts]
        return [float(r) for r in model.score(first, questions, [_words(c[-1]) for c in completions])]

    return spavl_reward


def new_head(hidden: int, seed: int = 0) -> nn.Linear:
    """An untrained head, normal with deviation 1 / sqrt(hidden + 1) as in arXiv 2009.01325."""
    drawn = torch.randn(1, hidden, generator=torch.Generator().manual_seed(seed))
    return _head(drawn / (hidden + 1) ** 0.5)


def _head(weight: Tensor) -> nn.Linear:
    head = nn.utils.skip_init(nn.Linear, weight.shape[1], 1, bias=False, dtype=torch.float32)
    head.weight.data = weight.float()
    return head


def save_head(folder: Path, weight: Tensor, card: dict[str, Any]) -> None:
    """Write head and card of a reward model, whose adapter or checkpoint is already in the folder."""
    save_file({"weight": weight.detach().cpu().contiguous()}, folder / HEAD)
    text = json.dumps({"format": FORMAT, **card}, indent=1, ensure_ascii=False)
    (folder / CARD).write_text(text + "\n", encoding="utf-8")


def load_head(folder: Path) -> nn.Linear:
    """The linear head of a reward model's folder, frozen."""
    return _head(load_file(folder / HEAD)["weight"]).requires_grad_(False)


def read_card(folder: Path) -> dict[str, Any]:
    """What a reward model's folder says of itself. Raises ModelError where it is none."""
    try:
        card = dict(json.loads((folder / CARD).read_text("utf-8")))
    except (OSError, ValueError) as error:
        raise ModelError(
            "this folder holds no reward model", where=str(folder), try_="a folder written by `align.method: reward`"
        ) from error
    if card.get("format") != FORMAT:
        raise ModelError(f"reward model of format {card.get('format')}, not {FORMAT}", where=str(folder))
    return card


def base_of(folder: Path, card: dict[str, Any]) -> Checkpoint:
    """Where the base of a reward model's adapter lies. Raises ModelError where other weights lie there now."""
    spec = base_spec(card["base"], card["revision"])
    if identity_of(spec) != card["base_identity"]:
        raise ModelError(
            f"the reward model was trained on other weights than `{card['base']}` holds now",
            where=str(folder),
            try_="train the reward model again on this base",
        )
    return find_checkpoint(spec)


def base_spec(path: str, revision: str | None) -> LocalSpec:
    """A base as an entry of the roster; its identity does not depend on the machine."""
    return LocalSpec(name="base", path=path, revision=revision, dtype="float32", device="cpu")


def autocast_to(device: torch.device, compute: torch.dtype) -> AbstractContextManager[Any]:
    """Run in `compute`; what is trained stays in float32."""
    return nullcontext() if compute == torch.float32 else torch.autocast(device.type, dtype=compute)


def _picture(image: AnyImage | None) -> Picture:
    if image is None:
        raise DataError("an answer to be scored has no picture", try_="give the picture it is about")
    if isinstance(image, Image.Image):
        return Picture(hashlib.sha256(repr((image.size, image.mode)).encode() + image.tobytes()).hexdigest(), image)
    if isinstance(image, bytes):
        return Picture(hashlib.sha256(image).hexdigest(), image)
    return Picture(str(image), Path(image))


def _words(turn: dict[str, Any]) -> str:
    """The text of a turn."""
    content = turn["content"]
    if isinstance(content, str):
        return content
    return " ".join(str(part["text"]) for part in content if part["type"] == "text")
