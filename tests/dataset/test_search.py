"""Search of pictures by words: what is encoded, what is found, and under which subcategory."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from spavl.cli.commands import app
from spavl.config import Settings
from spavl.config.build import BuildSettings, CollectSettings
from spavl.config.search import SearchSettings
from spavl.dataset.collect import search as searching
from spavl.dataset.collect.search import PictureSearch, find_by_keywords
from spavl.errors import DataError, ModelError, SettingsError, SpavlError
from spavl.pipeline.collect import candidates, collect_fingerprint, collect_slices
from spavl.pipeline.session import Session
from spavl.progress import NoProgress
from spavl.taxonomy import Taxonomy, load_taxonomy
from tests.encoders import ENCODERS
from tests.tiny import picture


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A saved CLIP model; not to be written into."""
    return ENCODERS["clip"][0](tmp_path_factory.mktemp("clip"))


@pytest.fixture
def album(tmp_path: Path) -> Path:
    """A folder with nine pictures in sub-folders that are called after nothing."""
    for number in range(9):
        picture(tmp_path / "album" / f"{number % 3}" / f"{number}.png", seed=number)
    return tmp_path / "album"


@pytest.fixture
def settings(album: Path, clip: Path, tmp_path: Path) -> SearchSettings:
    """A search over the album."""
    return SearchSettings(folder=str(album), encoder=str(clip), device="cpu", vectors=str(tmp_path / "vectors"))


TREE = """domains:
  Things:
    Kitchen:
      - {name: cup, keywords: [a red cup, a blue cup]}
      - {name: lamp, keywords: [a lamp]}
    Outside:
      - {name: tree, keywords: [a green tree]}
"""


@pytest.fixture
def taxonomy(tmp_path: Path) -> Taxonomy:
    """Three subcategories with four keywords, which the tiny encoder's vocabulary has."""
    path = tmp_path / "taxonomy.yaml"
    path.write_text(TREE, "utf-8")
    return load_taxonomy(path)


def counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Numbers of pictures that are encoded from now on, batch by batch."""
    from spavl.models.backends.local_towers import TowerEncoder

    seen: list[int] = []
    real = TowerEncoder.encode_images

    def encode_images(self: TowerEncoder, images: list[Image.Image]) -> object:
        seen.append(len(images))
        return real(self, images)

    monkeypatch.setattr(TowerEncoder, "encode_images", encode_images)
    return seen


def opened(settings: SearchSettings, **more: bool) -> PictureSearch:
    """The search of the settings."""
    return PictureSearch(settings, max_pixels=10_000_000, **more)


def test_each_picture_comes_once_under_the_subcategory_whose_keyword_it_is_most_similar_to(
    settings: SearchSettings, taxonomy: Taxonomy, album: Path, clip: Path
) -> None:
    from spavl.models.backends.local_encoder import open_encoder
    from spavl.pictures import open_upright

    found = list(find_by_keywords(CollectSettings(source="search", search=settings), taxonomy, NoProgress()))
    keywords = [(topic.class3, word) for topic in taxonomy.topics for word in taxonomy.keywords(topic.class3)]
    encoder = open_encoder(str(clip), device="cpu")
    files = sorted(album.rglob("*.png"))
    products = (
        encoder.encode_images([open_upright(file) for file in files])
        @ encoder.encode_texts([f"a photo of {word}" for _, word in keywords]).T
    )
    assert sorted(one.name for one in found) == [str(file) for file in files]
    for one in found:
        row = products[[str(file) for file in files].index(one.name)]
        assert one.topic.class3 == keywords[int(row.argmax())][0]
        assert one.similarity == pytest.approx(float(row.max()), abs=2e-3)
        assert one.read(10**6) == Path(one.name).read_bytes()
    places = {topic.class3: number for number, topic in enumerate(taxonomy.topics)}
    order = [(places[one.topic.class3], -(one.similarity or 0)) for one in found]
    assert order == sorted(order)
    assert len({one.image_id for one in found}) == 9


def test_pictures_are_encoded_once_and_again_when_their_file_changes(
    settings: SearchSettings, album: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = counted(monkeypatch)
    with opened(settings) as search:
        search.extend()
        before = search.hits(["a cup"], 20)
    assert sum(seen) == 9
    with opened(settings) as search:
        search.extend()
        assert search.hits(["a cup"], 20) == before
    assert sum(seen) == 9
    picture(album / "new" / "a.png", seed=77)
    picture(album / "0" / "0.png", seed=78, size=50)
    (album / "1" / "1.png").unlink()
    with opened(settings) as search:
        search.extend()
        found = {hit.path for hit in search.hits(["a cup"], 20)}
    assert sum(seen) == 11
    assert found == set(album.rglob("*.png"))


def test_a_stopped_run_goes_on_where_it_stopped(settings: SearchSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    small = settings.model_copy(update={"batch_size": 2})
    from spavl.dataset.collect.vectors import VectorTable

    real, left = VectorTable.append, [3]

    def append(self: VectorTable, entries: list[object], vectors: object) -> None:
        if not left[0]:
            raise KeyboardInterrupt
        left[0] -= 1
        real(self, entries, vectors)  # type: ignore[arg-type]

    monkeypatch.setattr(VectorTable, "append", append)
    with pytest.raises(KeyboardInterrupt), opened(small) as search:
        search.extend()
    left[0] = 100
    seen = counted(monkeypatch)
    with opened(small) as search:
        search.extend()
        assert len(search.hits(["a cup"], 20)) == 9
    assert sum(seen) == 3


def test_a_picture_that_cannot_be_opened_is_named_and_the_others_are_found(
    settings: SearchSettings, album: Path
) -> None:
    (album / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nno more")
    (album / "empty.jpg").write_bytes(b"")
    lines: list[str] = []

    class Lines(NoProgress):
        def log(self, line: str) -> None:
            lines.append(line)

    with PictureSearch(settings, max_pixels=10_000_000, progress=Lines()) as search:
        search.extend()
        assert len(search.hits(["a cup"], 20)) == 9
    assert len(lines) == 1
    assert "2 pictures cannot be searched" in lines[0]
    assert "empty.jpg: the file is empty" in lines[0]


def test_a_picture_that_the_encoder_refuses_is_named_and_those_beside_it_are_found(
    settings: SearchSettings, album: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from spavl.models.backends.local_towers import DualTower

    picture(album / "narrow.png", size=7)
    real = DualTower.pictures

    def refusing(self: DualTower, images: list[Image.Image]) -> object:
        if any(image.width == 7 for image in images):
            raise ValueError("too narrow")
        return real(self, images)

    monkeypatch.setattr(DualTower, "pictures", refusing)
    with opened(settings) as search:
        search.extend()
        assert [entry.name for entry, _ in search.table.refused()] == ["narrow.png"]
        assert "too narrow" in next(search.table.refused())[1]
        assert {hit.path for hit in search.hits(["a cup"], 20)} == set(album.rglob("*.png")) - {album / "narrow.png"}


def test_the_index_finds_what_the_exact_search_finds(settings: SearchSettings) -> None:
    pytest.importorskip("usearch")
    with opened(settings) as search:
        search.extend()
        exact = search.hits(["a cup", "a lamp"], 5)
    with opened(settings.model_copy(update={"index": "usearch"})) as search:
        assert search.hits(["a cup", "a lamp"], 5) == exact


def test_auto_means_the_index_only_for_many_pictures(settings: SearchSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("usearch")
    with opened(settings) as search:
        search.extend()
        search.hits(["a cup"], 5)
        assert not list(search.table.folder.glob("index-*"))
    monkeypatch.setattr(searching, "MANY", 8)
    with opened(settings) as search:
        search.hits(["a cup"], 5)
        assert list(search.table.folder.glob("index-*"))


def test_words_are_encoded_once(settings: SearchSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    with opened(settings) as search:
        search.extend()
        before = search.hits(["a cup"], 3)
    monkeypatch.setattr("spavl.models.backends.local_encoder.open_encoder", None)
    with opened(settings, writes=False) as search:
        assert search.hits(["a cup"], 3) == before


def test_who_only_plans_writes_nothing_and_is_told_to_encode_first(settings: SearchSettings) -> None:
    with pytest.raises(DataError, match="were not encoded yet") as refused, opened(settings, writes=False):
        pass
    assert "spavl search" in refused.value.try_
    assert not Path(settings.vectors).exists()


def test_pictures_below_the_least_similarity_are_left_out(settings: SearchSettings, taxonomy: Taxonomy) -> None:
    def found(least: float | None) -> list[float]:
        wanted = settings.model_copy(update={"min_similarity": least})
        collect = CollectSettings(source="search", search=wanted)
        return [one.similarity or 0.0 for one in find_by_keywords(collect, taxonomy, NoProgress())]

    everything = found(None)
    middle = float(np.median(everything))
    assert sorted(found(middle)) == sorted(one for one in everything if one >= middle)
    with pytest.raises(DataError, match="similar enough"):
        found(1.0)


def test_a_subcategory_without_keywords_is_searched_by_its_name(settings: SearchSettings, tmp_path: Path) -> None:
    (tmp_path / "plain.yaml").write_text("domains: {Things: {Kitchen: [cup, lamp]}}", "utf-8")
    plain = load_taxonomy(tmp_path / "plain.yaml")
    found = list(find_by_keywords(CollectSettings(source="search", search=settings), plain, NoProgress()))
    assert len(found) == 9
    assert all(one.source.startswith(f"search:{one.topic.class3}:") for one in found)


def test_held_out_subcategories_are_marked(settings: SearchSettings, taxonomy: Taxonomy) -> None:
    collect = CollectSettings(source="search", search=settings, heldout=("cup",))
    for one in find_by_keywords(collect, taxonomy, NoProgress()):
        assert one.heldout == (one.topic.class3 == "cup")


@pytest.mark.parametrize(
    ("changed", "error", "sentence"),
    [
        ({"folder": None}, DataError, "No folder"),
        ({"folder": "/nowhere/at/all"}, DataError, "no such folder"),
        ({"encoder": None}, SettingsError, "No encoder"),
        ({"encoder": "/nowhere/at/all"}, ModelError, "no such checkpoint"),
        ({"encoder": "miniworld:base"}, ModelError, "no text tower"),
    ],
)
def test_what_is_missing_is_said_in_a_sentence(
    settings: SearchSettings, changed: dict[str, str | None], error: type[SpavlError], sentence: str
) -> None:
    with pytest.raises(error, match=sentence), opened(settings.model_copy(update=changed)) as search:
        search.extend()
        search.hits(["a cup"], 3)


def test_a_folder_without_pictures_is_said_to_be_one(settings: SearchSettings, tmp_path: Path) -> None:
    (tmp_path / "bare").mkdir()
    bare = settings.model_copy(update={"folder": str(tmp_path / "bare")})
    with pytest.raises(DataError, match="no pictures"), opened(bare) as search:
        search.extend()


def test_a_prompt_has_one_place_for_the_keyword() -> None:
    assert SearchSettings(prompt="{} on a table").prompt == "{} on a table"
    with pytest.raises(ValueError, match="once, where the keyword"):
        SearchSettings(prompt="a photo")


def test_the_command_prints_similarity_and_path_nearest_first(settings: SearchSettings, album: Path) -> None:
    words = [
        "search",
        str(album),
        "a cup",
        "--encoder",
        str(settings.encoder),
        "-k",
        "3",
        "--vectors",
        settings.vectors,
    ]
    done = CliRunner().invoke(app, words, env={"COLUMNS": "400"}, catch_exceptions=False)
    with opened(settings) as search:
        expected = [f"{hit.similarity:.3f}  {hit.path}" for hit in search.hits(["a cup"], 3)]
    lines = done.output.splitlines()
    assert lines[-3:] == expected
    assert done.exit_code == 0


def test_a_build_collects_what_is_found_with_its_similarity(settings: SearchSettings, tmp_path: Path) -> None:
    (tmp_path / "taxonomy.yaml").write_text(TREE, "utf-8")
    collect = CollectSettings(source="search", search=settings, taxonomy=str(tmp_path / "taxonomy.yaml"))
    wanted = Settings(
        out=str(tmp_path / "run"), store=str(tmp_path / "calls.sqlite"), build=BuildSettings(collect=collect)
    )
    counts: Counter[str] = Counter()
    with Session(wanted, NoProgress()) as session:
        before = collect_fingerprint(session)
        made = [line for table in collect_slices(session, counts, before[1]) for line in table.to_pylist()]
        assert collect_fingerprint(session) == before
    assert counts["made"] == len(made) == 9
    assert all(-1 <= line["keyword_similarity"] <= 1 for line in made)
    assert all((tmp_path / "run" / line["image_file"]).is_file() for line in made)
    with Session(wanted, NoProgress(), look_only=True) as session:
        assert sum(1 for _ in candidates(session)) == 9
