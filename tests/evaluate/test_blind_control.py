"""Blind controls replace or remove the pictures and keep everything else."""

from __future__ import annotations

from dataclasses import replace

from PIL import Image

from spavl.evaluate import blanked, pictureless
from spavl.records import ImageRef, Turn
from tests.evaluate.world import benchmark


def test_blanked_items_keep_everything_but_the_picture(tmp_path):
    made = benchmark(tmp_path)
    blank = blanked(made, tmp_path / "blank")
    assert [i.item_id for i in blank.items] == [i.item_id for i in made.items]
    assert {i.shown for i in blank.items} == {"blank"}
    paths = {i.images[0].path for i in blank.items}
    assert len(paths) == 1, "red and green squares of one size become one grey one"
    with Image.open(paths.pop()) as picture:
        assert picture.size == (12, 8) and picture.getcolors() == [(96, (127, 127, 127))]


def test_pictureless_items_declare_it(tmp_path):
    bare = pictureless(benchmark(tmp_path))
    assert {(i.images, i.shown) for i in bare.items} == {((), "none")}
    assert bare.prompt_for(bare.items[0]).images == ()
    assert bare.name == "squares-pictureless"


def test_a_picture_that_the_camera_turned_is_blanked_as_models_see_it(tmp_path):
    path = tmp_path / "turned.jpg"
    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter to the right
    Image.new("RGB", (12, 8), "red").save(path, exif=exif)
    made = benchmark(tmp_path)
    turned = replace(made, items=tuple(replace(i, images=(ImageRef(path, "sha"),)) for i in made.items))
    with Image.open(blanked(turned, tmp_path / "blank").items[0].images[0].path) as picture:
        assert picture.size == (8, 12)


def test_pictures_of_earlier_turns_are_replaced_too(tmp_path):
    made = benchmark(tmp_path)
    red, green = made.items[0].images[0], made.items[-1].images[0]
    talk = (Turn("user", "first", (red, green)), Turn("assistant", "reply"))
    made = replace(made, items=tuple(replace(i, earlier=talk) for i in made.items))
    blank, bare = blanked(made, tmp_path / "blank").items[0], pictureless(made).items[0]
    assert [len(t.images) for t in blank.earlier] == [2, 0] and len(blank.images) == 1
    assert not {red, green} & set(blank.pictures)
    assert bare.pictures == () and [t.text for t in bare.earlier] == ["first", "reply"]


def test_an_item_that_lacks_its_picture_stays_unasked_blanked_and_is_asked_without_pictures(tmp_path):
    made = benchmark(tmp_path)
    gone = (ImageRef(tmp_path / "gone.png", ""),)
    lost = replace(made, items=(replace(made.items[0], images=gone, missing="gone.png: lost"), *made.items[1:]))
    assert [bool(item.missing) for item in blanked(lost, tmp_path / "blank").items] == [True] + [False] * 9
    assert not any(item.missing for item in pictureless(lost).items)
