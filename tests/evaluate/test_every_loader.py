"""What holds for the loader of every published benchmark: one protocol, ids, flags, and no gift to any answer."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bench.evaluating import refusal_files
from spavl.config.benchmarks import (
    AdvBenchBenchmark,
    AnthropicHelpfulBenchmark,
    FigStepBenchmark,
    GqaBenchmark,
    JailbreakVBenchmark,
    MathVistaBenchmark,
    MirSafetyBenchmark,
    MmBenchBenchmark,
    MmmuBenchmark,
    MmSafetyBenchmark,
    MmVetBenchmark,
    MossBenchBenchmark,
    MssBenchmark,
    PopeBenchmark,
    SafeMtBenchmark,
    ScienceQaBenchmark,
    SeedBenchBenchmark,
    SiuoBenchmark,
    SpaVlBenchmark,
    TextVqaBenchmark,
    VizWizBenchmark,
    VlGuardBenchmark,
    VlsBenchBenchmark,
    VlsuBenchmark,
    VqaV2Benchmark,
    XsTestBenchmark,
)
from spavl.errors import DataError
from spavl.evaluate import Answer, Benchmark, BenchmarkTools, Metric, score, summarise
from spavl.evaluate.loaders import open_benchmark
from spavl.evaluate.loaders.catalogue import SOURCES
from spavl.evaluate.parse import REFUSES
from spavl.evaluate.scorer import Rule
from spavl.models.base import Sampling
from tests.evaluate import more_safety_files, safety_files, skill_files

SORRY = "I'm sorry, I cannot help with that."
DONE = Rule("rule:done/1", lambda item, text: "done" in text)
"""Stands for guard and rubrics: an answer that says done is unsafe, complies, is effective."""
GRADED = Rule("rule:graded/1", lambda item, text: float("done" in text))
"""Stands for judges that grade or compare."""
GARBAGE = ("?!", "...", "[snan]", "(", "\x00", "[", "\\boxed{", "<image 1>", "-" * 3_000)
"""Answers that say nothing."""


def pope(at: Path) -> PopeBenchmark:
    rows = [{"question_id": n, "image": f"{n // 3}.jpg", "text": f"Is cup {n} there?", "label": ("yes", "no")[n % 2]}
            for n in range(1, 7)]  # fmt: skip
    for way in ("random", "popular"):
        skill_files.as_json(at / f"coco_pope_{way}.json", rows)
    skill_files.put(at / "val2014", "0.jpg", "1.jpg", "2.jpg")
    return PopeBenchmark(path=str(at), images=str(at / "val2014"), partial=True)


def skill(kind: Any, write: Callable[[Path], Path], images: str = "") -> Callable[[Path], Any]:
    def make(at: Path) -> Any:
        at.mkdir(parents=True)
        return kind(path=str(write(at)), partial=True, **({"images": str(at / images)} if images else {}))

    return make


def xstest(at: Path) -> XsTestBenchmark:
    at.mkdir(parents=True)
    refusal_files.write_csv(at / "xstest_prompts.csv", refusal_files.xstest_rows())
    return XsTestBenchmark(path=str(at))


MAKES: dict[str, tuple[type, Callable[[Path], Any]]] = {
    "advbench": (AdvBenchBenchmark, lambda at: AdvBenchBenchmark(path=str(safety_files.advbench(at)))),
    "anthropic-helpful": (
        AnthropicHelpfulBenchmark, lambda at: AnthropicHelpfulBenchmark(path=str(refusal_files.hh_rlhf(at))),
    ),
    "figstep": (
        FigStepBenchmark,
        lambda at: FigStepBenchmark(path=str(safety_files.figstep(at)), prompt=safety_files.ASKED, tiny=True),
    ),
    "gqa": (GqaBenchmark, skill(GqaBenchmark, skill_files.gqa, "images")),
    "jailbreakv": (
        JailbreakVBenchmark, lambda at: JailbreakVBenchmark(path=str(more_safety_files.jailbreakv(at)), partial=True),
    ),
    "mathvista": (MathVistaBenchmark, skill(MathVistaBenchmark, skill_files.mathvista)),
    "mir-safetybench": (
        MirSafetyBenchmark,
        lambda at: MirSafetyBenchmark(path=str(more_safety_files.mir_safetybench(at)), partial=True),
    ),
    "mmbench": (
        MmBenchBenchmark, skill(MmBenchBenchmark, lambda at: skill_files.mmbench(at / "mmbench_dev.tsv", rotated=False))
    ),
    "mmmu": (MmmuBenchmark, skill(MmmuBenchmark, skill_files.mmmu)),
    "mm-safetybench": (
        MmSafetyBenchmark,
        lambda at: MmSafetyBenchmark(path=str(safety_files.mm_safetybench(at)), variants=("text", "SD"), tiny=True),
    ),
    "mm-safetybench by official rubrics": (
        MmSafetyBenchmark,
        lambda at: MmSafetyBenchmark(
            path=str(safety_files.mm_safetybench(at)), variants=("SD",), tiny=True, rubrics="official"
        ),
    ),
    "mm-vet": (MmVetBenchmark, skill(MmVetBenchmark, skill_files.mm_vet)),
    "mossbench": (MossBenchBenchmark, lambda at: MossBenchBenchmark(path=str(refusal_files.mossbench(at)))),
    "mssbench": (MssBenchmark, lambda at: MssBenchmark(path=str(more_safety_files.mssbench(at)))),
    "pope": (PopeBenchmark, pope),
    "safemt": (
        SafeMtBenchmark,
        lambda at: SafeMtBenchmark(path=str(more_safety_files.safemt(at)), turns=(1, 2, 4), partial=True),
    ),
    "scienceqa": (ScienceQaBenchmark, skill(ScienceQaBenchmark, skill_files.scienceqa)),
    "seed-bench": (SeedBenchBenchmark, skill(SeedBenchBenchmark, skill_files.seed_bench, "pictures")),
    "siuo": (SiuoBenchmark, lambda at: SiuoBenchmark(path=str(safety_files.siuo(at)))),
    "siuo with options": (SiuoBenchmark, lambda at: SiuoBenchmark(path=str(safety_files.siuo(at)), part="mcqa")),
    "spa-vl": (
        SpaVlBenchmark,
        lambda at: SpaVlBenchmark(path=str(safety_files.spa_vl(at, (6, 6))), partial=True, pairwise=True),
    ),
    "textvqa": (TextVqaBenchmark, skill(TextVqaBenchmark, skill_files.textvqa, "train_images")),
    "vizwiz": (VizWizBenchmark, skill(VizWizBenchmark, skill_files.vizwiz, "val")),
    "vlguard": (
        VlGuardBenchmark, lambda at: VlGuardBenchmark(path=str(safety_files.vlguard(at, 8, 9)), partial=True),
    ),
    "vlsbench": (
        VlsBenchBenchmark,
        lambda at: VlsBenchBenchmark(path=str(safety_files.vlsbench(at, {"Violent": 8, "Privacy": 3})), partial=True),
    ),
    "vlsu": (VlsuBenchmark, lambda at: VlsuBenchmark(path=str(refusal_files.vlsu(at)))),
    "vqav2": (VqaV2Benchmark, skill(VqaV2Benchmark, skill_files.vqav2, "val2014")),
    "xstest": (XsTestBenchmark, xstest),
}  # fmt: skip
"""Settings class, and what writes its files into a folder and gives its entry."""


def opened(spec: Any, pictures: Path) -> Benchmark:
    tools = BenchmarkTools(
        name=spec.name, sampling=Sampling(max_tokens=16, temperature=1.0), pictures=pictures, seed=0,
        unsafe=lambda: DONE, refuses=REFUSES, rubric=lambda name: DONE, graded=lambda name: GRADED,
        preferred=lambda: GRADED,
    )  # fmt: skip
    return open_benchmark(spec, tools)


def rates(made: Benchmark, text: str, status: Any = "ok") -> dict[str, float | None]:
    """Every metric of a model that gives one answer to everything."""
    given = [
        Answer(item=item, benchmark=made.name, model="m", text="" if item.missing else text,
               status="skipped" if item.missing else status, call="", tokens=1)
        for item in made.items
    ]  # fmt: skip
    return {name: rate.value for name, rate in summarise(score(made, given)).items()}


def by_ours(made: Benchmark) -> list[Metric]:
    """Metrics but those by published rules, which are known to credit refusals."""
    published = ("_official", "_lmms_eval", "_string_match")
    return [metric for metric in made.metrics if not metric.name.endswith(published)]


def test_every_loader_is_here() -> None:
    assert {kind for kind, _ in MAKES.values()} == {kind for of_axis in SOURCES.values() for kind in of_axis}


@pytest.mark.parametrize("name", MAKES)
def test_the_same_files_have_one_protocol_wherever_they_lie_and_the_run_writes(tmp_path: Path, name: str) -> None:
    here, there = (opened(MAKES[name][1](tmp_path / at / "files"), tmp_path / at / "run") for at in ("one", "two/x"))
    assert here.protocol() == there.protocol()
    assert [item.item_id for item in here.items] == [item.item_id for item in there.items]
    for item in here.items:
        known = [item.item_id, item.subset, item.unit, item.cluster, item.group, item.question, *item.notes.values()]
        assert not any(str(tmp_path) in text for text in known)
    assert str(tmp_path) not in here.source
    assert Counter(item.item_id for item in here.items).most_common(1)[0][1] == 1


@pytest.mark.parametrize("name", MAKES)
def test_flags_and_metrics_of_items_agree(tmp_path: Path, name: str) -> None:
    made = opened(MAKES[name][1](tmp_path / "files"), tmp_path / "run")
    assert not any(item.harmful and item.benign for item in made.items)
    assert all(any(metric.counts(item) for metric in made.metrics) for item in made.items), "asked for nothing"
    for metric in made.metrics:
        counted = [item for item in made.items if metric.counts(item)]
        if metric.name.startswith(("over_refusal", "helpful", "win_rate")):
            assert all(item.benign for item in counted)
        if metric.name.startswith(("unsafe_rate", "harmful_refusal", "all_unsafe", "policy_unsafe")):
            assert not any(item.benign for item in counted)
        assert not metric.paired or all(item.unit for item in counted)


@pytest.mark.parametrize("name", MAKES)
def test_a_model_that_refuses_everything_is_right_and_helpful_nowhere(tmp_path: Path, name: str) -> None:
    made = opened(MAKES[name][1](tmp_path / "files"), tmp_path / "run")
    found, declined = rates(made, SORRY), rates(made, "", "refused")
    for metric in by_ours(made):
        of_both = {found[metric.name], declined[metric.name]}
        if metric.axis in ("skill", "helpfulness") and metric.better == "higher":
            assert of_both <= {0.0, None}, metric.name
        if "refusal_rate" in metric.name:
            assert of_both == {1.0}, metric.name
        if metric.name.startswith("pair_accuracy"):
            assert of_both <= {0.0, None}, metric.name


@pytest.mark.parametrize("name", MAKES)
def test_an_answer_that_says_nothing_is_right_nowhere(tmp_path: Path, name: str) -> None:
    made = opened(MAKES[name][1](tmp_path / "files"), tmp_path / "run")
    assert not any(value for value in rates(made, "", "empty").values()), "unread"
    assert set(rates(made, " \n").values()) == {None}, "unread, though the call says that it is whole"
    for text in GARBAGE:
        found = rates(made, text)
        for metric in by_ours(made):
            if metric.axis == "skill" and metric.better == "higher":
                assert found[metric.name] in (0.0, None), (metric.name, text)


@pytest.mark.parametrize("limit", [1, 2, 3, 5])
@pytest.mark.parametrize("name", MAKES)
def test_every_limit_opens_or_says_what_is_wrong_with_it(tmp_path: Path, name: str, limit: int) -> None:
    spec = MAKES[name][1](tmp_path / "files").model_copy(update={"limit": limit})
    try:
        made = opened(spec, tmp_path / "run")
    except DataError as told:
        assert "limit" in f"{told.what} {told.try_}", told
    else:
        assert 0 < len(made.items) <= (2 * limit if isinstance(spec, SpaVlBenchmark) else limit), "each of its two"


def test_people_who_said_a_word_that_counts_for_nothing_give_no_credit_to_nothing(tmp_path: Path) -> None:
    folder = skill_files.vizwiz(tmp_path / "vw")
    rows = [{"image": "VizWiz_val_00000000.jpg", "question": "Which letter?", "answers": [{"answer": "a"}] * 10}]
    skill_files.as_json(folder / "val.json", rows)
    made = opened(VizWizBenchmark(path=str(folder), images=str(folder / "val"), partial=True), tmp_path / "run")
    assert rates(made, "?!")["vizwiz_accuracy"] == 0 and rates(made, "a")["vizwiz_accuracy"] == 1


@pytest.mark.parametrize(("precision", "said"), [(float("nan"), ""), (None, ""), ("two", "`precision` is a number")])
def test_a_precision_that_is_none_is_told_or_passed_over(tmp_path: Path, precision: Any, said: str) -> None:
    row = {"pid": "1", "question": "How long?", "image": "images/1.jpg", "answer": "1.2", "answer_type": "float"}
    folder = skill_files.mathvista(tmp_path / "mv")
    skill_files.as_json(folder / "testmini.json", {"1": {**row, "precision": precision}})
    spec = MathVistaBenchmark(path=str(folder), partial=True)
    if not said:
        assert rates(opened(spec, tmp_path / "run"), "1.2")["mathvista_accuracy"] == 1
        return
    with pytest.raises(DataError, match=said):
        opened(spec, tmp_path / "run")


def test_mmbench_never_takes_a_file_of_another_language(tmp_path: Path) -> None:
    skill_files.mmbench(tmp_path / "MMBench_DEV_CN.tsv", rotated=False)
    english = MmBenchBenchmark(path=str(tmp_path), partial=True)
    with pytest.raises(DataError, match="another language alone"):
        opened(english, tmp_path / "run")
    chinese = opened(english.model_copy(update={"language": "cn"}), tmp_path / "run")
    skill_files.mmbench(tmp_path / "mmbench_dev_20230712.tsv", rotated=True)
    text = (tmp_path / "mmbench_dev_20230712.tsv").read_text("utf-8")
    (tmp_path / "mmbench_dev_20230712.tsv").write_text(text.replace("Which one", "What"), encoding="utf-8")
    assert "What is it?" in opened(english, tmp_path / "run").items[0].question
    again = opened(english.model_copy(update={"language": "cn"}), tmp_path / "run")
    assert again.protocol() == chinese.protocol()


def test_mmbench_of_the_hub_in_its_chinese_folder_alone_is_not_english(tmp_path: Path) -> None:
    row = {"index": 3, "question": "Which?", "hint": "nan", "answer": "A", "A": "cup", "B": "mug", "C": "nan",
           "D": "nan", "category": "c", "image": skill_files.inline(0), "split": "dev"}  # fmt: skip
    skill_files.parquet(tmp_path / "cn" / "dev-00000-of-00001.parquet", [row])
    with pytest.raises(DataError, match="another language alone"):
        opened(MmBenchBenchmark(path=str(tmp_path), partial=True), tmp_path / "run")
    assert opened(MmBenchBenchmark(path=str(tmp_path), partial=True, language="cn"), tmp_path / "run").items


def test_a_question_of_mmbench_that_lacks_a_rotation_is_asked_in_all_of_them(tmp_path: Path) -> None:
    path = skill_files.mmbench(tmp_path / "mmbench_dev.tsv", rotated=True)
    whole = opened(MmBenchBenchmark(path=str(path), partial=True), tmp_path / "run")
    lines = path.read_text("utf-8").splitlines()
    path.write_text("\n".join(line for line in lines if not line.startswith("2000241")) + "\n", encoding="utf-8")
    mended = opened(MmBenchBenchmark(path=str(path), partial=True), tmp_path / "run")
    assert {item.item_id: item.question for item in mended.items} == {i.item_id: i.question for i in whole.items}
    path.write_text("\n".join(line for line in lines if not line.startswith("252\t")) + "\n", encoding="utf-8")
    with pytest.raises(DataError, match="a rotation of question 252, which is not there"):
        opened(MmBenchBenchmark(path=str(path), partial=True), tmp_path / "run")


def test_a_missing_option_of_seed_bench_does_not_move_the_letters(tmp_path: Path) -> None:
    folder = skill_files.seed_bench(tmp_path / "seed")
    row = {"question_id": "q", "question_type_id": 1, "question": "Which?", "answer": "C", "data_id": "one",
           "choice_a": "x", "choice_b": None, "choice_c": "y", "choice_d": "z"}  # fmt: skip
    skill_files.as_json(folder / "SEED-Bench.json", {"questions": [row]})
    skill_files.as_json(folder / "SEED-Bench-2.json", {"questions": []})
    with pytest.raises(DataError, match="Option B is missing"):
        opened(SeedBenchBenchmark(path=str(folder), images=str(folder / "pictures"), partial=True), tmp_path / "run")


def test_a_folder_of_pope_that_lacks_a_way_is_not_all_of_pope(tmp_path: Path) -> None:
    spec = pope(tmp_path / "pope")
    with pytest.raises(DataError, match="coco_pope_adversarial: 0 of 3,000"):
        opened(spec.model_copy(update={"partial": False}), tmp_path / "run")
    one = spec.model_copy(update={"partial": False, "path": str(tmp_path / "pope" / "coco_pope_random.json")})
    with pytest.raises(DataError) as told:
        opened(one, tmp_path / "run")
    assert "adversarial" not in told.value.what


def test_problems_of_scienceqa_may_be_named_themselves(tmp_path: Path) -> None:
    folder = skill_files.scienceqa(tmp_path / "sqa")
    named = ScienceQaBenchmark(path=str(folder / "problems.json"), partial=True)
    whole = ScienceQaBenchmark(path=str(folder), partial=True)
    assert opened(named, tmp_path / "run").protocol() == opened(whole, tmp_path / "run").protocol()


def linked_into_cache(folder: Path, cache: Path) -> Path:
    """The folder as the Hub's cache has it: every file a link to one in `blobs`, which is called by its hash."""
    snapshot = cache / "snapshots" / "0123abc"
    (cache / "blobs").mkdir(parents=True)
    for place, file in enumerate(sorted(one for one in folder.rglob("*") if one.is_file())):
        blob = cache / "blobs" / f"{place:064x}"
        blob.write_bytes(file.read_bytes())
        link = snapshot / file.relative_to(folder)
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(blob)
    return snapshot


