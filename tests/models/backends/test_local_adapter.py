"""An adapter that does not fit is refused wherever it is loaded: it never leaves the base to answer in its name."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoModelForImageTextToText

from spavl.config.models import LocalSpec
from spavl.errors import ModelError
from spavl.models.backends.local import load_vlm
from spavl.models.backends.local_adapter import put_adapter
from spavl.models.identity import find_checkpoint, other_base
from spavl.pipeline.pool import ModelPool
from tests.tiny import tiny_adapter, tiny_llava

Weights = dict[str, torch.Tensor]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_llava(tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="module")
def adapter(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_adapter(base, tmp_path_factory.mktemp("adapter"))


def rewritten(adapter: Path, folder: Path, change: Callable[[Weights], Weights]) -> Path:
    """A copy of an adapter with other weights in its file."""
    shutil.copytree(adapter, folder)
    file = folder / "adapter_model.safetensors"
    save_file(change(load_file(file)), file, {"format": "pt"})
    return folder


def renamed(old: str, new: str) -> Callable[[Weights], Weights]:
    return lambda weights: {name.replace(old, new): weight for name, weight in weights.items()}


def without(part: str) -> Callable[[Weights], Weights]:
    return lambda weights: {name: weight for name, weight in weights.items() if part not in name}


MISFITS: dict[str, Callable[[Weights], Weights]] = {
    "another path to the layers": renamed("model.language_model.layers", "model.layers"),
    "module. inserted": renamed("base_model.model.", "base_model.model.module."),
    "half a file": lambda weights: dict(sorted(weights.items())[: len(weights) // 2]),
    "one layer lost": without("layers.1."),
    "no second factor": without("lora_B"),
    "another name of the projection": renamed("q_proj", "query_proj"),
    "empty": lambda weights: {},
}


@pytest.mark.parametrize("change", MISFITS.values(), ids=MISFITS)
def test_an_adapter_whose_names_do_not_fit_is_refused_with_counts_and_an_example(
    base: Path, adapter: Path, tmp_path: Path, change: Callable[[Weights], Weights]
) -> None:
    misfit = rewritten(adapter, tmp_path / "misfit", change)
    kept = load_file(misfit / "adapter_model.safetensors")
    wanted = load_file(adapter / "adapter_model.safetensors")
    with pytest.raises(ModelError, match="adapter does not fit the model") as error:
        load_vlm(base, device="cpu", adapter=misfit)
    missing, unexpected = wanted.keys() - kept.keys(), kept.keys() - wanted.keys()
    assert (f"lacks {len(missing)} weights" in error.value.what) == bool(missing)
    assert (f"holds {len(unexpected)} that" in error.value.what) == bool(unexpected)
    assert "lora_" in error.value.what and error.value.where == str(misfit) and str(base) in error.value.try_
    with pytest.raises(ModelError, match="adapter does not fit the model"):
        load_vlm(misfit_base(misfit), device="cpu", adapter=misfit)


def misfit_base(misfit: Path) -> Path:
    return find_checkpoint(LocalSpec(name="m", path=str(misfit))).folder


def test_names_that_peft_completes_are_loaded_as_they_are_meant(base: Path, adapter: Path, tmp_path: Path) -> None:
    short = rewritten(adapter, tmp_path / "short", renamed("base_model.model.", ""))
    one, other = (load_vlm(base, device="cpu", adapter=folder)[0].state_dict() for folder in (adapter, short))
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_weights_that_the_configuration_does_not_ask_for_are_refused(base: Path, adapter: Path, tmp_path: Path) -> None:
    def more(weights: Weights) -> Weights:
        return weights | {
            name.replace("q_proj", "k_proj"): w.clone() for name, w in weights.items() if "q_proj" in name
        }

    with pytest.raises(ModelError, match=r"holds 4 that the model has no place for \(such as .*k_proj"):
        load_vlm(base, device="cpu", adapter=rewritten(adapter, tmp_path / "more", more))


def test_another_rank_and_another_shape_of_the_base_are_one_sentence(base: Path, adapter: Path, tmp_path: Path) -> None:
    cut = rewritten(adapter, tmp_path / "cut", lambda weights: {
        name: weight[:2].contiguous() if "lora_A" in name else weight for name, weight in weights.items()})  # fmt: skip
    wide = tiny_llava(tmp_path / "wide", hidden=64)
    for folder, on in [(cut, base), (adapter, wide)]:
        with pytest.raises(ModelError, match="adapter cannot be loaded: size mismatch") as error:
            load_vlm(on, device="cpu", adapter=folder)
        assert str(base) in error.value.try_ and "\n" not in error.value.what


def test_layers_that_the_base_has_not_and_damaged_files_are_one_sentence(
    base: Path, adapter: Path, tmp_path: Path
) -> None:
    foreign, cut, config = (Path(shutil.copytree(adapter, tmp_path / name)) for name in ("foreign", "cut", "config"))
    settings = json.loads((foreign / "adapter_config.json").read_text())
    (foreign / "adapter_config.json").write_text(json.dumps({**settings, "target_modules": ["c_attn"]}))
    weights = cut / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:400])
    (config / "adapter_config.json").write_text('{"peft_type": "NONE OF IT"}')
    for folder in (foreign, cut, config):
        with pytest.raises(ModelError, match="adapter cannot be loaded") as error:
            load_vlm(base, device="cpu", adapter=folder)
        assert error.value.where == str(folder) and "\n" not in error.value.what
    (config / "adapter_config.json").write_text("[]")
    with pytest.raises(ModelError, match="does not say which model it is for"):
        find_checkpoint(LocalSpec(name="m", path=str(config)))


@pytest.fixture(scope="module")
def whole_module(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An adapter that also holds the projector, as a module that is saved whole."""
    folder = tmp_path_factory.mktemp("whole")
    torch.manual_seed(0)
    model = AutoModelForImageTextToText.from_pretrained(base)
    config = LoraConfig(r=4, target_modules=r".*language_model.*\.q_proj", modules_to_save=["multi_modal_projector"])
    adapted = get_peft_model(model, config)
    with torch.no_grad():
        for name, weight in adapted.named_parameters():
            if "modules_to_save" in name:
                weight.normal_()
    adapted.save_pretrained(folder)
    return folder


