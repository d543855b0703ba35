"""Filters of collect: each refuses what it is for, with a reason, and what was measured is not measured again."""

from __future__ import annotations

import io
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from pydantic import ValidationError

from spavl.config.build import CollectSettings
from spavl.config.filters import FilterSettings
from spavl.dataset.collect import Filters, Rejected, collect, find, open_filters, store
from spavl.dataset.collect.inspect import Checks
from spavl.dataset.collect.measured import FILE
from spavl.dataset.collect.tools import ClassifierFilter, EncoderTool, SimilarityFilter, TextFilter
from spavl.errors import MissingExtra, ModelError, SettingsError
from spavl.records import ImageRecord
from spavl.taxonomy import load_taxonomy
from tests.dataset.pictures import collected, noise, write_files


@dataclass
class Brightness:
    """A tool that measures how bright a picture is, from 0 to 1, and counts what it is shown."""

    identity: str = "brightness"
    seen: int = 0

    def measure(self, pictures: Sequence[Image.Image]) -> NDArray[np.float32]:
        """Brightness, and 3 for pieces of text: `[N, 2]`."""
        self.seen += len(pictures)
        return np.array([[np.asarray(one).mean() / 255, 3] for one in pictures], np.float32)


@dataclass
class Colours:
    """An encoder whose space is that of colours: texts are their names."""

    identity: str = "colours"
    texts: list[str] = field(default_factory=list)

    def encode_images(self, images: Sequence[Image.Image]) -> NDArray[np.float32]:
        """Mean colours, of length one."""
        means = np.array([np.asarray(one).mean((0, 1)) + 1e-3 for one in images], np.float32)
        return means / np.linalg.norm(means, axis=1, keepdims=True)

    def encode_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Vectors of the colours red, green and blue."""
        self.texts += texts
        return np.array([np.eye(3)[["red", "green", "blue"].index(one)] for one in texts], np.float32)


def plain(colour: str | tuple[int, int, int], size: tuple[int, int] = (16, 16)) -> bytes:
    """A picture of one colour."""
    out = io.BytesIO()
    Image.new("RGB", size, colour).save(out, "PNG")
    return out.getvalue()


def passed(folder: Path, filters: Filters) -> list[ImageRecord | Rejected]:
    """What becomes of the pictures of `folder/pictures`."""
    candidates = find(CollectSettings(folder=str(folder / "pictures")), load_taxonomy())
    return list(collect(candidates, folder=folder / "run", filters=filters))


def filters_of(*tools: Any, **changes: Any) -> Filters:
    """Filters with some tools."""
    return Filters(checks=Checks(max_pixels=10**6), tools=tools, **changes)


@pytest.mark.parametrize(
    ("size", "kind", "said"),
    [
        ((31, 64), "resolution", "31×64 pixels is smaller than 32×48"),
        ((64, 47), "resolution", "64×47 pixels is smaller than 32×48"),
        ((400, 48), "aspect", "its longer side is 8.3 times the shorter one, more than `collect.filters.max_"),
        ((48, 193), "aspect", "its longer side is 4.0 times"),
    ],
)  # fmt: skip
def test_small_and_narrow_pictures_are_refused(size: tuple[int, int], kind: str, said: str, tmp_path: Path) -> None:
    files: dict[str | bytes, bytes] = {"weapon/x.png": noise(size=size), "weapon/y.png": noise(1, size=(32, 48))}
    wanted = FilterSettings(min_width=32, min_height=48, max_aspect=4)
    records, (rejected,) = collected(write_files(tmp_path / "pictures", files), filters=wanted)
    assert [(r.width, r.height) for r in records] == [(32, 48)]
    assert rejected.kind == kind
    assert rejected.reason.startswith(said)


def test_too_much_text_is_refused_and_what_was_found_is_kept(tmp_path: Path) -> None:
    write_files(tmp_path / "pictures", {"weapon/a.png": plain("white"), "weapon/b.png": plain((51, 51, 51))})
    rejected, record = passed(tmp_path, filters_of(TextFilter(Brightness(), max_share=0.5)))
    assert isinstance(rejected, Rejected)
    assert (rejected.kind, rejected.file.rsplit("/", 1)[-1]) == ("text", "a.png")
    assert rejected.reason.startswith("text covers 100.0% of it, more than")
    assert isinstance(record, ImageRecord)
    assert (record.text_share, record.text_boxes) == (0.2, 3)


def test_labels_refuse_together_from_their_threshold_on(tmp_path: Path) -> None:
    write_files(tmp_path / "pictures", {"weapon/a.png": plain((128, 128, 128)), "weapon/b.png": plain("black")})
    one = ClassifierFilter(Brightness(), refused=[0], names=["nsfw"], threshold=0.5)
    rejected, record = passed(tmp_path, filters_of(one))
    assert isinstance(rejected, Rejected)
    assert rejected.kind == "classifier"
    assert rejected.reason == "the classifier says `nsfw` with probability 0.50"
    assert isinstance(record, ImageRecord)


def test_a_picture_is_compared_with_the_keywords_of_its_own_subcategory(tmp_path: Path) -> None:
    files: dict[str | bytes, bytes] = {"cyber/a.png": plain("red"), "weapon/b.png": plain("blue", (17, 16))}
    write_files(tmp_path / "pictures", {**files, "weapon/c.png": plain("red", (18, 16))})
    colours = Colours()
    words = {"cyber": ("green", "red"), "weapon": ("blue",)}
    one = SimilarityFilter(EncoderTool(colours), least=0.5, keywords=words.__getitem__)
    red, blue, wrong = passed(tmp_path, filters_of(one))
    assert isinstance(red, ImageRecord)
    assert isinstance(blue, ImageRecord)
    assert isinstance(wrong, Rejected)
    assert red.keyword_similarity == pytest.approx(1, abs=1e-4)
    assert wrong.kind == "similarity"
    assert "its similarity to the keywords of weapon is 0.000, below" in wrong.reason
    assert colours.texts == ["green", "red", "blue"]


def test_a_subcategory_without_keywords_is_compared_with_its_name(tmp_path: Path) -> None:
    write_files(tmp_path / "pictures", {"weapon/a.png": plain("red")})
    one = SimilarityFilter(EncoderTool(Colours()), least=0.5, keywords=lambda name: [])
    with pytest.raises(ValueError, match="'weapon' is not in list"):  # the name reaches the encoder
        passed(tmp_path, filters_of(one))


def test_what_was_measured_is_not_measured_again(tmp_path: Path) -> None:
    write_files(tmp_path / "pictures", {f"weapon/{n}.png": noise(n) for n in range(5)})
    tool = Brightness()
    passed(tmp_path, filters_of())
    assert not (tmp_path / "run" / FILE).exists()
    first = passed(tmp_path, filters_of(TextFilter(tool, 0.9)))
    assert (tool.seen, len(first)) == (5, 5)
    assert passed(tmp_path, filters_of(TextFilter(tool, 0.9))) == first
    assert tool.seen == 5
    passed(tmp_path, filters_of(TextFilter(Brightness("another"), 0.9)))
    write_files(tmp_path / "pictures", {"weapon/new.png": noise(9)})
    passed(tmp_path, filters_of(TextFilter(tool, 0.1)))
    assert tool.seen == 6


def test_damaged_measurements_are_measured_anew(tmp_path: Path) -> None:
    write_files(tmp_path / "pictures", {"weapon/x.png": noise()})
    tool = Brightness()
    first = passed(tmp_path, filters_of(TextFilter(tool, 0.9)))
    (tmp_path / "run" / FILE).write_bytes(b"no database" * 999)
    assert passed(tmp_path, filters_of(TextFilter(tool, 0.9))) == first
    assert tool.seen == 2


def test_a_picture_that_fails_one_tool_is_not_shown_to_the_next(tmp_path: Path) -> None:
    write_files(tmp_path / "pictures", {"weapon/a.png": plain("white"), "weapon/b.png": plain("black")})
    second = Brightness("second")
    passed(tmp_path, filters_of(TextFilter(Brightness(), 0.5), ClassifierFilter(second, [0], ["x"], 0.9)))
    assert second.seen == 1


@pytest.mark.parametrize("window", [1, 2, 3, 64])
def test_a_duplicate_of_a_picture_that_is_not_used_is_judged_by_itself(
    window: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same bytes fit one subcategory and not another, wherever a window ends."""
    monkeypatch.setattr(store, "WINDOW", window)
    data = plain("red")
    write_files(tmp_path / "pictures", {"cyber/a.png": data, "weapon/b.png": data, "weapon/c.png": data})
    words = {"cyber": ("blue",), "weapon": ("red",)}
    one = SimilarityFilter(EncoderTool(Colours()), least=0.5, keywords=words.__getitem__)
    outcomes = passed(tmp_path, filters_of(one))
    kinds = [one.kind if isinstance(one, Rejected) else "used" for one in outcomes]
    assert kinds == ["similarity", "used", "exact duplicate"]


