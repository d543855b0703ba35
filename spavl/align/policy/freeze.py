"""What a freeze policy trains of the parts of a model: vision tower, projector, language model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, final, get_args

from torch import nn

from spavl.config.align import FreezeSettings
from spavl.errors import SettingsError
from spavl.models.families import Family

Part = Literal["projector", "vision", "language"]
"""A part as freeze policies have it, in the order of reports; the output head counts with the language model."""


@dataclass(frozen=True, slots=True)
class ParameterCount:
    """How many weights of a part are trained, and how many are frozen."""

    trained: int
    """Trained weights, those that peft added among them."""
    frozen: int
    """Frozen weights; under LoRA also the originals of what an adapter trains."""


@dataclass(frozen=True, slots=True)
class FreezePlan:
    """What a freeze policy trains, by full names in the plain model, so that no layer is matched by a suffix alone."""

    in_place: frozenset[str]
    """Parameters trained in place, not through LoRA."""
    lora: tuple[str, ...]
    """Linear layers that get a low-rank update."""
    kept: tuple[str, ...]
    """Modules in `in_place` of which an adapter holds the trained copy and the model the original."""


@final
class ModelParts:
    """The parts of an opened model, before peft wraps it.

    Args:
        model: a transformers model.
        family: its family, which knows the names of its modules.
    """

    def __init__(self, model: Any, family: Family) -> None:
        self._model = model
        self._family = family
        self._projector = family.facts.projector
        self._vision = family.facts.vision
        self._language = (family.facts.language, family.facts.head)

    def freeze_plan(self, freeze: FreezeSettings, *, head: bool = True) -> FreezePlan:
        """What a freeze policy trains of this model.

        Args:
            freeze: the policy.
            head: whether the head from hidden states to logits belongs to the language model. Without it, the head
                is trained only where it is one tensor with the embedding of words.

        Raises:
            SettingsError: more layers are asked for than the vision tower uses, or it has no list of layers.
        """
        whole = [*self._projector] if freeze.projector == "train" else []
        if freeze.vision == "full":
            whole += [name for tower in self._vision for name in self._spread(tower)]
        elif freeze.vision.startswith("last:"):
            whole += self._last_layers(int(freeze.vision.removeprefix("last:")))
        in_place = self._parameters(whole)
        lora = []
        if freeze.language == "full":
            in_place |= self._parameters(self._language if head else self._language[:1])
        else:
            lora += self._family.linear_names(self._model, "language")
        if freeze.vision == "lora":
            unused = self._unused_layers()
            lora += [name for name in self._family.linear_names(self._model, "vision") if not _inside(name, unused)]
        lora = _targets(lora, freeze)
        modules = {name for name, _ in self._model.named_modules()}
        kept = [name for name in whole if name in modules] if freeze.language == "lora" else []
        return FreezePlan(frozenset(in_place), tuple(lora), tuple(kept))

    def count(self, weights: Iterable[tuple[str, Any]]) -> Mapping[Part, ParameterCount]:
        """Trained and frozen weights by part.

        Args:
            weights: parameters with their names in the plain model.

        Raises:
            ModelError: a parameter belongs to no part that the family knows.
        """
        trained: Counter[Part] = Counter()
        frozen: Counter[Part] = Counter()
        for name, weight in weights:
            found = self._family.part_of(name)
            part: Part = "language" if found == "head" else found
            (trained if weight.requires_grad else frozen)[part] += weight.numel()
        return {part: ParameterCount(trained[part], frozen[part]) for part in get_args(Part)}

    def _last_layers(self, count: int) -> list[str]:
        """The last `count` layers of the tower whose output is used."""
        layers, used = self._layers()
        if count > used:
            raise SettingsError(
                f"The vision tower has {used} layers whose output is used, and last:{count} was asked for.",
                where="align.freeze.vision",
                try_=f"last:{used} or full",
            )
        return layers[used - count : used]

    def _spread(self, name: str) -> list[str]:
        """The module, or what it consists of where it holds the projector (Qwen-VL) or is but a list of modules."""
        module = self._model.get_submodule(name)
        if _inside(name, self._projector):
            return []
        if not isinstance(module, nn.ModuleList) and not any(_inside(one, (name,)) for one in self._projector):
            return [name] if any(True for _ in module.parameters()) else []
        bare = [f"{name}.{own}" for own, _ in module.named_parameters(recurse=False)]
        return bare + [part for child, _ in module.named_children() for part in self._spread(f"{name}.{child}")]

    def _unused_layers(self) -> tuple[str, ...]:
        layers, used = self._layers()
        return tuple(layers[used:])

    def _layers(self) -> tuple[list[str], int]:
        """The tower's layers, and how many of them lead to the output that the projector reads."""
        lists = {
            name: len(module)
            for name, module in self._model.named_modules()
            if isinstance(module, nn.ModuleList) and _inside(name, self._vision)
        }
        if not lists:
            raise SettingsError("The vision tower has no list of layers.", where="align.freeze.vision", try_="full")
        longest = max(lists, key=lambda name: lists[name])
        names = [f"{longest}.{index}" for index in range(lists[longest])]
        return names, _used_layers(self._model.config.to_dict(), len(names))

    def _parameters(self, modules: Iterable[str]) -> set[str]:
        inside = tuple(modules)
        return {name for name, _ in self._model.named_parameters() if _inside(name, inside)}


def _targets(layers: list[str], freeze: FreezeSettings) -> list[str]:
    """Those of the linear layers that `target_modules` names."""
    wanted = freeze.target_modules
    if wanted == "all":
        return layers
    if wanted == "attention":
        return [name for name in layers if "attn" in name or "attention" in name]
    found = [name for name in layers if any(name == one or name.endswith(f".{one}") for one in wanted)]
    unknown = [one for one in wanted if not any(name == one or name.endswith(f".{one}") for name in layers)]
    if unknown or (layers and not found):
        there = sorted({name.rpartition(".")[2] for name in layers})
        raise SettingsError(
            f"No layer that could get a LoRA update is called {', '.join(unknown) or 'so (the list is empty)'}.",
            where="align.freeze.target_modules",
            try_=f"{', '.join(there)}"
            if there
            else "all; with language=full and no vision LoRA there are no such layers",
        )
    return found


def _used_layers(config: Mapping[str, Any], layers: int) -> int:
    """Layers up to the one whose output the projector reads; later ones never get a gradient (LLaVA-1.5 reads -2)."""
    chosen = config.get("vision_feature_layer", -1)
    indices = chosen if isinstance(chosen, (list, tuple)) else [chosen]
    return min(layers, max(int(index) if index >= 0 else layers + 1 + int(index) for index in indices))


def _inside(name: str, modules: tuple[str, ...]) -> bool:
    return any(name == module or name.startswith(f"{module}.") for module in modules)
