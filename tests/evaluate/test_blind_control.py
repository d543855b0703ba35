"""Blind controls replace or remove the pictures and keep everything else."""

from __future__ import annotations

from PIL import Image

from spavl.evaluate import blanked, pictureless
from tests.evaluate.world import benchmark


def test_blanked_items_keep_everything_but_the_picture(tmp_path):
    made = benchmark(tmp_path)
    blank = blanked(made, tmp_path / "blank")
    assert [i.item_id for i in blank.items] == [i.item_id for i in made.items]
    assert {i.shown for i in blank.items} == {"blank"}
    paths = {i.image.path for i in blank.items}
    assert len(paths) == 1, "red and green squares of one size become one grey one"
    with Image.open(paths.pop()) as picture:
        assert picture.size == (12, 8) and picture.getcolors() == [(96, (127, 127, 127))]


def test_pictureless_items_declare_it(tmp_path):
    bare = pictureless(benchmark(tmp_path))
    assert {(i.image, i.shown) for i in bare.items} == {(None, "none")}
    assert bare.prompt_for(bare.items[0]).images == ()
    assert bare.name == "squares-pictureless"
