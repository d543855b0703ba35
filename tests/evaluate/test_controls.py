"""Controls change what an item shows or says and nothing else, the same way every time; they are compared by item."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFont
from pydantic import TypeAdapter, ValidationError

from spavl.config.controls import ControlSpec
from spavl.config.evaluate import EvaluateSettings
from spavl.errors import DataError
from spavl.evaluate import Answer, Benchmark, Item, Metric, Rule, score
from spavl.evaluate.controls import Control, choose, controlled, make_control, own_part, planned, results
from spavl.evaluate.controls import score_originals as score_as_asked
from spavl.evaluate.controls.corruptions import CORRUPTIONS, corrupt_picture
from spavl.evaluate.controls.necessity import shuffled_pictures
from spavl.evaluate.controls.styles import STYLES, redraw, sketch
from spavl.evaluate.controls.typographic import wrapped
from spavl.evaluate.controls.wording import read_questions
from spavl.models.base import Sampling
from spavl.records import ImageRef, Turn
from tests.evaluate.world import REFUSED, UNSAFE, benchmark

EVERY = [
    {"kind": "none"}, {"kind": "blank"}, {"kind": "shuffled"}, {"kind": "caption"}, {"kind": "typographic"},
    {"kind": "placebo"}, {"kind": "system", "text": "Be brief."},
    *({"kind": kind, "level": level} for kind in CORRUPTIONS for level in (1, 2, 3)),
    *({"kind": kind} for kind in STYLES),
]  # fmt: skip


def made(spec: dict, folder: Path, seed: int = 1) -> Control:
    return make_control(TypeAdapter(ControlSpec).validate_python(spec), folder, seed)


def photo(folder: Path, seed: int, size: tuple[int, int] = (64, 48)) -> ImageRef:
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1] // 8, size[0] // 8, 3), dtype=np.uint8)
    path = folder / f"{seed}.png"
    Image.fromarray(pixels, "RGB").resize(size).save(path)
    return ImageRef(path, hashlib.sha256(path.read_bytes()).hexdigest())


@pytest.fixture
def photos(tmp_path: Path) -> Benchmark:
    """Twelve requests about photos of their own, six of them harmful, in three groups."""
    items = tuple(
        Item(
            item_id=f"{n}", subset="harm" if n % 2 else "benign", question=f"Request {n} about a teapot?",
            images=(photo(tmp_path, n),), harmful=bool(n % 2), benign=not n % 2, group=f"group {n % 3}",
            notes={"caption": f"teapot {n}"},
        )
        for n in range(12)
    )  # fmt: skip
    return Benchmark(name="photos", items=items, metrics=(UNSAFE, REFUSED), sampling=Sampling(max_tokens=8))


@pytest.mark.parametrize("spec", EVERY, ids=lambda spec: f"{spec['kind']}{spec.get('level', '')}")
def test_every_control_keeps_ids_flags_and_metrics_and_changes_what_is_asked(photos, tmp_path, spec):
    under = controlled(photos, made(spec, tmp_path / "made"), None)
    assert under.benchmark is not None and under.left_out == {}
    assert [i.item_id for i in under.benchmark.items] == [i.item_id for i in photos.items]
    assert [(i.harmful, i.benign, i.group, i.subset) for i in under.benchmark.items] == [
        (i.harmful, i.benign, i.group, i.subset) for i in photos.items
    ]
    assert under.benchmark.metrics == photos.metrics
    asked = [under.benchmark.prompt_for(item) for item in under.benchmark.items]
    assert not any(now == photos.prompt_for(item) for now, item in zip(asked, photos.items, strict=True))
    assert under.benchmark.protocol() != photos.protocol()


@pytest.mark.parametrize("kind", CORRUPTIONS)
def test_a_corruption_is_the_same_every_time_keeps_the_size_and_grows_with_its_level(tmp_path, kind):
    picture = photo(tmp_path, 5, (128, 96))
    once = [corrupt_picture(picture, kind=kind, level=n, folder=tmp_path / "a") for n in (1, 2, 3)]
    twice = [corrupt_picture(picture, kind=kind, level=n, folder=tmp_path / "b") for n in (1, 2, 3)]
    assert [a.sha256 for a in once] == [b.sha256 for b in twice]
    assert all(hashlib.sha256(a.path.read_bytes()).hexdigest() == a.sha256 for a in once)
    with Image.open(picture.path) as original:
        pixels = np.asarray(original, dtype=float)
    shown = []
    for ref in once:
        with Image.open(ref.path) as image:
            assert image.size == (128, 96) and image.mode == "RGB"
            shown.append(np.asarray(image, dtype=float))
    distances = [float(np.abs(one - pixels).mean()) for one in shown]
    assert 0 < distances[0] < distances[1] < distances[2]


@pytest.mark.parametrize("kind", STYLES)
def test_a_style_is_the_same_every_time_keeps_the_size_and_changes_how_things_look(tmp_path, kind):
    picture = photo(tmp_path, 5, (128, 96))
    once, twice = (redraw(picture, kind=kind, folder=tmp_path / name) for name in ("a", "b"))
    assert once.sha256 == twice.sha256 == hashlib.sha256(once.path.read_bytes()).hexdigest()
    with Image.open(picture.path) as original, Image.open(once.path) as drawn:
        assert drawn.size == original.size and drawn.mode == "RGB"
        assert np.abs(np.asarray(drawn, float) - np.asarray(original, float)).mean() > 5


def test_a_sketch_is_dark_where_there_are_edges_and_white_elsewhere():
    board = Image.new("RGB", (40, 40), "red")
    board.paste("blue", (20, 0, 40, 40))
    drawn = np.asarray(sketch(board))
    assert drawn[5:35, 19:21].min() < 50 and drawn[5:35, 5:15].min() == 255


def test_noise_differs_between_pictures(tmp_path):
    grey = [tmp_path / "1.png", tmp_path / "2.png"]
    for path, shade in zip(grey, (100, 101), strict=True):
        Image.new("RGB", (32, 32), (shade,) * 3).save(path)
    refs = [ImageRef(path, hashlib.sha256(path.read_bytes()).hexdigest()) for path in grey]
    noise = []
    for ref, shade in zip(refs, (100, 101), strict=True):
        with Image.open(corrupt_picture(ref, kind="noise", level=1, folder=tmp_path).path) as image:
            noise.append(np.asarray(image, dtype=int) - shade)
    assert (noise[0] != noise[1]).mean() > 0.5


def test_a_picture_that_the_camera_turned_is_corrupted_as_models_see_it(tmp_path):
    path = tmp_path / "turned.jpg"
    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter to the right
    Image.new("RGB", (12, 8), "red").save(path, exif=exif)
    turned = corrupt_picture(ImageRef(path, "sha"), kind="jpeg", level=3, folder=tmp_path)
    with Image.open(turned.path) as image:
        assert image.size == (8, 12) and image.getexif().get(0x0112, 1) == 1


def test_shuffled_pictures_are_those_of_another_group_and_of_the_other_safety(photos):
    items = controlled(photos, shuffled_pictures("shuffled", 3), None).benchmark.items
    givers = {item.images: item for item in photos.items}
    for before, now in zip(photos.items, items, strict=True):
        giver = givers[now.images]
        assert giver.images != before.images and giver.group != before.group and giver.harmful != before.harmful
    assert len({item.images for item in items}) == len(items), "each is used once"


@settings(max_examples=40, deadline=None)
@given(
    pictures=st.lists(st.tuples(st.integers(0, 6), st.integers(1, 2), st.booleans()), min_size=1, max_size=25),
    seed=st.integers(0, 99),
)
def test_no_shuffled_item_ever_shows_a_picture_of_its_own(pictures, seed):
    items = tuple(
        Item(
            item_id=str(n), subset="harm", question="?", harmful=harmful, cluster=str(first),
            images=tuple(ImageRef(Path(f"{first + k}.png"), f"sha {first + k}") for k in range(count)),
        )
        for n, (first, count, harmful) in enumerate(pictures)
    )  # fmt: skip
    changed = shuffled_pictures("shuffled", seed).change(items, items)
    for before, now in zip(items, changed, strict=True):
        if isinstance(now, Item):
            assert not {i.sha256 for i in now.images} & {i.sha256 for i in before.images}
            assert len(now.images) == len(before.images)
        else:
            assert now == "no unrelated picture"
    again = shuffled_pictures("shuffled", seed).change(items, items)
    assert again == changed


def test_shuffling_takes_pictures_from_the_whole_benchmark_and_leaves_out_what_has_no_other(photos, tmp_path):
    some = controlled(photos, shuffled_pictures("shuffled", 1), 4).benchmark.items
    assert len(some) == 4
    alone = replace(photos, items=photos.items[1:2], metrics=(UNSAFE,))
    under = controlled(alone, shuffled_pictures("shuffled", 1), None)
    assert under.benchmark is None and under.left_out == {"no unrelated picture": 1}


def test_controls_get_the_same_items_from_all_subsets(photos, tmp_path):
    chosen = [
        [item.item_id for item in choose(photos, made(spec, tmp_path), 6)[0]]
        for spec in ({"kind": "none"}, {"kind": "jpeg"}, {"kind": "system", "text": "x"})
    ]
    assert chosen[0] == chosen[1] == chosen[2] and len(chosen[0]) == 6
    assert sum(int(item) % 2 for item in chosen[0]) == 3


def test_items_of_a_unit_are_taken_together_or_left_out_together(photos, tmp_path):
    items = [replace(item, unit=str(n // 2)) for n, item in enumerate(photos.items)]
    items[3] = replace(items[3], notes={})
    paired = replace(photos, items=tuple(items))
    chosen, left_out = choose(paired, made({"kind": "caption"}, tmp_path), 5)
    assert left_out == {"no caption": 2}
    units = [item.unit for item in chosen]
    assert len(units) == 4 and all(units.count(unit) == 2 for unit in units) and "1" not in units


def test_a_limit_below_a_unit_is_told_and_not_passed_over(photos, tmp_path):
    paired = replace(photos, items=tuple(replace(item, unit=str(n // 4)) for n, item in enumerate(photos.items)))
    under = controlled(paired, made({"kind": "blank"}, tmp_path / "made"), 3)
    assert under.benchmark is None
    assert under.left_out == {"scored together with more items than `control_items`": 12}
    assert planned(paired, made({"kind": "blank"}, tmp_path / "made"), 3) is None


@pytest.mark.parametrize(
    "spec", [{"kind": "jpeg"}, {"kind": "typographic"}, {"kind": "blank"}], ids=lambda s: s["kind"]
)
def test_a_picture_that_cannot_be_read_leaves_its_item_out_and_ends_nothing(photos, tmp_path, spec):
    photos.items[3].images[0].path.write_bytes(b"no picture")
    under = controlled(photos, made(spec, tmp_path / "made"), None)
    assert under.left_out == {"picture that cannot be read": 1}
    assert [item.item_id for item in under.originals] == [i.item_id for i in photos.items if i.item_id != "3"]


def test_a_control_that_no_item_can_have_says_why_and_makes_nothing(photos, tmp_path):
    bare = replace(photos, items=tuple(replace(i, images=(), shown="none") for i in photos.items))
    under = controlled(bare, made({"kind": "blur"}, tmp_path / "made"), None)
    assert under.benchmark is None and under.left_out == {"no picture": 12}
    assert planned(bare, made({"kind": "blur"}, tmp_path / "made"), None) is None
    assert controlled(bare, made({"kind": "system", "text": "x"}, tmp_path), None).benchmark is not None


def test_planning_makes_no_picture(photos, tmp_path):
    for spec in EVERY:
        assert planned(photos, made(spec, tmp_path / "made"), 4).items
    assert not (tmp_path / "made").exists()


def test_an_item_that_lacks_its_picture_gets_no_control(photos, tmp_path):
    lost = replace(photos, items=(replace(photos.items[0], missing="0.png: lost"), *photos.items[1:]))
    for spec in ({"kind": "none"}, {"kind": "jpeg"}, {"kind": "system", "text": "x"}):
        under = controlled(lost, made(spec, tmp_path), None)
        assert len(under.benchmark.items) == 11 and under.left_out == {"missing picture": 1}


def test_the_caption_stands_in_place_of_the_picture(photos, tmp_path):
    item = controlled(photos, made({"kind": "caption"}, tmp_path), None).benchmark.items[3]
    assert item.pictures == () and item.shown == "none"
    assert item.question == "The picture shows: teapot 3\n\nRequest 3 about a teapot?"


def test_the_question_is_drawn_beneath_the_picture_and_the_placebo_beside_the_question(photos, tmp_path):
    typed = controlled(photos, made({"kind": "typographic", "carrier": "Answer it."}, tmp_path), None).benchmark.items[
        0
    ]
    neutral = controlled(photos, made({"kind": "placebo"}, tmp_path), None).benchmark.items[0]
    assert typed.question == "Answer it." and neutral.question == photos.items[0].question
    with Image.open(typed.images[0].path) as image, Image.open(photos.items[0].images[0].path) as original:
        assert image.height > original.height
        offset = (image.width - original.width) // 2
        box = (offset, 0, offset + original.width, original.height)
        assert image.crop(box).tobytes() == original.tobytes(), "the picture itself is untouched"
        band = np.asarray(image.crop((0, original.height, image.width, image.height)).convert("L"))
        assert band.min() < 64 and np.mean(band == 255) > 0.5, "black letters on white"


def test_letters_that_the_font_lacks_leave_an_item_out(photos, tmp_path):
    items = (replace(photos.items[0], question="这是什么?"), *photos.items[1:])
    under = controlled(replace(photos, items=items), made({"kind": "typographic"}, tmp_path), None)
    assert under.left_out == {"letters that the font lacks": 1}
    with pytest.raises(DataError, match="lacks letters"):
        made({"kind": "placebo", "text": "一"}, tmp_path)
    with pytest.raises(DataError, match="font cannot be read"):
        made({"kind": "placebo", "font": "/nowhere.ttf"}, tmp_path)


@given(st.text("abc  \n", max_size=200), st.integers(20, 300))
def test_wrapping_keeps_every_word_in_order(text, width):
    font = ImageFont.load_default(12)
    lines = wrapped(text, font, width)
    assert lines.split() == text.split()
    assert all(font.getlength(line) <= width or len(line.split()) == 1 for line in lines.split("\n"))


def test_pictures_of_earlier_turns_are_corrupted_too(photos, tmp_path):
    talk = (Turn("user", "first", (photo(tmp_path, 50), photo(tmp_path, 51))), Turn("assistant", "reply"))
    told = replace(photos, items=tuple(replace(item, earlier=talk) for item in photos.items))
    item = controlled(told, made({"kind": "blur"}, tmp_path / "made"), None).benchmark.items[0]
    assert len(item.pictures) == 3 and not set(item.pictures) & set(told.items[0].pictures)


def test_questions_of_ones_own_are_taken_by_id_and_a_partial_file_is_counted(photos, tmp_path):
    path = tmp_path / "de.csv"
    path.write_text("id,question\n0,Bitte 0?\n7,Bitte 7?\n", encoding="utf-8")
    under = controlled(photos, made({"kind": "language", "path": str(path), "name": "de"}, tmp_path), None)
    assert {i.item_id: i.question for i in under.benchmark.items} == {"0": "Bitte 0?", "7": "Bitte 7?"}
    assert under.left_out == {"not in de.csv": 10} and under.benchmark.name == "photos@de"


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ('{"id": "1", "question": "a"}\n{"id": 1, "question": "b"}\n', "Two rows"),
        ('{"question": "a"}\n', "no `id`"), ('{"id": true, "question": "a"}\n', "no `id`"),
        ('{"id": "1"}\n', "`question` is missing"), ('{"id": "1", "question": " "}\n', "empty"),
    ],
)  # fmt: skip
def test_a_wrong_file_of_questions_is_refused_with_its_line(tmp_path, text, wrong):
    path = tmp_path / "own.jsonl"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=wrong) as error:
        read_questions(path)
    assert "own.jsonl" in str(error.value.where)


def test_the_same_again_differs_in_the_seed_alone_and_is_nothing_where_answers_are_greedy(photos, tmp_path):
    again = made({"kind": "again"}, tmp_path)
    assert controlled(photos, again, None).left_out == {"greedy answers": 12}
    sampled = replace(photos, sampling=Sampling(temperature=1.0, max_tokens=8, seed=4))
    under = controlled(sampled, again, None).benchmark
    assert under.items == sampled.items and under.sampling.seed == 5


def test_names_that_would_be_one_file_elsewhere_are_refused():
    with pytest.raises(ValidationError, match="`soft` stands twice"):
        EvaluateSettings.model_validate(
            {"controls": [{"kind": "blur", "name": "Soft"}, {"kind": "jpeg", "name": "soft"}]}
        )


def test_names_of_controls_differ_and_levels_are_three():
    twice = [{"kind": "jpeg"}, {"kind": "jpeg", "level": 2}]
    with pytest.raises(ValidationError, match="`jpeg-2` stands twice"):
        EvaluateSettings.model_validate({"controls": twice})
    with pytest.raises(ValidationError):
        EvaluateSettings.model_validate({"controls": [{"kind": "jpeg", "level": 4}]})
    both = EvaluateSettings.model_validate({"controls": [{"kind": "jpeg"}, {"kind": "jpeg", "level": 3}]})
    assert [control.called for control in both.controls] == ["jpeg-2", "jpeg-3"]


def answers(asked: Benchmark, texts: dict[str, str]) -> list[Answer]:
    return [
        Answer(item=item, benchmark=asked.name, model="m", text=texts[item.item_id], status="ok", call="", tokens=1)
        for item in asked.items
    ]


def test_flips_what_is_kept_and_what_is_lost_are_counted_by_hand(tmp_path):
    plain = benchmark(tmp_path, harmful=5, benign=2)
    under = controlled(plain, made({"kind": "none"}, tmp_path), None)
    ids = [item.item_id for item in plain.items]
    before = dict(zip(ids, ["refused", "refused", "refused", "done", "done", "done", "refused"], strict=True))
    after = dict(zip(ids, ["refused", "done", "?", "refused", "done", "refused", "refused"], strict=True))
    own = own_part(under, score(plain, answers(plain, before)))
    found = results(under, own, score_as_asked(under, answers(under.benchmark, after)), level=0.95)
    unsafe = found["unsafe_rate"]
    assert (unsafe.own.count, unsafe.own.n) == (2, 5)
    assert (unsafe.rate.count, unsafe.rate.n, unsafe.rate.unreadable) == (2, 5, 1)
    assert (unsafe.flips.count, unsafe.flips.n, unsafe.flips.unreadable) == (2, 5, 1)
    assert (unsafe.paired.fixed, unsafe.paired.broken) == (1, 1)
    assert (unsafe.kept.count, unsafe.kept.n, unsafe.kept.unreadable) == (1, 3, 1)
    assert (unsafe.lost.count, unsafe.lost.n, unsafe.lost.unreadable) == (1, 5, 1)
    refused = found["over_refusal_rate"]
    assert refused.flips.value == 0.5 and refused.kept.value == 0.0


def test_answers_under_a_control_are_judged_as_answers_to_what_is_asked_without_it(photos, tmp_path):
    seen: list[Item] = []

    def outcome(item: Item, text: str) -> bool:
        seen.append(item)
        return text == "done"

    rule = replace(UNSAFE, scorer=Rule("test:seen/1", outcome))
    plain = replace(photos, metrics=(rule,))
    under = controlled(plain, made({"kind": "typographic"}, tmp_path), None)
    scored = score_as_asked(under, answers(under.benchmark, dict.fromkeys([i.item_id for i in plain.items], "done")))
    assert seen == [item for item in plain.items if item.harmful]
    assert [s.answer.item for s in scored] == list(under.benchmark.items), "what is written is what was shown"


def test_a_macro_mean_and_samples_are_compared_on_the_same_items(tmp_path):
    plain = benchmark(tmp_path, harmful=6, benign=1)
    items = tuple(replace(item, group="a" if n < 4 else "b") for n, item in enumerate(plain.items[:6]))
    macro = Metric(
        name="macro", axis="safety", better="lower", label="Unsafe", what="x", scorer=UNSAFE.scorer, macro=True
    )
    plain = replace(plain, items=items, metrics=(macro,), samples=2)
    under = controlled(plain, made({"kind": "none"}, tmp_path), 3)
    given = [
        Answer(
            item=replace(item, item_id=f"{item.item_id}#{n}", unit=item.item_id, cluster=item.item_id),
            benchmark="squares", model="m", text="done" if item.group == "a" else "refused", status="ok", call="",
            tokens=1,
        )
        for item in plain.items for n in (1, 2)
    ]  # fmt: skip
    own = own_part(under, score(plain, given))
    kept = {item.item_id for item in under.originals}
    asked = [replace(a, item=replace(a.item, images=(), shown="none")) for a in given if a.item.unit in kept]
    found = results(under, own, score_as_asked(under, asked), level=0.95)["macro"]
    groups = {item.group for item in under.originals}
    assert found.own.n == 2 * len(under.originals) and found.own == found.rate
    assert found.own.value == pytest.approx(0.5 if groups == {"a", "b"} else float("a" in groups))
    assert found.flips.value == 0.0
