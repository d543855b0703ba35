"""Pictures that a processor refuses, and photographs that would cost thousands of tokens."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from spavl.align.data.validate import find_issues, report_issues
from spavl.align.preflight.usable_pairs import rules_for
from spavl.config.align import AlignSettings
from spavl.config.models import LocalSpec
from spavl.models.backends.local_vlm import VLM
from spavl.models.base import Prompt, Request, Sampling
from spavl.models.families import family_of
from spavl.models.identity import identity_of, stamp_of
from spavl.pictures import Picture
from spavl.preferences.pairs import Pair
from spavl.records import ImageRef
from tests.families import CASES, build

SIZES = {"thin.png": (1, 300), "wide.png": (9000, 3), "fine.png": (60, 40)}


@pytest.fixture(scope="module")
def qwen() -> tuple[Any, Any]:
    return build(CASES["qwen2_vl"])


@pytest.fixture
def pictures(tmp_path: Path) -> dict[str, Path]:
    for name, size in SIZES.items():
        Image.new("RGB", size, "red").save(tmp_path / name)
    return {name: tmp_path / name for name in SIZES}


def asked(path: Path) -> Request:
    return Request(Prompt("what is this ?", (ImageRef.of(path),)), Sampling(max_tokens=4), key=path.name)


@pytest.mark.parametrize("trees", [True, False])
def test_a_picture_that_the_processor_refuses_is_invalid_and_the_others_are_answered(qwen, pictures, trees) -> None:
    model, processor = qwen
    vlm = VLM(model, processor, "", family_of(model, processor) if trees else None)
    replies = vlm.answer([asked(path) for path in pictures.values()])
    assert [reply.status in ("ok", "truncated", "empty") for reply in replies] == [False, False, True]
    assert [reply.status for reply in replies[:2]] == ["invalid", "invalid"]
    assert all("processor refuses this" in reply.detail for reply in replies[:2])


def test_pairs_with_such_pictures_are_found_before_training_and_can_be_left_out(qwen, pictures) -> None:
    rules = rules_for(family_of(*qwen), AlignSettings(model="m"))
    pairs = [Pair(name, (Picture(name, path),), "?", "yes", "no") for name, path in pictures.items()]
    issues = find_issues(pairs, rules)
    assert issues == {0: "refused picture", 1: "refused picture"}
    (finding,) = report_issues(pairs, issues, lambda issue: "skip", family="Qwen2-VL")
    assert finding.rows == ("thin.png", "wide.png") and "Qwen2-VL's processor refuses" in finding.try_


def test_every_family_says_which_pictures_it_takes(qwen) -> None:
    for name in ("llava", "llava_next+llama", "internvl+qwen2"):
        assert family_of(*build(CASES[name])).accepts((60, 40))
    assert not family_of(*qwen).accepts((1, 300)) and family_of(*qwen).accepts((60, 40))


def test_a_cap_on_pixels_bounds_the_tokens_of_a_photograph(qwen, tmp_path: Path) -> None:
    model, processor = qwen
    free, bounded = family_of(model, processor), family_of(model, processor, 1200)
    assert bounded.num_picture_tokens((2000, 1500)) == free.num_picture_tokens((40, 30))
    assert bounded.num_picture_tokens((2000, 1500)) < free.num_picture_tokens((2000, 1500))
    photograph = Image.new("RGB", (2000, 1500))
    patches = bounded.pixels([photograph])["image_grid_thw"][0].prod().item()
    assert patches // processor.image_processor.merge_size**2 == bounded.num_picture_tokens((2000, 1500))
    photograph.save(tmp_path / "x.png")
    lengths = {
        most: VLM(model, processor, "", family, max_pixels=most).answer([asked(tmp_path / "x.png")])[0].prompt_tokens
        for most, family in ((1200, free), (1201, None), (None, free))
    }
    assert lengths[1200] == lengths[1201] < lengths[None]


def test_the_cap_is_part_of_the_identity_and_without_one_nothing_changes(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(b"0")
    plain = LocalSpec(name="m", path=str(tmp_path), device="cpu")
    capped = [plain.model_copy(update={"max_pixels": most}) for most in (None, 1, 2)]
    assert len({identity_of(spec) for spec in capped}) == 3 == len({str(stamp_of(spec)) for spec in capped})
    assert identity_of(capped[0]) == identity_of(plain)
