"""A reward model: a vision-language model with a scalar head on the last token of an answer.

    model = RewardModel.load("runs/first/align/reward")
    model.score(images=["cup.png"], questions=["What is this?"], answers=["A cup."])     # tensor([0.41])

Its folder holds `reward.json` (what it is and what it was measured at), `head.safetensors` (the linear head), and
either `adapter/` (peft, on the base that `reward.json` names) or `checkpoint/` (all weights, where some were trained
in place).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import torch
from jaxtyping import Float, Int
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from spavl.align.policy.checkpoint import weights_written
from spavl.atomic import write_text
from spavl.config.models import LocalSpec
from spavl.errors import DataError, ModelError
from spavl.models.backends.local import load_vlm
from spavl.models.backends.local_adapter import put_adapter
from spavl.models.families import Family, family_of
from spavl.models.identity import Checkpoint, find_checkpoint, identity_of
from spavl.models.trees.batch import Packing, TreeBatch, collate
from spavl.models.trees.pack import Row, batch_by_tokens, build_trees, pack_tree
from spavl.models.trees.score import hidden_at
from spavl.pictures import Picture

FORMAT = 2
"""Version of `reward.json`."""
CARD, HEAD, ADAPTER_FOLDER, WHOLE_FOLDER = "reward.json", "head.safetensors", "adapter", "checkpoint"
"""Names in the folder."""
TOKEN_BUDGET = 16384
"""Most tokens of a padded batch when answers are scored."""

AnyImage = Image.Image | bytes | str | Path
"""A picture: opened, as the bytes of its file, or as the path of its file."""


@final
@dataclass(frozen=True, eq=False)
class ScalarHead:
    """A linear head on hidden states: the reward of an answer at its last token, or the value of a token position."""

    model: Any
    """A transformers model, or a peft model around one."""
    adapter: str | None
    """Adapter that is active while the head is read; None: the model is read as it is."""
    head: nn.Linear
    """hidden → 1, without bias, float32."""
    family: Family
    """What trees need to know of the model."""
    compute: torch.dtype = torch.float32
    """Arithmetic of the model; the head's is float32."""
    default_adapter: str | None = None
    """Adapter that is active otherwise, and again after the head was read."""
    packing: Packing = "tree"
    """How answers are packed when they are scored (`score`)."""

    def read(
        self, batch: TreeBatch, at: Int[Tensor, " N"], *, features: Any = None, train: bool = False
    ) -> Float[Tensor, " N"]:
        """Values of the head at N token positions, float32.

        Args:
            batch: the packed answers.
            at: flat index (row × S + place) of the positions.
            features: image features of the batch (`image_features`); None: encode the pictures.
            train: let gradients reach adapter and head.
        """
        with self.active_adapter(train), autocast_to(batch.ids.device, self.compute), torch.set_grad_enabled(train):
            hidden = hidden_at(self.model, batch, self.family, at, features=features)
            with torch.autocast(batch.ids.device.type, enabled=False):
                return self.head(hidden.float()).squeeze(-1)

    @contextmanager
    def active_adapter(self, train: bool = False) -> Iterator[None]:
        """A context in which this head's adapter is active.

        Args:
            train: let gradients reach the adapter.
        """
        if self.adapter is not None:
            self.model.set_adapter(self.adapter, inference_mode=not train)
        try:
            yield
        finally:
            if self.default_adapter is not None:
                self.model.set_adapter(self.default_adapter)

    def score(self, rows: Sequence[Row], *, token_budget: int = TOKEN_BUDGET) -> dict[str, Float[Tensor, " A"]]:
        """Rewards of the A answers of every row, by the row's id, float32, on the CPU.

        Answers about one picture share its tokens.

        Args:
            rows: questions with their answers and pictures; ids are unique.
            token_budget: most tokens of a padded batch.
        """
        rewards: dict[str, Tensor] = {}
        trees = [pack_tree(tree, self.family) for tree in build_trees(rows, "picture")]
        for indices in batch_by_tokens([len(tree) for tree in trees], token_budget):
            batch = collate([trees[i] for i in indices], self.family, self.packing).to(self.head.weight.device)
            values = self.read(batch, batch.last).cpu()
            rewards |= {name: values[list(answers)] for name, answers in batch.rows}
        return rewards

    def weights(self) -> dict[str, Tensor]:
        """Own weights by name: the head's and the adapter's; without an adapter, the model's that take gradients."""
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

    scalar_head: ScalarHead
    """The head on its model."""
    card: dict[str, Any]
    """What `reward.json` says."""

    @classmethod
    def load(cls, folder: str | Path, *, device: str = "auto", dtype: str = "auto") -> RewardModel:
        """Open a folder that `train_reward` wrote.

        Args:
            folder: the folder.
            device: where the model is put; `auto`: a GPU where there is one.
            dtype: number format of the frozen weights; `auto`: what the device is best at.

        Raises:
            ModelError: the folder holds no reward model, or its base is not the one it was trained on.
        """
        folder = Path(folder)
        card = read_card(folder)
        whole = (folder / WHOLE_FOLDER).is_dir()
        source = Checkpoint(folder / WHOLE_FOLDER) if whole else base_of(folder, card)
        model, processor = load_vlm(source.folder, dtype, device, adapter=source.adapter)
        family = family_of(model, processor, card.get("max_pixels"))
        if not whole:
            model = put_adapter(model, folder / ADAPTER_FOLDER, "reward")
        model.eval().requires_grad_(False)
        head = load_head(folder).to(next(model.parameters()).device)
        return cls(ScalarHead(model, None if whole else "reward", head, family, packing=card["packing"]), card)

    def score(
        self,
        images: Sequence[AnyImage | Sequence[AnyImage] | None],
        questions: Sequence[str],
        answers: Sequence[str],
        *,
        token_budget: int = TOKEN_BUDGET,
    ) -> Float[Tensor, " A"]:
        """Reward of every answer to its question about its picture, float32, on the CPU.

        Args:
            images: the picture of every answer, or a list of its pictures (empty: of text only); answers about the same
                pictures share their tokens.
            questions: the question of every answer.
            answers: texts, without the end token.
            token_budget: most tokens of a padded batch.

        Raises:
            DataError: a picture is missing or cannot be read.
        """
        rows = [
            Row(str(number), question, (answer,), pictures_of(image))
            for number, (image, question, answer) in enumerate(zip(images, questions, answers, strict=True))
        ]
        scored = self.scalar_head.score(rows, token_budget=token_budget)
        return torch.cat([torch.zeros(0), *(scored[row.id] for row in rows)])


