"""Pictures are hostile input: each file is used or named with its reason, and none stops the others."""

from __future__ import annotations

import hashlib
import io
import os
import random
import struct
import zlib
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from spavl.atomic import write_json
from spavl.config.build import CollectSettings
from spavl.dataset.collect import Candidate, Rejected, collect, find
from spavl.errors import DataError, RunError
from spavl.records import ImageRecord
from spavl.tables import read_table, write_table
from spavl.taxonomy import load_taxonomy
from tests import samples

MOST = 1_000_000


def drawn(seed: int = 0, kind: str = "PNG", size: tuple[int, int] = (8, 6)) -> bytes:
    """Bytes of a small picture of noise."""
    pixels = random.Random(seed).randbytes(3 * size[0] * size[1])
    out = io.BytesIO()
    Image.frombytes("RGB", size, pixels).save(out, kind)
    return out.getvalue()


def claimed(width: int, height: int) -> bytes:
    """A PNG of a few bytes that says it is as large as that."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0" * 99)) + chunk(b"IEND", b"")


def put(folder: Path, files: dict[str | bytes, bytes]) -> Path:
    """Write files under a folder; names may be bytes."""
    for name, data in files.items():
        path = Path(os.fsdecode(os.path.join(os.fsencode(folder), os.fsencode(name))))  # noqa: PTH118
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return folder


def seen(folder: Path, most: int = MOST, **said: Any) -> tuple[list[ImageRecord], list[Rejected]]:
    """Find and collect the pictures of a folder into a run folder beside it."""
    settings = CollectSettings(folder=str(folder), **said)
    return collect(find(settings, load_taxonomy()), folder=folder.parent / "run", max_pixels=most)


def reason(folder: Path, data: bytes, most: int = MOST, name: str = "weapon/x.png") -> str:
    """Why a file is not used, where a good picture beside it is."""
    records, rejected = seen(put(folder / "pictures", {name: data, "weapon/good.png": drawn()}), most)
    assert [r.image_source for r in records] == ["folder:weapon/good.png"]
    (only,) = rejected
    assert only.file.endswith(name)
    return only.reason


# --- good pictures ----------------------------------------------------------------------------------------------------


def test_a_picture_becomes_a_record_and_a_copy_under_the_hash_of_its_bytes(tmp_path: Path) -> None:
    data = drawn()
    (record,), rejected = seen(put(tmp_path / "pictures", {"weapon/a knife.png": data}), license="CC0")
    digest = hashlib.sha256(data).hexdigest()
    assert rejected == []
    assert (record.width, record.height, record.license, record.topic) == (8, 6, "CC0", samples.WEAPON)
    assert (record.image_sha256, record.image_source) == (digest, "folder:weapon/a knife.png")
    assert record.image_file == f"images/{digest[:2]}/{digest}.png"
    assert (tmp_path / "run" / record.image_file).read_bytes() == data
    assert record.image_id.startswith("weapon/a-knife-")


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"])
def test_the_format_is_that_of_the_bytes_whatever_the_name_says(kind: str, tmp_path: Path) -> None:
    (record,), rejected = seen(put(tmp_path / "pictures", {"weapon/x.dat": drawn(kind=kind)}))
    assert rejected == []
    assert Path(record.image_file).suffix == {"JPEG": ".jpg", "TIFF": ".tif"}.get(kind, f".{kind.lower()}")


def test_the_jpeg_of_a_telephone_that_holds_two_pictures_is_a_jpeg(tmp_path: Path) -> None:
    out = io.BytesIO()
    first, second = (Image.new("RGB", (8, 6), color) for color in ("red", "blue"))
    first.save(out, "MPO", save_all=True, append_images=[second])
    (record,), rejected = seen(put(tmp_path / "pictures", {"weapon/x.jpg": out.getvalue()}))
    assert rejected == []
    assert record.image_file.endswith(".jpg")


def test_the_place_of_a_picture_names_its_topic(tmp_path: Path) -> None:
    folder = put(
        tmp_path / "pictures",
        {
            "weapon/a.png": drawn(1), "weapon/benign/b.png": drawn(2),
            "Malicious Use/Security threats/malware/c.png": drawn(3), "weapon/cyber/d.png": drawn(4),
        },
    )  # fmt: skip
    records, _ = seen(folder, heldout=("malware",))
    found = {r.image_source.rsplit("/", 1)[-1]: (r.topic.class3, r.benign, r.heldout) for r in records}
    assert found == {
        "a.png": ("weapon", False, False), "b.png": ("weapon", True, False), "c.png": ("malware", False, True),
        "d.png": ("cyber", False, False),
    }  # fmt: skip


def test_pictures_directly_in_the_folder_need_a_topic(tmp_path: Path) -> None:
    folder = put(tmp_path / "pictures", {"x.png": drawn()})
    with pytest.raises(DataError) as error:
        seen(folder)
    assert "No subcategory is named" in error.value.what
    assert error.value.where.endswith("x.png")
    assert "build.collect.topic" in error.value.try_
    (record,), _ = seen(folder, topic="weapon")
    assert record.topic == samples.WEAPON


def test_a_folder_that_names_no_subcategory_gets_the_nearest_name(tmp_path: Path) -> None:
    with pytest.raises(DataError) as error:
        seen(put(tmp_path / "pictures", {"Weapons/x.png": drawn()}))
    assert "the sub-folder `Weapons`" in error.value.what
    assert "did you mean `weapon`" in error.value.try_


@pytest.mark.parametrize("said", [{"topic": "wepon"}, {"heldout": ("wepon",)}])
def test_an_unknown_topic_or_heldout_subcategory_is_a_sentence(said: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(DataError) as error:
        seen(put(tmp_path / "pictures", {"x.png": drawn()}), **said)
    assert "did you mean `weapon`" in error.value.try_


def test_what_is_hidden_or_plainly_no_picture_is_passed_over(tmp_path: Path) -> None:
    folder = put(
        tmp_path / "pictures",
        {
            "weapon/x.png": drawn(), "weapon/.hidden.png": drawn(1), ".cache/y.png": drawn(2), "README.md": b"words",
            "weapon/labels.CSV": b"a,b", "weapon/.git/z.png": drawn(3),
        },
    )  # fmt: skip
    records, rejected = seen(folder)
    assert ([r.image_source for r in records], rejected) == (["folder:weapon/x.png"], [])


def test_collecting_again_changes_nothing(tmp_path: Path) -> None:
    folder = put(tmp_path / "pictures", {f"weapon/{n}.png": drawn(n) for n in range(5)})
    first, _ = seen(folder)
    second, _ = seen(folder)
    assert first == second
    assert sorted(r.image_id for r in first) == [r.image_id for r in first]


def test_progress_is_told_for_every_file(tmp_path: Path) -> None:
    folder = put(tmp_path / "pictures", {"weapon/a.png": drawn(), "weapon/b.png": b"no"})
    told: list[tuple[int, int]] = []
    candidates = find(CollectSettings(folder=str(folder)), load_taxonomy())
    collect(iter(candidates), folder=tmp_path / "run", max_pixels=MOST, on_progress=lambda d, n: told.append((d, n)))
    assert told == [(1, 2), (2, 2)]


# --- folders that are none --------------------------------------------------------------------------------------------


def test_no_folder_named_none_there_and_none_in_it_are_three_sentences(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="No folder of pictures is named"):
        find(CollectSettings(), load_taxonomy())
    with pytest.raises(DataError, match="There is no such folder"):
        find(CollectSettings(folder=str(tmp_path / "none")), load_taxonomy())
    (tmp_path / "file").write_text("x")
    with pytest.raises(DataError, match="There is no such folder"):
        find(CollectSettings(folder=str(tmp_path / "file")), load_taxonomy())
    (tmp_path / "empty" / "weapon").mkdir(parents=True)
    with pytest.raises(DataError, match="There are no pictures"):
        find(CollectSettings(folder=str(tmp_path / "empty")), load_taxonomy())


# --- hostile files ----------------------------------------------------------------------------------------------------


def test_an_empty_file_is_named_with_its_reason(tmp_path: Path) -> None:
    assert reason(tmp_path, b"") == "the file is empty"


@pytest.mark.parametrize(
    "data", [b"\0", b"not a picture", b"PK\x03\x04" + b"\0" * 50, b"%PDF-1.7\n", b"<svg/>", b"\xff" * 999]
)
def test_a_file_that_is_no_picture_is_named_with_its_reason(data: bytes, tmp_path: Path) -> None:
    assert reason(tmp_path, data) == "not a JPEG, PNG, WebP, GIF, BMP or TIFF picture"


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"])
def test_a_truncated_picture_is_named_with_its_reason(kind: str, tmp_path: Path) -> None:
    data = drawn(kind=kind, size=(40, 40))
    assert reason(tmp_path, data[: len(data) // 2]).startswith("a damaged picture: ")


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"])
def test_no_bytes_whatever_stop_the_others(kind: str, tmp_path: Path) -> None:
    """A hundred damaged pictures of a kind: each is used or rejected, and the good one after them is used."""
    draw = random.Random(0)
    files: dict[str | bytes, bytes] = {"weapon/zzz.png": drawn(99)}
    for n in range(100):
        data = bytearray(drawn(n, kind))
        for _ in range(draw.choice([1, 3, 20])):
            data[draw.randrange(len(data))] = draw.randrange(256)
        files[f"weapon/{n:03}.png"] = bytes(data[: draw.randrange(1, len(data) + 1)])
    records, rejected = seen(put(tmp_path / "pictures", files))
    assert len(records) + len(rejected) == 101
    assert records[-1].image_source == "folder:weapon/zzz.png"
    assert len(rejected) > 20
    assert all(r.reason for r in rejected)


def test_a_picture_that_claims_to_be_huge_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    assert reason(tmp_path, claimed(2000, 2000)) == "2000×2000 pixels is more than `collect.max_pixels` (1,000,000)"


def test_a_decompression_bomb_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    assert "decompression bomb" in reason(tmp_path, claimed(60_000, 60_000), most=10**12)


def test_the_limit_on_pixels_is_the_settings_own_and_not_pillows(tmp_path: Path) -> None:
    """Pillow warns from 89 million pixels; a user who allows more is asked no further."""
    data = io.BytesIO()
    Image.new("1", (10_000, 9_000)).save(data, "PNG")
    folder = put(tmp_path / "pictures", {"weapon/x.png": data.getvalue()})
    assert [r.width for r in seen(folder, most=10**8)[0]] == [10_000]
    assert seen(folder, most=9 * 10**7 - 1)[0] == []


def test_a_file_larger_than_any_such_picture_is_not_read_into_memory(tmp_path: Path) -> None:
    folder = put(tmp_path / "pictures", {"weapon/x.png": b"", "weapon/good.png": drawn()})
    os.truncate(folder / "weapon" / "x.png", 2**40)
    records, (rejected,) = seen(folder)
    assert len(records) == 1
    assert "more bytes than" in rejected.reason


def test_a_picture_is_never_handed_to_another_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pillow gives PostScript to Ghostscript, which runs it; here a program of that name would leave a mark."""
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "gs"
    program.write_text(f"#!/bin/sh\ntouch {tmp_path}/was-run\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    page = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n%%EOF\n"
    assert "not a JPEG" in reason(tmp_path, page)
    assert not (tmp_path / "was-run").exists()


def test_the_same_bytes_twice_are_used_once_and_the_other_is_named(tmp_path: Path) -> None:
    records, (rejected,) = seen(put(tmp_path / "pictures", {"weapon/a.png": drawn(), "malware/b.png": drawn()}))
    assert [r.topic.class3 for r in records] == ["malware"]
    assert rejected.file.endswith("weapon/a.png")
    assert rejected.reason.startswith("the same bytes as ")
    assert rejected.reason.endswith("malware/b.png")


def test_a_link_out_of_the_folder_is_not_followed_and_one_inside_is(tmp_path: Path) -> None:
    folder = put(tmp_path / "pictures", {"weapon/a.png": drawn(1)})
    put(tmp_path, {"private.png": drawn(2)})
    (folder / "weapon" / "b.png").symlink_to(tmp_path / "private.png")
    (folder / "weapon" / "c.png").symlink_to("../../private.png")
    (folder / "malware").mkdir()
    (folder / "malware" / "d.png").symlink_to("../weapon/a.png")
    records, rejected = seen(folder)
    assert [r.image_source for r in records] == ["folder:malware/d.png"]
    reasons = {Path(r.file).name: r.reason for r in rejected}
    assert reasons["b.png"] == reasons["c.png"] == "a link that leads out of the folder"
    assert reasons["a.png"].startswith("the same bytes as")


def test_links_to_nothing_and_to_themselves_are_named_with_their_reasons(tmp_path: Path) -> None:
    folder = put(tmp_path / "pictures", {"weapon/a.png": drawn(1)})
    (folder / "weapon" / "gone.png").symlink_to("nothing.png")
    (folder / "weapon" / "loop.png").symlink_to("loop.png")
    records, rejected = seen(folder)
    assert len(records) == 1
    reasons = {Path(r.file).name: r.reason for r in rejected}
    assert "No such file" in reasons["gone.png"]
    assert "leads to itself" in reasons["loop.png"] or "Too many levels" in reasons["loop.png"]


def test_a_linked_folder_of_pictures_may_be_named_itself(tmp_path: Path) -> None:
    put(tmp_path / "elsewhere", {"weapon/a.png": drawn()})
    (tmp_path / "pictures").symlink_to(tmp_path / "elsewhere")
    assert len(seen(tmp_path / "pictures")[0]) == 1


def test_a_pipe_in_the_folder_is_not_waited_for(tmp_path: Path) -> None:
    folder = put(tmp_path / "pictures", {"weapon/a.png": drawn()})
    os.mkfifo(folder / "weapon" / "pipe.png")
    records, (rejected,) = seen(folder)
    assert len(records) == 1
    assert rejected.reason == "not a file"


def test_a_picture_that_vanishes_between_finding_and_reading_is_named(tmp_path: Path) -> None:
    folder = put(tmp_path / "pictures", {"weapon/a.png": drawn(1), "weapon/b.png": drawn(2)})
    candidates = find(CollectSettings(folder=str(folder)), load_taxonomy())
    (folder / "weapon" / "a.png").unlink()
    records, (rejected,) = collect(candidates, folder=tmp_path / "run", max_pixels=MOST)
    assert len(records) == 1
    assert "No such file" in rejected.reason


# --- names ------------------------------------------------------------------------------------------------------------

WEIRD: list[str | bytes] = [
    "weapon/..png", "weapon/a b.png", "weapon/a\nb.png", "weapon/ä ö.png", "weapon/😀.png", "weapon/日本.png",
    "weapon/~x.png", "weapon/$(touch x).png", "weapon/a'b\".png", "weapon/-rf.png", "weapon/a.b.c.png",
    "weapon/con.png", "weapon/%2e%2e.png", "weapon/a\\b.png", "weapon/{{answer}}.png", "weapon/[[A]].png",
    "weapon/\x1b[31m.png", "weapon/x", "weapon/" + "n" * 200, b"weapon/\xff\xfe.png", b"weapon/caf\xe9.png",
]  # fmt: skip


def test_no_name_of_a_file_breaks_anything(tmp_path: Path) -> None:
    folder = put(tmp_path / "pictures", {name: drawn(n) for n, name in enumerate(WEIRD)})
    records, rejected = seen(folder)
    hidden = 1  # `..png` begins with a dot
    assert (len(records), rejected) == (len(WEIRD) - hidden, [])
    assert len({r.image_id for r in records}) == len(records)
    for r in records:
        first, *rest = r.image_id.split("/")
        assert (first, len(rest)) == ("weapon", 1)
        assert all(c.isalnum() or c in "-_" for c in rest[0]), r.image_id
        assert (tmp_path / "run" / r.image_file).resolve().is_relative_to(tmp_path / "run" / "images")
    write_table(tmp_path / "t.parquet", records, ImageRecord)
    assert read_table(tmp_path / "t.parquet", ImageRecord) == records


def test_reasons_about_oddly_named_files_can_be_written_down(tmp_path: Path) -> None:
    folder = put(tmp_path / "pictures", {b"weapon/\xff.png": b"no", "weapon/good.png": drawn()})
    _, (rejected,) = seen(folder)
    write_json(tmp_path / "rejected.json", [rejected.file, rejected.reason])
    assert "\\\\xff.png" in (tmp_path / "rejected.json").read_text("utf-8")


def test_an_oddly_named_file_without_a_topic_is_a_sentence_that_can_be_printed(tmp_path: Path) -> None:
    with pytest.raises(DataError) as error:
        seen(put(tmp_path / "pictures", {b"\xff.png": drawn()}))
    assert error.value.render().encode("utf-8")


def test_names_that_agree_in_forty_letters_have_ids_of_their_own(tmp_path: Path) -> None:
    """Two file names are looked for whose hashes agree in 24 bits; the ids must differ still."""
    begun: dict[str, str] = {}
    for n in range(100_000):
        name = f"weapon/{'photograph-from-the-archive-of-a-museum-' * 2}{n}.png"
        key = hashlib.sha256(name.encode()).hexdigest()[:6]
        if key in begun:
            break
        begun[key] = name
    records, _ = seen(put(tmp_path / "pictures", {begun[key]: drawn(1), name: drawn(2)}))
    assert len({r.image_id for r in records}) == 2


def test_an_id_says_the_same_picture_however_the_folder_grows(tmp_path: Path) -> None:
    folder = put(tmp_path / "pictures", {"weapon/m.png": drawn(1)})
    (before,), _ = seen(folder)
    put(folder, {"weapon/a.png": drawn(2), "weapon/z.png": drawn(3)})
    assert before in seen(folder)[0]


# --- the disk ---------------------------------------------------------------------------------------------------------


def test_a_run_folder_that_cannot_hold_the_copy_is_a_sentence(tmp_path: Path) -> None:
    folder = put(tmp_path / "pictures", {"weapon/a.png": drawn()})
    put(tmp_path / "run", {"images": b"a file in the way"})
    with pytest.raises(RunError, match="cannot be copied"):
        seen(folder)


def test_a_damaged_copy_in_the_run_folder_is_mended(tmp_path: Path) -> None:
    folder = put(tmp_path / "pictures", {"weapon/a.png": drawn()})
    (record,), _ = seen(folder)
    copy = tmp_path / "run" / record.image_file
    copy.write_bytes(copy.read_bytes()[:10])
    seen(folder)
    assert copy.read_bytes() == drawn()


def test_candidates_from_elsewhere_need_no_folder(tmp_path: Path) -> None:
    """The miniature world draws its pictures where it likes."""
    put(tmp_path, {"world/x.png": drawn()})
    candidate = Candidate(
        path=tmp_path / "world" / "x.png", topic=samples.WEAPON, image_id="weapon/0", benign=False, heldout=False,
        source="miniature world", license="",
    )  # fmt: skip
    (record,), rejected = collect([candidate], folder=tmp_path / "run", max_pixels=MOST)
    assert (record.image_id, rejected) == ("weapon/0", [])
