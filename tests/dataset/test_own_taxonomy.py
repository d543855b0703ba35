"""Folders of pictures under taxonomies of one, two and three levels, and folders named by aliases."""

from __future__ import annotations

from pathlib import Path

import pytest

from spavl.config.build import CollectSettings
from spavl.dataset.collect import find
from spavl.records import Topic
from spavl.taxonomy import load_taxonomy
from tests.dataset.pictures import collected, noise, write_files

TREES = {
    "subcategories: [{name: tea, aliases: [green tea]}, cake]": ("", ""),
    "categories: {kitchen: [{name: tea, aliases: [green tea]}, cake]}": ("", "kitchen"),
    "domains: {house: {kitchen: [{name: tea, aliases: [green tea]}, cake]}}": ("house", "kitchen"),
}


@pytest.mark.parametrize("text", TREES)
def test_sub_folders_name_the_topics_of_a_taxonomy_of_any_depth(text: str, tmp_path: Path) -> None:
    (tmp_path / "tree.yaml").write_text(text)
    files = ("tea/a.png", "Green-Tea/benign/b.png", "house/kitchen/cake/c.png")
    folder = write_files(tmp_path / "pictures", {name: noise(n) for n, name in enumerate(files)})
    found = list(
        find(CollectSettings(folder=str(folder), heldout=("GREEN TEA",)), load_taxonomy(tmp_path / "tree.yaml"))
    )
    domain, category = TREES[text]
    tea, cake = (Topic(class1=domain, class2=category, class3=name) for name in ("tea", "cake"))
    assert {Path(c.name).name: (c.topic, c.benign, c.heldout) for c in found} == {
        "a.png": (tea, False, True), "b.png": (tea, True, True), "c.png": (cake, False, False)
    }  # fmt: skip
    assert all(c.image_id.startswith(f"{c.topic.class3}/") for c in found)


def test_a_folder_or_a_setting_may_name_a_subcategory_by_an_alias(tmp_path: Path) -> None:
    folder = write_files(tmp_path / "pictures", {"Payday Loans/a.png": noise(1), "b.png": noise(2)})
    records, _ = collected(folder, topic="weapons", heldout=("scams", "payday lending"))
    assert [(r.topic.class3, r.heldout) for r in records] == [("paypal lending", True), ("weapon", False)]