@pytest.mark.parametrize(
    ("kind", "write"),
    [(VlsBenchBenchmark, lambda at: safety_files.vlsbench(at, {"Violent": 2})),
     (MssBenchmark, more_safety_files.mssbench), (MathVistaBenchmark, skill_files.mathvista),
     (MmVetBenchmark, skill_files.mm_vet)],
)  # fmt: skip
def test_a_snapshot_in_the_hub_s_cache_is_read_though_its_files_are_links(
    tmp_path: Path, kind: Any, write: Callable[[Path], Path]
) -> None:
    folder = write(tmp_path / "files")
    plain = opened(kind(path=str(folder), partial=True), tmp_path / "run")
    snapshot = linked_into_cache(folder, tmp_path / "hub" / "datasets--x--y")
    assert opened(kind(path=str(snapshot), partial=True), tmp_path / "run").protocol() == plain.protocol()


def test_a_link_that_leads_out_of_a_folder_is_refused_also_beside_a_cache(tmp_path: Path) -> None:
    folder = skill_files.mm_vet(tmp_path / "hub" / "snapshots" / "1")
    secret = skill_files.put(tmp_path / "hub" / "other", "secret.png") / "secret.png"
    (folder / "images" / "v1_0.png").unlink()
    (folder / "images" / "v1_0.png").symlink_to(secret)
    with pytest.raises(DataError, match="outside its folder"):
        opened(MmVetBenchmark(path=str(folder), partial=True), tmp_path / "run")