def new_head(hidden: int, seed: int = 0) -> nn.Linear:
    """An untrained head, normal with standard deviation 1 / sqrt(hidden + 1).

    Args:
        hidden: width of the language model.
        seed: seeds the weights.

    Source:
        arXiv 2009.01325.
    """
    weight = torch.randn(1, hidden, generator=torch.Generator().manual_seed(seed))
    return _head(weight / (hidden + 1) ** 0.5)


def _head(weight: Tensor) -> nn.Linear:
    head = nn.utils.skip_init(nn.Linear, weight.shape[1], 1, bias=False, dtype=torch.float32)
    head.weight.data = weight.float()
    return head


def save_head(folder: Path, weight: Float[Tensor, "1 D"], card: dict[str, Any]) -> None:
    """Write head and `reward.json` of a reward model, whose adapter or checkpoint is already in the folder.

    Args:
        folder: the reward model's folder.
        weight: of the head, D the width of the language model.
        card: what `reward.json` says beside its format.

    Raises:
        RunError: the folder cannot be written.
    """
    with weights_written(folder / HEAD, "The reward model's head") as tmp:
        save_file({"weight": weight.detach().cpu().contiguous()}, tmp)
    text = json.dumps({"format": FORMAT, **card}, indent=1, ensure_ascii=False)
    write_text(folder / CARD, text + "\n")


