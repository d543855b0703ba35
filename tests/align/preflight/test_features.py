"""The features of a frozen tower: computed once, shared by trainings, and never a wrong number."""

import errno
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save

from spavl.align.data.feature_cache import FeatureCache
from spavl.align.data.views import in_view
from spavl.align.dpo.train import train_dpo
from spavl.align.policy.policy import make_policy
from spavl.align.preflight.device import DeviceContext
from spavl.align.preflight.features import TOLERANCE, features_as_asked, fill_features, why_live
from spavl.align.reward.train import train_reward
from spavl.config.align import FreezeSettings
from spavl.errors import RunError
from spavl.models.backends.local_vlm import VLM
from spavl.models.base import Prompt, Request, Sampling
from spavl.models.trees.tower import tower_fingerprint
from spavl.pictures import Picture
from spavl.progress import NoProgress
from spavl.records import ImageRef
from tests.families import CASES, build


class Tower:
    """Stands for a vision tower: a picture's features are made from its key; counts what it is asked."""

    def __init__(self, shift=0.0, dtype=torch.float32):
        self.shift, self.dtype, self.asked = shift, dtype, []

    def __call__(self, picture):
        self.asked.append(picture.key)
        values = torch.arange(6.0).reshape(1, 1, 2, 3) + len(picture.key) + self.shift
        return {"pixel_values": values.to(self.dtype), "image_sizes": torch.tensor([[4, 5]])}


def pictures(count, view="true"):
    return [in_view(Picture("k" * (number + 1), None), view) for number in range(count)]


def filled(folder, tower, count, fingerprint="abc"):
    cache = FeatureCache(folder, fingerprint)
    fill_features(cache, pictures(count), tower, tolerance=1e-3)
    return cache


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_what_a_tower_gave_is_read_as_it_was_in_another_process_too(tmp_path, dtype):
    filled(tmp_path, Tower(dtype=dtype), 5)
    cache = FeatureCache(tmp_path, "abc")
    for picture in pictures(5):
        found, made = cache.read(picture), Tower(dtype=dtype)(picture)
        assert found.keys() == made.keys()
        assert all(found[name].dtype == made[name].dtype and torch.equal(found[name], made[name]) for name in made)


def test_a_picture_is_computed_once_and_a_view_of_it_is_another(tmp_path):
    filled(tmp_path, Tower(), 6)
    tower = Tower()
    filled(tmp_path, tower, 8)
    assert len(tower.asked) == 4 + 2, "four are compared, two are new"
    assert FeatureCache(tmp_path, "abc").find(pictures(1, "crop")[0]) is None


def test_a_cache_of_another_tower_is_refused(tmp_path):
    filled(tmp_path, Tower(), 5)
    with pytest.raises(RunError, match="does not hold what this vision tower gives"):
        filled(tmp_path, Tower(shift=1.0), 5)


class OutlierTower(Tower):
    """The same with one feature that is far above all others, as hidden states of vision towers have."""

    def __call__(self, picture):
        given = super().__call__(picture)
        given["pixel_values"][..., 0] = 90.0
        return given


def test_one_large_feature_hides_no_other_tower(tmp_path):
    filled(tmp_path, OutlierTower(dtype=torch.bfloat16), 5)
    with pytest.raises(RunError, match="does not hold what this vision tower gives"):
        fill_features(
            FeatureCache(tmp_path, "abc"),
            pictures(5),
            OutlierTower(8.0, torch.bfloat16),
            tolerance=TOLERANCE["bfloat16"],
        )


