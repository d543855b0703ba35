"""Where the parts of a model are (vision tower, projector, language model), and what a freeze policy trains of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, final

from torch import nn

from spavl.config.align import FreezeSettings
from spavl.errors import SettingsError
from spavl.models.families import Family

Part = Literal["vision", "projector", "language"]


@dataclass(frozen=True, slots=True)
class ParameterCount:
    """How many weights of a part are trained, and how many lie still (under LoRA also the originals of both)."""

    trained: int
    frozen: int


@dataclass(frozen=True, slots=True)
class FreezePlan:
    """What a freeze policy trains, by names of the plain model. All names are whole: nothing leaks by a suffix."""

    in_place: frozenset[str]
    """Parameters trained themselves."""
    lora: tuple[str, ...]
    """Linear layers that get a low-rank update."""
    kept: tuple[str, ...]
    """Modules in `in_place` of which an adapter holds the trained copy and the model the original."""


@final
class ModelParts:
    """The parts of an opened model, before anything is wrapped around it."""

    def __init__(self, model: Any, family: Family) -> None:
        self._model = model
        self._facts = family.facts
        self._homes: dict[Part, tuple[str, ...]] = {
            "projector": family.facts.projector,
            "vision": family.facts.vision,
            "language": (family.facts.language, family.facts.head),
        }

    def plan(self, freeze: FreezeSettings) -> FreezePlan:
        """What is to be trained. Raises SettingsError for more layers than the tower has."""
        whole = [*self._homes["projector"]] if freeze.projector == "train" else []
        if freeze.vision == "full":
            whole += [name for tower in self._homes["vision"] for name in self._spread(tower)]
        elif freeze.vision.startswith("last:"):
            whole += self._last_layers(int(freeze.vision.removeprefix("last:")))
        in_place = self._parameters(whole)
        lora = []
        if freeze.language == "full":
            in_place |= self._parameters(self._homes["language"])
        else:
            lora += self._linears((self._facts.language,))
        if freeze.vision == "lora":
            left_out = (*self._homes["projector"], *self._unused())
            lora += [name for name in self._linears(self._homes["vision"]) if not _inside(name, left_out)]
        if freeze.targets == "attention":
            lora = [name for name in lora if "attn" in name or "attention" in name]
        modules = {name for name, _ in self._model.named_modules()}
        kept = [name for name in whole if name in modules] if freeze.language == "lora" else []
        return FreezePlan(frozenset(in_place), tuple(lora), tuple(kept))

    def home(self, parameter: str) -> Part:
        """The part that a parameter of the plain model belongs to."""
        for part, modules in self._homes.items():
            if _inside(parameter, modules):
                return part
        raise AssertionError(f"the parameter {parameter} belongs to no part of the family {self._facts.name}")

    def count(self, weights: Iterable[tuple[str, Any]]) -> Mapping[Part, ParameterCount]:
        """Trained and frozen weights by part. Names are those of the plain model."""
        trained: Counter[Part] = Counter()
        frozen: Counter[Part] = Counter()
        for name, weight in weights:
            (trained if weight.requires_grad else frozen)[self.home(name)] += weight.numel()
        return {part: ParameterCount(trained[part], frozen[part]) for part in self._homes}

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
        if _inside(name, self._homes["projector"]):
            return []
        if not isinstance(module, nn.ModuleList) and not any(_inside(one, (name,)) for one in self._homes["projector"]):
            return [name] if any(True for _ in module.parameters()) else []
        bare = [f"{name}.{own}" for own, _ in module.named_parameters(recurse=False)]
        return bare + [part for child, _ in module.named_children() for part in self._spread(f"{name}.{child}")]

    def _unused(self) -> tuple[str, ...]:
        layers, used = self._layers()
        return tuple(layers[used:])

    def _layers(self) -> tuple[list[str], int]:
        """The tower's layers, and how many of them lead to the output that the projector reads."""
        lists = {
            name: len(module)
            for name, module in self._model.named_modules()
            if isinstance(module, nn.ModuleList) and _inside(name, self._homes["vision"])
        }
        if not lists:
            raise SettingsError("The vision tower has no list of layers.", where="align.freeze.vision", try_="full")
        longest = max(lists, key=lambda name: lists[name])
        names = [f"{longest}.{index}" for index in range(lists[longest])]
        return names, _used_layers(self._model.config.to_dict(), len(names))

    def _parameters(self, modules: Iterable[str]) -> set[str]:
        inside = tuple(modules)
        return {name for name, _ in self._model.named_parameters() if _inside(name, inside)}

    def _linears(self, modules: tuple[str, ...]) -> list[str]:
        named = self._model.named_modules()
        return [name for name, module in named if isinstance(module, nn.Linear) and _inside(name, modules)]


def _used_layers(config: Mapping[str, Any], layers: int) -> int:
    """Layers up to the one whose output the projector reads; later ones never get a gradient (LLaVA-1.5 reads -2)."""
    chosen = config.get("vision_feature_layer", -1)
    indices = chosen if isinstance(chosen, (list, tuple)) else [chosen]
    return min(layers, max(int(index) if index >= 0 else layers + 1 + int(index) for index in indices))


def _inside(name: str, modules: tuple[str, ...]) -> bool:
    return any(name == module or name.startswith(f"{module}.") for module in modules)