def load_head(folder: Path) -> nn.Linear:
    """The linear head of a reward model, frozen.

    Args:
        folder: the reward model's folder.
    """
    return _head(load_file(folder / HEAD)["weight"]).requires_grad_(False)


def read_card(folder: Path) -> dict[str, Any]:
    """What `reward.json` says of a reward model.

    Args:
        folder: the reward model's folder.

    Raises:
        ModelError: the folder holds no reward model, or one of another format.
    """
    try:
        card = dict(json.loads((folder / CARD).read_text("utf-8")))
    except (OSError, ValueError) as error:
        raise ModelError(
            "this folder holds no reward model", where=str(folder), try_="a folder written by `align.method: reward`"
        ) from error
    if card.get("format") == 1 and "layout" in card:  # the first version's word for packing
        card = {**card, "format": FORMAT, "packing": card["layout"]}
    if card.get("format") != FORMAT:
        raise ModelError(
            f"reward model of format {card.get('format')}, not {FORMAT}", where=str(folder),
            try_="train it again, or use the version of spavl that wrote it",
        )  # fmt: skip
    return card


def reward_identity(folder: Path) -> str:
    """Hash that differs for reward models of different trainings: of what `reward.json` says, and of the head.

    Args:
        folder: the reward model's folder.

    Raises:
        ModelError: the folder holds no reward model, or one of another format.
    """
    card = json.dumps(read_card(folder), sort_keys=True)
    return hashlib.sha256(card.encode() + (folder / HEAD).read_bytes()).hexdigest()[:16]


def base_of(folder: Path, card: dict[str, Any]) -> Checkpoint:
    """The base model that a reward model's adapter belongs to.

    Args:
        folder: the reward model's folder, named in the error.
        card: what its `reward.json` says.

    Raises:
        ModelError: the base has other weights now than the reward model was trained on.
    """
    spec = base_spec(card["base"], card["revision"])
    if identity_of(spec) != card["base_identity"]:
        raise ModelError(
            f"the reward model was trained on other weights than `{card['base']}` holds now",
            where=str(folder),
            try_="train the reward model again on this base",
        )
    return find_checkpoint(spec)


def base_spec(path: str, revision: str | None) -> LocalSpec:
    """A base model as the settings name models, with an identity that does not depend on the machine.

    Args:
        path: checkpoint folder, Hub id or `miniworld:<name>`.
        revision: commit of a Hub id.
    """
    return LocalSpec(name="base", path=path, revision=revision, dtype="float32", device="cpu")


def autocast_to(device: torch.device, compute: torch.dtype) -> AbstractContextManager[Any]:
    """A context of arithmetic in a number format; what is trained stays in float32.

    Args:
        device: where the model is.
        compute: the number format.
    """
    return nullcontext() if compute == torch.float32 else torch.autocast(device.type, compute, cache_enabled=False)


def pictures_of(images: AnyImage | Sequence[AnyImage] | None) -> tuple[Picture, ...]:
    """The pictures of an answer that is to be scored.

    Args:
        images: one, or a list of them, empty where the answer is about none.

    Raises:
        DataError: nothing is given.
    """
    if images is None:
        raise DataError(
            "an answer to be scored has no picture",
            try_="give the picture it is about; an empty list where it has none",
        )
    several = [images] if isinstance(images, (Image.Image, bytes, str, Path)) else images
    return tuple(map(_picture, several))


def _picture(image: AnyImage) -> Picture:
    if isinstance(image, Image.Image):
        return Picture(hashlib.sha256(repr((image.size, image.mode)).encode() + image.tobytes()).hexdigest(), image)
    if isinstance(image, bytes):
        return Picture(hashlib.sha256(image).hexdigest(), image)
    return Picture(str(image), Path(image))