def test_a_module_that_is_saved_whole_is_loaded_and_its_loss_is_noticed(
    base: Path, whole_module: Path, tmp_path: Path
) -> None:
    model, _ = load_vlm(base, device="cpu", adapter=whole_module)
    saved = load_file(whole_module / "adapter_model.safetensors")
    name = next(name for name in saved if "projector.linear_1.weight" in name)
    assert torch.equal(model.model.multi_modal_projector.linear_1.weight, saved[name])
    with pytest.raises(ModelError, match=r"lacks the weights .*multi_modal_projector"):
        load_vlm(base, device="cpu", adapter=rewritten(whole_module, tmp_path / "lost", without("linear_1.weight")))


def test_a_second_adapter_on_one_model_is_checked_too(base: Path, adapter: Path, tmp_path: Path) -> None:
    model, _ = load_vlm(base, device="cpu")
    twice = put_adapter(put_adapter(model, adapter, "one"), adapter, "two")
    assert isinstance(twice, PeftModel) and set(twice.peft_config) == {"one", "two"}
    assert not any(weight.requires_grad for name, weight in twice.named_parameters() if "lora_" in name)
    with pytest.raises(ModelError, match="does not fit"):
        put_adapter(twice, rewritten(adapter, tmp_path / "half", without("layers.0.")), "three")


def test_an_adapter_on_another_model_than_it_names_is_told(base: Path, adapter: Path, tmp_path: Path) -> None:
    other = tiny_llava(tmp_path / "other", seed=5)
    spec = LocalSpec(name="mixed", path=str(other), adapter=str(adapter), device="cpu")
    lines: list[str] = []

    class Lines:
        def log(self, line: str) -> None:
            lines.append(line)

    ModelPool([spec], Lines(), allow_code=False).model(spec)  # type: ignore[arg-type]
    assert any(f"says that it is for `{base}`, and is put on `{other}`" in line for line in lines)
    own = LocalSpec(name="own", path=str(base), adapter=str(adapter))
    through_a_link = tmp_path / "link"
    through_a_link.symlink_to(base)
    for same in (own, own.model_copy(update={"path": str(through_a_link)}), LocalSpec(name="plain", path=str(base))):
        assert other_base(same) == ""


def checkpoint_with(base: Path, folder: Path, change: Callable[[Weights], Weights]) -> Path:
    shutil.copytree(base, folder)
    save_file(change(load_file(folder / "model.safetensors")), folder / "model.safetensors", {"format": "pt"})
    return folder


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (without("language_model.model.layers.1."), "lacks 9 weights"),
        (lambda w: dict(sorted(w.items())[::2]), "lacks"),
        (lambda w: w | {"model.extra_head.weight": torch.zeros(2)}, "holds 1 that .*`model.extra_head.weight`"),
        (renamed("language_model.model.layers", "language_model.model.blocks"), "lacks 18 .*, and it holds 18"),
    ],
    ids=["a layer lost", "half of it", "a head more", "renamed"],
)
def test_a_checkpoint_with_weights_too_few_or_too_many_never_answers(
    base: Path, tmp_path: Path, change: Callable[[Weights], Weights], says: str
) -> None:
    with pytest.raises(ModelError, match=f"checkpoint does not fit the model: .*{says}") as error:
        load_vlm(checkpoint_with(base, tmp_path / "changed", change), device="cpu")
    assert "save_pretrained" in error.value.try_


def test_half_of_the_shards_is_not_a_checkpoint(base: Path, tmp_path: Path) -> None:
    folder = tmp_path / "sharded"
    AutoModelForImageTextToText.from_pretrained(base).save_pretrained(folder, max_shard_size="100KB")
    for file in base.iterdir():
        if not (folder / file.name).exists() and file.suffix != ".safetensors":
            shutil.copy(file, folder)
    load_vlm(folder, device="cpu")
    lost = sorted(folder.glob("model-*.safetensors"))[1]
    index = folder / "model.safetensors.index.json"
    known = json.loads(index.read_text())
    lost.unlink()
    with pytest.raises(ModelError, match="cannot be loaded"):
        load_vlm(folder, device="cpu")
    known["weight_map"] = {name: file for name, file in known["weight_map"].items() if file != lost.name}
    index.write_text(json.dumps(known))
    with pytest.raises(ModelError, match="lacks"):
        load_vlm(folder, device="cpu")


def test_tied_weights_and_buffers_that_older_versions_saved_are_no_fault(base: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(base, tmp_path / "tied"))
    config = json.loads((folder / "config.json").read_text())
    config["tie_word_embeddings"] = config["text_config"]["tie_word_embeddings"] = True
    (folder / "config.json").write_text(json.dumps(config))
    positions = "model.vision_tower.vision_model.embeddings.position_ids"
    tied = checkpoint_with(folder, tmp_path / "without", lambda weights: {
        name: weight for name, weight in weights.items() if "lm_head" not in name})  # fmt: skip
    old = checkpoint_with(base, tmp_path / "old", lambda weights: weights | {positions: torch.arange(10)[None]})
    for good in (tied, old):
        load_vlm(good, device="cpu")