@pytest.mark.parametrize("module", ["rapidocr", "onnxruntime"])
def test_text_without_the_extra_is_one_sentence(module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == "rapidocr"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingExtra) as error:
        open_filters(CollectSettings(filters=FilterSettings(max_text_share=0.1)), lambda name: ())
    assert error.value.try_ == "pip install 'spavl[ocr]'"


@pytest.mark.parametrize(
    "wrong",
    [
        {"min_similarity": 0.2}, {"embedding_duplicate_cosine": 0.9}, {"encoder": "x"}, {"max_aspect": 0.5},
        {"classifier": {"path": "x"}}, {"classifier": {"labels": ["x"]}}, {"near_duplicate_distance": 200},
    ],
)  # fmt: skip
def test_filters_that_cannot_work_are_refused_with_the_settings(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        FilterSettings.model_validate(wrong)


def classifier(folder: Path) -> Path:
    """A small classifier with random weights and two labels."""
    import torch
    from transformers import ViTConfig, ViTForImageClassification, ViTImageProcessorPil

    torch.manual_seed(0)
    config = ViTConfig(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16, image_size=32, patch_size=8,
        id2label={0: "safe", 1: "nsfw"}, label2id={"safe": 0, "nsfw": 1},
    )  # fmt: skip
    ViTForImageClassification(config).save_pretrained(folder)
    ViTImageProcessorPil(size={"height": 32, "width": 32}).save_pretrained(folder)
    return folder


def test_any_checkpoint_that_classifies_images_is_a_filter(tmp_path: Path) -> None:
    path = classifier(tmp_path / "classifier")
    write_files(tmp_path / "pictures", {f"weapon/{n}.png": noise(n) for n in range(3)})

    def used(threshold: float) -> int:
        named = {"path": str(path), "labels": ["nsfw"], "threshold": threshold}
        settings = CollectSettings(filters=FilterSettings.model_validate({"classifier": named, "device": "cpu"}))
        outcomes = passed(tmp_path, open_filters(settings, lambda name: ()))
        return sum(isinstance(one, ImageRecord) for one in outcomes)

    assert (used(0.0), used(1.0)) == (0, 3)


def test_an_unknown_label_is_refused_with_those_that_there_are(tmp_path: Path) -> None:
    named = {"path": str(classifier(tmp_path)), "labels": ["porn"]}
    settings = CollectSettings(filters=FilterSettings.model_validate({"classifier": named, "device": "cpu"}))
    with pytest.raises(SettingsError) as error:
        open_filters(settings, lambda name: ())
    assert "no label `porn`" in error.value.what
    assert error.value.try_ == "its labels are: safe, nsfw"


@pytest.mark.parametrize("path", ["miniworld:base", "no/such-folder/anywhere"])
def test_what_is_no_classifier_is_refused_with_a_sentence(path: str) -> None:
    named = {"path": path, "labels": ["nsfw"]}
    settings = CollectSettings(filters=FilterSettings.model_validate({"classifier": named, "device": "cpu"}))
    with pytest.raises(ModelError):
        open_filters(settings, lambda name: ())
