"""What changes a model's identity, what does not, and two entries that are one model."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from spavl.config.models import EndpointSpec, LocalSpec, PythonSpec
from spavl.errors import MissingExtra, ModelError, SettingsError
from spavl.models.identity import check_models, find_checkpoint, identity_of
from tests.tiny import tiny_adapter, tiny_llava


@pytest.fixture
def folder(tiny_checkpoint: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_checkpoint, tmp_path / "checkpoint"))


def local(folder: Path, **more: str) -> LocalSpec:
    return LocalSpec.model_validate({"name": "mini", "path": str(folder), **more})


def test_retraining_into_the_same_folder_makes_another_model(folder: Path) -> None:
    weights = folder / "model.safetensors"
    before, file = identity_of(local(folder)), weights.stat()
    tiny_llava(folder, seed=1)
    os.utime(weights, ns=(file.st_atime_ns, file.st_mtime_ns))
    assert (weights.stat().st_size, weights.stat().st_mtime_ns) == (file.st_size, file.st_mtime_ns)
    assert identity_of(local(folder)) != before


def test_a_copy_elsewhere_and_training_leftovers_are_the_same_model(folder: Path, tmp_path: Path) -> None:
    before = identity_of(local(folder))
    moved = Path(shutil.copytree(folder, tmp_path / "moved"))
    (moved / "README.md").write_text("notes")
    (moved / "trainer_state.json").write_text("{}")
    (moved / "optimizer.pt").write_bytes(b"x")
    assert identity_of(local(moved)) == before


@pytest.mark.parametrize(
    "name", ["config", "generation_config", "tokenizer", "tokenizer_config", "processor_config", "chat_template"]
)
def test_every_file_that_decides_answers_is_part_of_the_identity(folder: Path, name: str) -> None:
    before = identity_of(local(folder))
    (file,) = folder.glob(f"{name}.j*")
    file.write_text(file.read_text() + " ")
    assert identity_of(local(folder)) != before


def test_dtype_quantisation_system_turn_and_adapter_are_part_of_the_identity(folder: Path, tmp_path: Path) -> None:
    adapter = tiny_adapter(folder, tmp_path / "adapter")
    plain = identity_of(local(folder, device="cpu"))
    others = [
        local(folder, dtype="bfloat16"),
        local(folder, quantisation="8bit"),
        local(folder, system="Be brief."),
        local(folder, adapter=str(adapter)),
    ]
    assert len({plain, *map(identity_of, others)}) == 5
    assert identity_of(local(folder, dtype="float32")) == plain, "on a CPU, auto is float32"


def test_labels_devices_and_batch_sizes_are_not_part_of_the_identity(folder: Path) -> None:
    one = LocalSpec(name="one", path=str(folder), batch_size=1, device="cpu")
    other = LocalSpec(name="other", path=str(folder), batch_size=64, device="cpu")
    assert identity_of(one) == identity_of(other)


def test_a_retrained_adapter_is_another_model(folder: Path, tmp_path: Path) -> None:
    spec = local(folder, adapter=str(tiny_adapter(folder, tmp_path / "adapter")))
    before = identity_of(spec)
    tiny_adapter(folder, tmp_path / "adapter", seed=1)
    assert identity_of(spec) != before


def test_a_folder_with_only_an_adapter_stands_for_its_base_with_it(folder: Path, tmp_path: Path) -> None:
    adapter = tiny_adapter(folder, tmp_path / "adapter")
    found = find_checkpoint(local(adapter))
    assert (found.folder, found.adapter) == (folder, adapter)
    assert identity_of(local(adapter)) == identity_of(local(folder, adapter=str(adapter)))


@pytest.mark.parametrize("named", ["./base", ".hidden/base", "../{}/base"])
def test_an_adapters_base_is_found_from_the_current_folder_as_the_training_was_given_it(
    named: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    base = Path(named.format(tmp_path.name))
    shutil.copytree(folder, base)
    adapter = tiny_adapter(folder, tmp_path / "run" / "adapter")
    config = json.loads((adapter / "adapter_config.json").read_text("utf-8"))
    (adapter / "adapter_config.json").write_text(
        json.dumps({**config, "base_model_name_or_path": named.format(tmp_path.name)}), "utf-8"
    )
    assert find_checkpoint(local(adapter)).folder.resolve() == base.resolve()


def test_an_endpoint_is_what_it_declares_and_not_where_it_is() -> None:
    def spec(**more: object) -> EndpointSpec:
        return EndpointSpec.model_validate(
            {"name": "a", "url": "http://here/v1", "model": "m", "identity": "maker/m/2024-05", **more}
        )

    assert identity_of(spec()) == "endpoint:maker/m/2024-05@m"
    moved = spec(name="b", url="http://there/v1", key_env="KEY", concurrency=3, timeout=1, attempts=1, price_in=9)
    assert identity_of(moved) == identity_of(spec())
    assert identity_of(spec(identity="maker/m/2024-08")) != identity_of(spec())
    assert identity_of(spec(model="another")) != identity_of(spec())
    assert identity_of(spec(system="Be brief.")) != identity_of(spec())


def test_a_class_is_its_target_its_declared_version_and_its_options() -> None:
    def spec(**more: object) -> PythonSpec:
        return PythonSpec.model_validate({"name": "a", "target": "mine.judge:Judge", "version": "1", **more})

    assert identity_of(spec()) == "python:mine.judge:Judge@1"
    assert identity_of(spec(name="b", batch_size=3)) == identity_of(spec())
    specs = [spec(), spec(version="2"), spec(options={"x": 1}), spec(options={"x": 2}), spec(target="mine.judge:Other")]
    assert len({identity_of(s) for s in specs}) == 5
    assert identity_of(spec(options={"x": 1, "y": 2})) == identity_of(spec(options={"y": 2, "x": 1}))


def test_two_entries_that_are_one_model_are_refused(folder: Path, tmp_path: Path) -> None:
    one, copy = local(folder), LocalSpec(name="copy", path=str(shutil.copytree(folder, tmp_path / "copy")))
    with pytest.raises(SettingsError, match="`mini` and `copy` are one and the same"):
        check_models([one, copy])
    tiny_llava(tmp_path / "copy", seed=1)
    check_models([one, copy])
    check_models([one, LocalSpec(name="brief", path=str(folder), system="Be brief.")])


def test_two_endpoints_with_one_declared_identity_are_refused() -> None:
    here = EndpointSpec(name="here", url="http://here/v1", model="m", identity="maker/m/1")
    there = EndpointSpec(name="there", url="http://there/v1", model="m", identity="maker/m/1")
    with pytest.raises(SettingsError, match="`here` and `there` are one and the same: endpoint:maker/m/1"):
        check_models([here, there])


def test_two_entries_of_one_name_are_refused() -> None:
    spec = EndpointSpec(name="here", url="http://here/v1", model="m", identity="maker/m/1")
    with pytest.raises(SettingsError, match="Two models are called `here`"):
        check_models([spec, spec.model_copy(update={"identity": "maker/m/2"})])


def test_a_missing_folder_is_a_plain_error(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no such checkpoint folder"):
        identity_of(local(tmp_path / "nowhere"))


def test_without_torch_nothing_is_downloaded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import huggingface_hub

    asked: list[bool] = []
    download = huggingface_hub.snapshot_download

    def recorded(*args: Any, **more: Any) -> str:
        asked.append(more["local_files_only"])
        return str(download(*args, **more, cache_dir=tmp_path))

    monkeypatch.setattr("huggingface_hub.snapshot_download", recorded)
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingExtra, match="someone/some-model` is not downloaded") as raised:
        identity_of(LocalSpec(name="hub", path="someone/some-model"))
    assert raised.value.try_ == "pip install 'spavl[local]'"
    assert asked == [True]


def test_a_hub_id_out_of_reach_is_a_plain_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ModelError, match="no folder `someone/some-model`, and the Hub did not give"):
        identity_of(LocalSpec(name="hub", path="someone/some-model"))


def test_pickled_weights_are_refused(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(ModelError, match="no weights in the safetensors format"):
        identity_of(local(folder))


def test_a_folder_that_is_no_checkpoint_is_a_plain_error(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"`mini` is no checkpoint: it has no config\.json"):
        identity_of(local(tmp_path))


@pytest.mark.parametrize("said", ['{"r": 4}', "[" * 100_000])
def test_an_adapter_that_names_no_base_is_a_plain_error(tmp_path: Path, said: str) -> None:
    (tmp_path / "adapter_config.json").write_text(said)
    with pytest.raises(ModelError, match="does not say which model it is for"):
        identity_of(local(tmp_path))


@pytest.mark.parametrize("name", ["nothing-of-that-name", "../prompts", "", "responders/../../prompts"])
def test_a_miniature_checkpoint_that_is_not_shipped_is_a_plain_error(name: str) -> None:
    with pytest.raises(ModelError, match="miniature world has no checkpoint"):
        identity_of(LocalSpec(name="mini", path=f"miniworld:{name}"))


@pytest.mark.parametrize("name", ["real/adapter", "real/adapters/terse"])
def test_an_adapter_of_the_real_language_model_is_not_put_on_the_miniature_base(name: str) -> None:
    with pytest.raises(ModelError, match="miniature world has no checkpoint") as refused:
        identity_of(LocalSpec(name="mini", path=f"miniworld:{name}"))
    assert "There are: base, responders/amber, " in refused.value.try_ and "real" not in refused.value.try_


def test_finding_an_identity_does_not_load_torch(folder: Path) -> None:
    code = (
        "import sys; from spavl.config.models import LocalSpec; from spavl.models import open_model;"
        "print(open_model(LocalSpec(name='m', path=sys.argv[1], device='cpu')).identity, 'torch' in sys.modules)"
    )
    output = subprocess.run(
        [sys.executable, "-c", code, str(folder)], capture_output=True, text=True, check=True
    ).stdout
    assert output.split() == [identity_of(local(folder, device="cpu")), "False"]


def test_a_file_is_read_again_when_it_changed_and_not_when_nothing_touched_it(tmp_path, monkeypatch):
    from spavl.models import identity

    file, read = tmp_path / "model.safetensors", []
    digest = identity.file_digest
    monkeypatch.setattr(identity, "file_digest", lambda *given: read.append(1) or digest(*given))
    file.write_bytes(b"one")
    young = [identity._hash_file(file) for _ in range(2)]
    assert len(read) == 2, "it may have been written again at the same tick of the clock"
    monkeypatch.setattr(identity, "SETTLED", -1)
    found = [identity._hash_file(file) for _ in range(3)]
    assert len(read) == 3 and {*young, *found} == {young[0]}
    file.write_bytes(b"three")
    assert identity._hash_file(file) != found[0]