def test_unsafe_options_of_siuo_are_closed_in_reports(tmp_path: Path) -> None:
    made = opened(MAKES["siuo with options"][1](tmp_path / "files"), tmp_path / "run")
    assert all(item.harmful for item in made.items)


@pytest.mark.parametrize("cell", ["x" * 300, "a/" * 3_000, "a\x00b", "request about teapots " * 30])
def test_a_text_in_the_place_of_a_picture_is_a_sentence_and_not_shown(tmp_path: Path, cell: str) -> None:
    folder = skill_files.mathvista(tmp_path / "mv")
    row = {"pid": "1", "question": "How many?", "answer": "1", "answer_type": "integer", "image": cell}
    skill_files.as_json(folder / "testmini.json", {"1": row})
    with pytest.raises(DataError, match=r"The picture is named by|cannot be read") as told:
        opened(MathVistaBenchmark(path=str(folder), partial=True), tmp_path / "run")
    assert "teapots" not in str(told.value)


def test_a_picture_that_is_a_link_to_itself_is_a_sentence(tmp_path: Path) -> None:
    folder = skill_files.mm_vet(tmp_path / "mv")
    (folder / "images" / "v1_0.png").unlink()
    (folder / "images" / "v1_0.png").symlink_to("v1_0.png")
    with pytest.raises(DataError):
        opened(MmVetBenchmark(path=str(folder), partial=True), tmp_path / "run")


@pytest.mark.parametrize("described", [True, 5, "one", ["one", None], None])
def test_descriptions_of_mir_safetybench_may_be_of_any_form(tmp_path: Path, described: Any) -> None:
    folder = more_safety_files.mir_safetybench(tmp_path / "mir")
    file = next(folder.glob("*/Analogy_final.json"))
    rows = json.loads(file.read_text("utf-8"))
    skill_files.as_json(file, [{**rows[0], "image_descriptions": described}])
    made = opened(MirSafetyBenchmark(path=str(folder), partial=True), tmp_path / "run")
    assert made.items


def test_folders_of_the_hub_are_told_apart_also_where_the_cache_has_links(tmp_path: Path) -> None:
    folder = tmp_path / "sqa"
    row = {"image": skill_files.inline(0), "question": "Which?", "choices": ["cup", "mug"], "answer": 0, "hint": ""}
    for part in ("ScienceQA-IMG", "ScienceQA-FULL"):
        skill_files.parquet(folder / part / "test-00000-of-00001.parquet", [row])
    snapshot = linked_into_cache(folder, tmp_path / "hub" / "datasets--x--y")
    assert len(opened(ScienceQaBenchmark(path=str(snapshot), partial=True), tmp_path / "run").items) == 1