def test_a_full_disk_is_said_and_leaves_nothing_behind(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(RunError, match="The cache of picture features cannot be written") as raised:
        filled(tmp_path, Tower(), 2)
    assert "align.features.mode=live" in raised.value.try_ and not list(tmp_path.rglob("*.*"))


def test_a_cache_is_read_by_whoever_may_read_the_folder(tmp_path):
    (part,) = filled(tmp_path, Tower(), 2).folder.glob("*.safetensors")
    (tmp_path / "plain").write_bytes(b"")
    assert part.stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_a_damaged_picture_is_computed_again_and_the_others_are_not(tmp_path):
    cache = filled(tmp_path, Tower(), 5)
    (part,) = cache.folder.glob("*.safetensors")
    content = bytearray(part.read_bytes())
    content[-1] ^= 1
    part.write_bytes(content)
    damaged = [picture for picture in pictures(5) if FeatureCache(tmp_path, "abc").find(picture) is None]
    assert len(damaged) == 1
    with pytest.raises(RunError, match="removed or damaged"):
        FeatureCache(tmp_path, "abc").read(damaged[0])
    tower = Tower()
    cache = filled(tmp_path, tower, 5)
    assert tower.asked[-1] == damaged[0].key and len(tower.asked) == 4 + 1
    assert torch.equal(cache.read(damaged[0])["pixel_values"], Tower()(damaged[0])["pixel_values"])


@pytest.mark.parametrize("damage", [b"", b"no part at all", b"\xff" * 64, save({"a": torch.zeros(1)})])
def test_a_part_that_cannot_be_opened_costs_its_pictures_alone(tmp_path, damage):
    first = filled(tmp_path, Tower(), 3)
    (part,) = first.folder.glob("*.safetensors")
    filled(tmp_path, Tower(), 5)
    part.write_bytes(damage)
    tower = Tower()
    cache = filled(tmp_path, tower, 5)
    assert sorted(map(len, tower.asked)) == sorted(len(one.key) for one in [*pictures(3), *pictures(5)[3:]])
    assert all(cache.find(picture) for picture in pictures(5))


def test_processes_that_fill_one_folder_at_the_same_time_do_not_disturb_each_other(tmp_path):
    caches = [FeatureCache(tmp_path, "abc") for _ in range(2)]
    for rank, cache in enumerate(caches):
        fill_features(cache, pictures(7)[rank::2], Tower(), tolerance=1e-3)
    for cache in caches:
        cache.open_new_files()
        assert all(cache.find(picture) for picture in pictures(7))


# ---- trainings


class Lines(NoProgress):
    """Keeps what is logged."""

    def __init__(self):
        self.lines = []

    def log(self, message, *more):
        self.lines.append(message)


def losses(folder):
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [value for row in rows for name, value in row.items() if name in ("loss", "margin", "held_out_loss")]


@pytest.fixture(scope="module")
def trained(pairs, settings_of_module, tmp_path_factory):
    """The same training with the tower live and with its features kept, losses on held-out pairs among the rest."""
    folder, notes = tmp_path_factory.mktemp("trained"), {}
    for mode in ("live", "cached"):
        settings = settings_of_module(
            features={"mode": mode}, validation={"held_out": 0.25}, saving={"log_every": 1},
            loss={"image_conditional": 0.5},
        )  # fmt: skip
        notes[mode] = Lines()
        train_dpo(pairs, settings, folder / mode, progress=notes[mode])
    return folder, notes, settings


def test_a_training_on_features_is_the_training_on_the_live_tower(trained):
    folder, notes, _ = trained
    live, cached = losses(folder / "live"), losses(folder / "cached")
    assert len(live) == len(cached) > 6
    assert max(abs(a - b) for a, b in zip(live, cached, strict=True)) <= 1e-5
    assert any("features of the vision tower are kept for 12 pictures" in line for line in notes["cached"].lines)


def test_another_training_on_the_same_tower_computes_no_feature_again(trained, pairs, tmp_path):
    _, _, settings = trained
    before = sorted(Path(settings.features.cache).rglob("*.safetensors"))
    changed = settings.model_copy(update={"loss": settings.loss.model_copy(update={"beta": 0.5})})
    train_dpo(pairs[:9], changed, tmp_path / "again")
    assert before == sorted(Path(settings.features.cache).rglob("*.safetensors"))


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"freeze": {"vision": "last:1"}}, "it is trained"),
        ({"freeze": {"vision": "lora"}}, "it is trained"),
    ],
)
def test_the_preflight_says_why_the_tower_runs_in_every_pass(changed, why, pairs, settings_for, tmp_path):
    notes = Lines()
    settings = settings_for(features={"mode": "cached"}, optimiser={"max_steps": 1}, **changed)
    train_dpo(pairs[:3], settings, tmp_path / "out", progress=notes)
    assert any(f"runs in every pass: {why}" in line for line in notes.lines)


