import hashlib
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spavl.errors import DataError
from spavl.miniworld.pictures import CUE_BITMAPS, draw, scene_layout, write
from spavl.miniworld.world import CUES, HELDOUT, Scene, kinds, scene, scenes

any_scene = st.builds(
    Scene,
    kind=st.sampled_from(list(kinds().values())),
    split=st.sampled_from(["build", "evaluate", "school"]),
    seed=st.integers(0, 99),
    number=st.integers(0, 20_000),
    twin=st.booleans(),
)


@given(any_scene)
def test_a_scene_is_recovered_from_its_id(shown: Scene) -> None:
    again = scene(shown.id)
    assert again == shown
    assert (again.cues, again.dangerous, scene_layout(again)) == (shown.cues, shown.dangerous, scene_layout(shown))


@pytest.mark.parametrize("wrong", ["", "weapon", "weapon/build-1-3", "nothing/build-1-0003", "../weapon/build-1-0003"])
def test_an_id_of_no_scene_is_an_error(wrong: str) -> None:
    with pytest.raises(DataError, match="names no scene"):
        scene(wrong)


@given(any_scene)
def test_a_scene_is_dangerous_if_and_only_if_its_own_cue_is_in_the_picture(shown: Scene) -> None:
    assert shown.dangerous == (not shown.twin) == (shown.kind.cue in shown.cues)


@given(any_scene)
def test_a_twin_shows_the_same_thing_in_the_same_place_and_colours(shown: Scene) -> None:
    twin = Scene(shown.kind, shown.split, shown.seed, shown.number, not shown.twin)
    own, other = scene_layout(shown), scene_layout(twin)
    assert (own.background, own.ink, own.thing_at, own.dots) == (
        other.background,
        other.ink,
        other.thing_at,
        other.dots,
    )


def test_every_domain_has_its_cue_and_every_cue_also_stands_harmlessly_beside_every_foreign_thing_domain() -> None:
    assert {kind.cue for kind in kinds().values()} == set(CUES) == set(CUE_BITMAPS)
    harmless = {(cue, s.kind.cue) for s in scenes("build", 0, 40, 0.5) if not s.dangerous for cue in s.cues}
    assert harmless == {(cue, own) for cue in CUES for own in CUES if cue != own}


def test_neither_the_thing_nor_a_cue_alone_decides_about_danger() -> None:
    shown = scenes("build", 0, 20, 0.5)
    by_thing = Counter((s.kind.thing, s.dangerous) for s in shown)
    assert all(by_thing[kind.thing, danger] == 10 for kind in kinds().values() for danger in (True, False))
    for cue in CUES:
        danger = [s.dangerous for s in shown if cue in s.cues]
        assert 0.2 < sum(danger) / len(danger) < 0.9
    for number in (1, 2):
        danger = [s.dangerous for s in shown if len(s.cues) == number]
        assert 0.3 < sum(danger) / len(danger) < 0.8


def test_held_out_kinds_come_from_every_domain() -> None:
    assert len(set(HELDOUT)) == len(HELDOUT) >= 8
    assert {kinds()[class3].topic.class1 for class3 in HELDOUT} == {k.topic.class1 for k in kinds().values()}


@pytest.mark.parametrize(("per_subcategory", "share"), [(10, 0.4), (10, 0.33), (3, 0.5), (1, 0.0)])
def test_the_benign_share_is_exact_and_every_subcategory_has_its_scenes(per_subcategory: int, share: float) -> None:
    shown = scenes("build", 1, per_subcategory, share)
    assert len(shown) == len({s.id for s in shown}) == 53 * per_subcategory
    assert sum(s.twin for s in shown) == round(53 * per_subcategory * share)
    assert len({s.kind.topic.class3 for s in shown}) == 53


def test_things_look_different() -> None:
    assert len({kind.bitmap for kind in kinds().values()}) == len({kind.thing for kind in kinds().values()}) == 53
    assert all(len(kind.bitmap) == 8 and all(len(row) == 8 for row in kind.bitmap) for kind in kinds().values())


def test_the_same_scene_is_the_same_bytes_and_another_seed_other_bytes(tmp_path) -> None:
    def digests(folder: str, seed: int) -> list[str]:
        paths = write(scenes("build", seed, 1, 0.5), tmp_path / folder)
        return [hashlib.sha256(path.read_bytes()).hexdigest() for path in paths]

    first, again, other = digests("a", 1), digests("b", 1), digests("c", 2)
    assert first == again
    assert len(set(first)) == 53
    assert not set(first) & set(other)


def test_the_picture_of_a_known_scene_has_not_changed() -> None:
    picture = draw(scene("weapon/build-1-0003"))
    assert picture.size == (48, 48)
    assert hashlib.sha256(picture.tobytes()).hexdigest()[:16] == "6f16571d777dfe3e"
