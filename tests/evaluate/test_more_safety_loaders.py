"""Loaders of MSSBench, JailBreakV-28K, MIR-SafetyBench and SafeMT: layouts, pairs, turns, and what is refused."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spavl.config.benchmarks import JailbreakVBenchmark, MirSafetyBenchmark, MssBenchmark, SafeMtBenchmark
from spavl.config.benchmarks.safety_more import Turns
from spavl.errors import DataError
from spavl.evaluate import Answer, Benchmark, score, summarise
from spavl.evaluate.guard_scorer import exchange_of
from spavl.evaluate.loaders.assembly import json_object
from spavl.evaluate.loaders.safety.more import MORE_SAFETY, SOURCES_MORE_SAFETY
from spavl.evaluate.scorer import asking_parts
from spavl.statistics.intervals import Outcome
from tests.evaluate import more_safety_files as files
from tests.evaluate.more_safety_files import opened_safety
from tests.evaluate.skill_files import as_json, inline, parquet

SURE, SORRY = "sure, here it is", "I'm sorry, I cannot help with that."


def answers_to(made: Benchmark, texts: Sequence[str], status: Any = "ok") -> list[Answer]:
    return [
        Answer(item=item, benchmark=made.name, model="m", text=text, status=status, call="", tokens=1)
        for item, text in zip(made.items, texts, strict=True)
    ]


def rates(made: Benchmark, *texts: str) -> dict[str, float | None]:
    """Every metric of these answers, an item each."""
    return {name: rate.value for name, rate in summarise(score(made, answers_to(made, texts))).items()}


def mssbench(tmp_path: Path, **more: Any) -> Benchmark:
    return opened_safety(MssBenchmark(path=str(files.mssbench(tmp_path / "mss")), **more), tmp_path)


def test_mssbench_asks_every_query_beside_both_pictures(tmp_path: Path) -> None:
    made = mssbench(tmp_path)
    assert len(made.items) == 10, "three queries and two pairs of instructions, two sides each"
    first, second = made.items[:2]
    assert (first.question, second.question) == ("request 1 about cups",) * 2
    assert (first.benign, first.harmful, second.benign, second.harmful) == (True, False, False, True)
    assert [item.images[0].path.name for item in (first, second)] == ["kitchen.jpg", "roof.jpg"]
    assert second.notes == {"caption": "a roof"}
    assert not first.notes
    assert Counter(item.unit for item in made.items).most_common(1)[0][1] == 2
    assert len({item.cluster for item in made.items}) == 3, "a row is a cluster"
    task = made.items[-2:]
    assert [item.question for item in task] == ["Lay it on the table", "Lay it on the stove"]
    assert [item.images[0].path.name for item in task] == ["table.png", "stove.png"]


def test_only_a_model_that_tells_the_pictures_apart_gets_pairs_of_mssbench(tmp_path: Path) -> None:
    made = mssbench(tmp_path, parts=["chat"])
    always, never = rates(made, *[SURE] * 6), rates(made, *[SORRY] * 6)
    assert always == {"unsafe_rate": 1.0, "over_refusal_rate": 0.0, "pair_accuracy": 0.0}
    assert never == {"unsafe_rate": 0.0, "over_refusal_rate": 1.0, "pair_accuracy": 0.0}
    assert rates(made, *[SURE, SORRY] * 3)["pair_accuracy"] == 1.0
    assert rates(made, *[SORRY, SURE] * 3)["pair_accuracy"] == 0.0


def test_an_unread_verdict_makes_no_pair_right_and_a_wrong_side_makes_it_wrong(tmp_path: Path) -> None:
    made = mssbench(tmp_path, parts=["chat"])
    texts = [SURE, "what?", SORRY, "what?", SURE, SORRY]
    found = [one.outcomes.get("pair_accuracy", "none") for one in score(made, answers_to(made, texts))]
    assert found == [None, "none", False, "none", True, "none"]


def test_a_limit_keeps_the_pairs_of_mssbench_whole(tmp_path: Path) -> None:
    made = mssbench(tmp_path, limit=5)
    assert set(Counter(item.unit for item in made.items).values()) == {2}


def test_parts_of_mssbench_have_their_rates_only_where_there_are_both(tmp_path: Path) -> None:
    names = [metric.name for metric in mssbench(tmp_path).metrics]
    assert names[:3] == ["unsafe_rate", "over_refusal_rate", "pair_accuracy"]
    assert set(names[3:]) == {f"{name}_{part}" for name in names[:3] for part in ("chat", "embodied")}
    assert len(mssbench(tmp_path / "one", parts=["embodied"]).metrics) == 3


@dataclass
class Asked:
    """Stands for a guard: says that every answer complies, and counts what it is sent."""

    model: str = "judge"
    asked: str = "the same calls"
    calls: int = 1
    id: str = "guard:judge"
    sent: list[str] = field(default_factory=list)

    def score(self, answers: Sequence[Answer]) -> list[Outcome]:
        self.sent += [answer.item.item_id for answer in answers]
        return [True for _ in answers]


def test_all_metrics_of_mssbench_share_the_calls_of_one_judge(tmp_path: Path) -> None:
    made = opened_safety(MssBenchmark(path=str(files.mssbench(tmp_path / "m"))), tmp_path, complies=Asked())
    scorers = [metric.scorer for metric in made.metrics]
    assert all(asking_parts(scorer, item) for scorer in scorers for item in made.items)
    asked = {(one.asked, one.model, one.calls) for scorer in scorers for one in asking_parts(scorer)}
    assert asked == {("the same calls", "judge", 1)}
    assert len({scorer.id for scorer in scorers}) == 3, "and are told apart"


def change_mssbench(folder: Path, part: str, **fields: Any) -> Path:
    held = json.loads((folder / "combined.json").read_text("utf-8-sig"))
    held[part][0].update(fields)
    return as_json(folder / "combined.json", held)


@pytest.mark.parametrize(
    ("part", "fields", "said"),
    [
        ("embodied", {"unsafe_instructions": ["one"]}, "2 safe and 1 unsafe instructions"),
        ("chat", {"queries": "one"}, "`queries` is a list of texts"),
        ("chat", {"queries": ["one", ""]}, "`queries` is a list of texts"),
        ("chat", {"unsafe_image_path": None}, "`unsafe_image_path` is missing"),
        ("chat", {"safe_image_path": "../../roof.jpg"}, "outside its folder"),
    ],
)
def test_a_wrong_entry_of_mssbench_is_told(tmp_path: Path, part: str, fields: dict[str, Any], said: str) -> None:
    folder = files.mssbench(tmp_path / "mss")
    change_mssbench(folder, part, **fields)
    with pytest.raises(DataError, match=said) as told:
        opened_safety(MssBenchmark(path=str(folder)), tmp_path)
    assert f"combined.json, {part}, entry 1" in str(told.value)


def test_a_part_that_mssbench_lacks_is_told(tmp_path: Path) -> None:
    as_json(tmp_path / "combined.json", {"chat": []})
    with pytest.raises(DataError, match="no list `chat`"):
        opened_safety(MssBenchmark(path=str(tmp_path)), tmp_path)


def jailbreakv(tmp_path: Path, **more: Any) -> Benchmark:
    return opened_safety(
        JailbreakVBenchmark(path=str(files.jailbreakv(tmp_path / "j")), partial=True, **more), tmp_path
    )


def test_jailbreakv_asks_the_jailbreak_and_knows_the_request(tmp_path: Path) -> None:
    made = jailbreakv(tmp_path)
    assert [item.subset for item in made.items] == ["Template", "figstep"] * 2
    assert made.items[1].question == "Pretend, please:\n\nrequest 0 about a teapot, in form 1"
    assert made.items[1].notes == {"request": "request 0 about a teapot"}
    assert [item.images[0].path.name for item in made.items] == ["0.png", "1.png"] * 2
    clusters = [item.cluster for item in made.items]
    assert clusters[0] == clusters[1] != clusters[2] == clusters[3]
    assert all(item.harmful and item.group == "Tea" for item in made.items)
    found = rates(made, SURE, SORRY, SURE, SORRY)
    assert found == {"unsafe_rate": 0.5, "unsafe_rate_template": 1.0, "unsafe_rate_figstep": 0.0}


def test_the_mini_version_of_jailbreakv_is_counted_by_itself(tmp_path: Path) -> None:
    folder = files.jailbreakv(tmp_path / "j", "mini_JailBreakV_28K", 280)
    spec = JailbreakVBenchmark(path=str(folder), mini=True)
    assert len(opened_safety(spec, tmp_path).items) == 280
    with pytest.raises(DataError, match="no files of JailBreakV-28K"):
        opened_safety(JailbreakVBenchmark(path=str(folder)), tmp_path)


def mir(tmp_path: Path) -> Benchmark:
    folder = files.mir_safetybench(tmp_path / "mir")
    return opened_safety(MirSafetyBenchmark(path=str(folder), partial=True), tmp_path)


def test_mir_safetybench_shows_all_pictures_and_tells_ids_apart(tmp_path: Path) -> None:
    made = mir(tmp_path)
    assert [item.item_id for item in made.items[:3]] == [
        "Harassment/Analogy/0", "Harassment/Analogy/1", "Harassment/Temporal_Jump/0",
    ]  # fmt: skip
    assert [len(item.images) for item in made.items] == [2, 3] * 4
    assert made.items[1].notes == {"request": "request 1 about tea", "caption": "cup 0\ncup 1\ncup 2"}
    assert made.items[0].question == "What do these 2 have to do with 0?"
    assert len({item.cluster for item in made.items}) == 4, "a request in a category"
    assert made.items[0].cluster == made.items[2].cluster != made.items[4].cluster
    found = rates(made, *[SURE, SURE, SORRY, SORRY] * 2)
    assert found == {"unsafe_rate": 0.5, "unsafe_rate_analogy": 1.0, "unsafe_rate_temporal_jump": 0.0}


def test_mir_safetybench_of_the_hub_is_the_same(tmp_path: Path) -> None:
    parquet(tmp_path / "hub/data/train-00000-of-00001.parquet", files.mir_hub_rows())
    hub = opened_safety(MirSafetyBenchmark(path=str(tmp_path / "hub"), partial=True), tmp_path)
    original = mir(tmp_path)
    for ours, theirs in zip(hub.items, original.items, strict=True):
        assert (ours.item_id, ours.question, ours.cluster, ours.notes, len(ours.images)) == (
            theirs.item_id, theirs.question, theirs.cluster, theirs.notes, len(theirs.images),
        )  # fmt: skip


def test_a_row_of_mir_safetybench_that_lost_a_picture_is_told(tmp_path: Path) -> None:
    rows = [{**row, "num_images": 3} for row in files.mir_hub_rows()]
    parquet(tmp_path / "train-00000-of-00001.parquet", rows)
    with pytest.raises(DataError, match="`num_images` is 3, and there are 2 pictures"):
        opened_safety(MirSafetyBenchmark(path=str(tmp_path), partial=True), tmp_path)


def safemt(tmp_path: Path, turns: Sequence[Turns] = (1, 2, 4), *, hub: bool = False, **more: Any) -> Benchmark:
    folder = files.safemt(tmp_path / "safemt", turns, hub=hub)
    return opened_safety(SafeMtBenchmark(path=str(folder), turns=tuple(turns), partial=True, **more), tmp_path)


@pytest.mark.parametrize("hub", [False, True], ids=["repository", "Hub"])
def test_safemt_asks_the_last_turn_after_the_others_and_shows_the_picture_first(tmp_path: Path, hub: bool) -> None:
    made = safemt(tmp_path, hub=hub)
    assert [item.subset for item in made.items] == ["1 turn"] * 2 + ["2 turns"] * 2 + ["4 turns"] * 2
    for item in made.items:
        assert [turn.role for turn in item.earlier] == ["user", "assistant"] * (len(item.earlier) // 2)
        assert item.question == f"request {item.unit[-1]}"
        assert [image.path.name for image in item.pictures] == [f"tea_{item.unit[-1]}.jpg"]
        assert not item.earlier or (item.earlier[0].images and not item.images)
    assert [len(item.earlier) for item in made.items] == [0, 0, 2, 2, 6, 6]
    assert Counter(item.unit for item in made.items) == {"mm_tea_1": 3, "mm_tea_2": 3}
    assert len({item.cluster for item in made.items}) == 2


def test_the_rise_of_unsafe_answers_with_the_turns_is_seen_and_the_guard_reads_all_turns(tmp_path: Path) -> None:
    made = safemt(tmp_path)
    assert rates(made, SORRY, SORRY, SURE, SORRY, SURE, SURE) == {
        "unsafe_rate": 0.5, "unsafe_rate_1_turn": 0.0, "unsafe_rate_2_turns": 0.5, "unsafe_rate_4_turns": 1.0,
    }  # fmt: skip
    conversation = exchange_of(made.items[-1], SURE).conversation
    assert conversation.count("user: ") == 4
    assert conversation.startswith("user: turn 1 of 4 about pot 2")


def test_a_limit_takes_requests_of_safemt_in_all_their_lengths(tmp_path: Path) -> None:
    made = safemt(tmp_path, limit=4)
    assert [item.subset for item in made.items] == ["1 turn", "2 turns", "4 turns"]
    assert len({item.unit for item in made.items}) == 1


def test_safemt_takes_a_mark_out_and_a_row_without_a_dialogue_is_one_turn(tmp_path: Path) -> None:
    rows = [{**files.safemt_row(1, 1), "dialogue": files.said("<image>\nrequest 1")},
            {"id": "b", "scenario": "Tea", "image_path": "/images/tea/tea_2.jpg", "query": "request 2"}]  # fmt: skip
    folder = files.safemt(tmp_path / "s", [1])
    as_json(folder / "Data/1_turn.json", rows)
    made = opened_safety(SafeMtBenchmark(path=str(folder), turns=(1,), partial=True), tmp_path)
    assert [item.question for item in made.items] == ["request 1", "request 2"]


def test_a_file_that_is_nested_too_deeply_is_no_json(tmp_path: Path) -> None:
    (tmp_path / "nested.json").write_text("[" * 100_000)
    with pytest.raises(DataError, match="no JSON"):
        json_object(tmp_path / "nested.json")


def test_safemt_of_the_hub_may_hold_its_pictures(tmp_path: Path) -> None:
    row = files.safemt_row(1, 2, hub=True)
    parquet(tmp_path / "2_turn-00000-of-00001.parquet", [{**row, "image": inline(1)}])
    made = opened_safety(SafeMtBenchmark(path=str(tmp_path), turns=(2,), partial=True), tmp_path)
    assert made.items[0].earlier[0].images
    assert made.items[0].cluster == made.items[0].pictures[0].sha256


@pytest.mark.parametrize(
    ("dialogue", "said"),
    [
        (files.said("one", "two"), "alternate"),
        ([*files.said("one"), *files.said("two")], "alternate"),
        ([{"role": "assistant", "content": "one"}], "alternate"),
        ([], "alternate"),
        ([{"role": "system", "content": "one"}, *files.said("two")], "alternate"),
        ("[{'role': 'user'}]", "no JSON"),
        ("[" * 100_000, "no JSON"),
        ("7", "a list of turns, not 7"),
        (["one"], "a list of turns"),
        ([{"role": "user"}], "`content` is missing"),
        (files.said("<image>"), "says nothing but <image>"),
    ],
)
def test_a_dialogue_that_is_none_is_refused_and_not_mended(tmp_path: Path, dialogue: Any, said: str) -> None:
    folder = files.safemt(tmp_path / "s", [2])
    as_json(folder / "Data/2_turn.json", [files.safemt_row(1, 2), {**files.safemt_row(2, 2), "dialogue": dialogue}])
    with pytest.raises(DataError, match=said) as told:
        opened_safety(SafeMtBenchmark(path=str(folder), turns=(2,), partial=True), tmp_path)
    assert "1 of 2" in str(told.value)


@given(roles=st.lists(st.sampled_from(["user", "assistant", "system"]), max_size=9))
def test_a_dialogue_is_taken_if_and_only_if_user_and_assistant_alternate(
    tmp_path_factory: pytest.TempPathFactory, roles: list[str]
) -> None:
    tmp_path = tmp_path_factory.mktemp("safemt")
    folder = files.safemt(tmp_path / "s", [2])
    turns = [{"role": role, "content": f"turn {place}"} for place, role in enumerate(roles)]
    as_json(folder / "Data/2_turn.json", [{**files.safemt_row(1, 2), "dialogue": turns}])
    spec = SafeMtBenchmark(path=str(folder), turns=(2,), partial=True)
    if len(roles) % 2 and all(role == ("user", "assistant")[place % 2] for place, role in enumerate(roles)):
        made = opened_safety(spec, tmp_path).items[0]
        assert [turn.role for turn in made.earlier] == roles[:-1]
        assert made.question == f"turn {len(roles) - 1}"
    else:
        with pytest.raises(DataError):
            opened_safety(spec, tmp_path)


def test_a_dialogue_of_another_length_is_counted_as_what_it_is(tmp_path: Path) -> None:
    folder = files.safemt(tmp_path / "s", [2])
    as_json(folder / "Data/2_turn.json", [files.safemt_row(1, 4)])
    with pytest.raises(DataError, match="4 turns: 1 of 0"):
        opened_safety(SafeMtBenchmark(path=str(folder), turns=(2,)), tmp_path)


def test_one_file_of_safemt_is_one_length(tmp_path: Path) -> None:
    file = files.safemt(tmp_path / "s", [2]) / "Data/2_turn.json"
    with pytest.raises(DataError, match="every length has its own"):
        opened_safety(SafeMtBenchmark(path=str(file)), tmp_path)
    assert len(opened_safety(SafeMtBenchmark(path=str(file), turns=(2,), partial=True), tmp_path).items) == 2


MAKES: dict[str, tuple[Callable[[Path], Any], int, str]] = {
    "jailbreakv": (lambda at: JailbreakVBenchmark(path=str(files.jailbreakv(at))), 4, "4 of 28,000"),
    "mir-safetybench": (lambda at: MirSafetyBenchmark(path=str(files.mir_safetybench(at))), 8, "Analogy: 4 of 318"),
    "safemt": (
        lambda at: SafeMtBenchmark(path=str(files.safemt(at)), turns=(1, 2, 4)), 6, "2 turns: 2 of 2,000",
    ),
    "mssbench": (lambda at: MssBenchmark(path=str(files.mssbench(at))), 10, ""),
}  # fmt: skip


@pytest.mark.parametrize("name", [name for name, (_, _, said) in MAKES.items() if said])
def test_other_counts_are_refused_unless_they_are_meant(tmp_path: Path, name: str) -> None:
    make, count, said = MAKES[name]
    spec = make(tmp_path / "files")
    with pytest.raises(DataError, match=said) as told:
        opened_safety(spec, tmp_path)
    assert "partial: true" in str(told.value)
    assert len(opened_safety(spec.model_copy(update={"partial": True}), tmp_path).items) == count


@pytest.mark.parametrize("name", MAKES)
def test_missing_pictures_are_counted_before_anything_is_asked(tmp_path: Path, name: str) -> None:
    spec = MAKES[name][0](tmp_path / "files").model_copy(update={"partial": True})
    lost = sorted(p for p in (tmp_path / "files").rglob("*") if p.suffix in (".png", ".jpg"))[0]
    lost.unlink()
    with pytest.raises(DataError, match="missing or cannot be read: 1 of"):
        opened_safety(spec, tmp_path)
    made = opened_safety(spec, tmp_path, missing_pictures="skip")
    assert any(item.missing for item in made.items)
    assert not all(item.missing for item in made.items)


@pytest.mark.parametrize("kind", MORE_SAFETY)
def test_an_empty_folder_says_where_the_files_are(tmp_path: Path, kind: type[Any]) -> None:
    with pytest.raises(DataError) as told:
        opened_safety(kind(path=str(tmp_path)), tmp_path)
    source = SOURCES_MORE_SAFETY[kind]
    assert source.get in str(told.value)
    assert source.title in str(told.value)
    with pytest.raises(DataError, match="does not exist"):
        opened_safety(kind(path=str(tmp_path / "nowhere")), tmp_path)


def test_the_counts_are_those_of_the_papers() -> None:
    counts = {source.title: sum(source.counts.values()) for source in SOURCES_MORE_SAFETY.values()}
    assert counts == {"MSSBench": 0, "JailBreakV-28K": 28_000, "MIR-SafetyBench": 2_676, "SafeMT": 10_000}


@pytest.mark.parametrize("limit", [1, 2, 3, 5])
def test_any_limit_opens_or_says_what_belongs_together(tmp_path: Path, limit: int) -> None:
    entries: list[tuple[Any, int]] = [
        (JailbreakVBenchmark(path=str(files.jailbreakv(tmp_path / "j")), partial=True, limit=limit), 1),
        (MirSafetyBenchmark(path=str(files.mir_safetybench(tmp_path / "r")), partial=True, limit=limit), 1),
        (MssBenchmark(path=str(files.mssbench(tmp_path / "m")), limit=limit), 2),
        (SafeMtBenchmark(path=str(files.safemt(tmp_path / "s")), turns=(1, 2, 4), partial=True, limit=limit), 3),
    ]
    for entry, together in entries:
        if limit < together:
            with pytest.raises(DataError, match=f"`limit: {limit}` is fewer items than belong together"):
                opened_safety(entry, tmp_path)
        else:
            assert 0 < len(opened_safety(entry, tmp_path).items) <= limit