def test_features_that_would_fill_the_disk_are_not_kept_unless_they_are_asked_for(
    pairs, settings_for, tmp_path, monkeypatch
):
    monkeypatch.setattr("spavl.align.preflight.features.MOST_OF_DISK", 0.0)
    notes = Lines()
    train_dpo(pairs[:3], settings_for(optimiser={"max_steps": 1}), tmp_path / "out", progress=notes)
    assert any("its features would take" in line for line in notes.lines)
    assert not (tmp_path / "features").exists()


def test_pictures_that_are_kept_already_need_no_room(trained, pairs, tmp_path, monkeypatch):
    """A training that is resumed goes on as it began, though its features have filled half of the disk since."""
    _, _, settings = trained
    monkeypatch.setattr("spavl.align.preflight.features.MOST_OF_DISK", 0.0)
    notes, features = Lines(), settings.features.model_copy(update={"mode": "auto"})
    again = settings.model_copy(update={"features": features})
    train_dpo(pairs, again, tmp_path / "again", progress=notes)
    assert any("are kept for" in line for line in notes.lines)


def test_all_processes_do_what_the_first_decides(pairs, settings_for, tmp_path, monkeypatch):
    notes = Lines()
    monkeypatch.setattr("spavl.align.preflight.features.broadcast_object_list", lambda own: [not own[0]])
    train_dpo(pairs[:3], settings_for(optimiser={"max_steps": 1}), tmp_path / "out", progress=notes)
    assert any("its features would take" in line for line in notes.lines), "this one has room, the first has not"


def test_ppo_and_an_unknown_family_run_the_tower_in_every_pass(settings_for):
    policy = make_policy(*build(CASES["llava"]), FreezeSettings(rank=2, alpha=4))
    assert why_live(settings_for(), policy) == ""
    assert "several models" in why_live(settings_for(method="ppo"), policy)
    unknown = replace(policy.family, facts=replace(policy.family.facts, projector_reads=""))
    assert "is not known" in why_live(settings_for(), replace(policy, family=unknown))


def test_a_reward_model_reads_features_too(pairs, settings_for, tmp_path):
    found = []
    for mode in ("live", "cached"):
        settings = settings_for(features={"mode": mode}, method="reward", optimiser={"max_steps": 2})
        train_reward(pairs, settings, tmp_path / mode)
        found.append(losses(tmp_path / mode))
    assert found[0] and all(abs(a - b) <= 1e-5 for a, b in zip(*found, strict=True))


@pytest.mark.parametrize("name", ["llava_next+mistral", "qwen2_5_vl"])
def test_a_model_answers_from_features_as_from_pictures_and_keeps_those_of_new_ones(name, tmp_path):
    model, processor = build(CASES[name])
    processor.tokenizer.padding_side = "left"
    policy = make_policy(model, processor, FreezeSettings(rank=2, alpha=4))
    context = DeviceContext(torch.device("cpu"), "float32")
    cache = FeatureCache(tmp_path / "cache", tower_fingerprint(policy.model, policy.family, "float32"))
    asked = []
    for number, size in enumerate([(60, 40), (36, 76)]):
        noise = np.random.default_rng(number).integers(0, 256, (*size[::-1], 3), dtype=np.uint8)
        Image.fromarray(noise).save(tmp_path / f"{number}.png")
        images = (ImageRef.of(tmp_path / f"{number}.png"),)
        asked += [Request(Prompt(text, images), Sampling(max_tokens=6)) for text in ("what", "is it")]
    live, *cached = (
        [reply.text for reply in VLM(policy.model, processor, "", policy.family, features=features).answer(asked)]
        for features in (None, *2 * [features_as_asked(cache, policy, context)])
    )
    assert live == cached[0] == cached[1] and any(live)
    (part,) = cache.folder.glob("*.safetensors")
    assert part.stat().st_size > 0, "the second time nothing is added"
