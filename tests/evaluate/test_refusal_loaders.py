"""XSTest, MOSSBench, VLSU and Anthropic-Helpful in their published layouts, with what is odd in the real files."""

from __future__ import annotations

import json
from collections import Counter

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bench.evaluating import refusal_files as files
from spavl.config.benchmarks import AnthropicHelpfulBenchmark, MossBenchBenchmark, VlsuBenchmark, XsTestBenchmark
from spavl.errors import DataError, SettingsError
from spavl.evaluate import Benchmark, BenchmarkTools
from spavl.evaluate.loaders import open_benchmark
from spavl.evaluate.parse import REFUSES
from spavl.evaluate.run import score, summarise
from spavl.evaluate.scorer import Answer, Rule
from spavl.models.base import Sampling

HELPS = Rule("test:helps/1", lambda item, text: "warm water" in text)
BETTER = Rule("test:better/1", lambda item, text: 1.0 if len(text) > len(item.notes["reference"]) else 0.5)
DECLINES = "I'm sorry, but I can't help with that."


def opened(spec, tmp_path, **tools) -> Benchmark:
    made = BenchmarkTools(
        name=spec.name, sampling=Sampling(max_tokens=16), pictures=tmp_path / "pictures", seed=0, unsafe=lambda: HELPS,
        rubric=lambda name: HELPS, preferred=lambda: BETTER, **tools,
    )  # fmt: skip
    return open_benchmark(spec, made)


def refusal(spec, tmp_path) -> str:
    with pytest.raises((DataError, SettingsError)) as error:
        opened(spec, tmp_path)
    return error.value.render()


def rates(benchmark, says):
    answers = [
        Answer(item=item, benchmark=benchmark.name, model="m", text=says(item), status="ok", call="", tokens=1)
        for item in benchmark.items
    ]
    return {name: rate.value for name, rate in summarise(score(benchmark, answers)).items()}


def xstest(tmp_path, **settings) -> XsTestBenchmark:
    files.write_csv(tmp_path / "xstest_prompts.csv", files.xstest_rows())
    return XsTestBenchmark(path=str(tmp_path), **settings)


def test_xstest_counts_and_refusals_on_both_halves(tmp_path):
    made = opened(xstest(tmp_path), tmp_path)
    assert Counter(item.subset for item in made.items) == {"safe": 250, "unsafe": 200}
    assert len({item.group for item in made.items}) == 18 and {item.shown for item in made.items} == {"none"}
    assert [m.name for m in made.metrics] == ["over_refusal_rate", "harmful_refusal_rate", "pair_accuracy"]
    all_refused = rates(made, lambda item: DECLINES)
    assert all_refused == {"over_refusal_rate": 1, "harmful_refusal_rate": 1, "pair_accuracy": 0}
    as_wanted = rates(made, lambda item: DECLINES if item.harmful else "Of course: it is a teapot.")
    assert as_wanted == {"over_refusal_rate": 0, "harmful_refusal_rate": 1, "pair_accuracy": 1}


def test_prompts_are_a_pair_where_they_alone_have_their_type_and_focus(tmp_path):
    made = opened(xstest(tmp_path), tmp_path)
    pairs = Counter(item.unit for item in made.items if item.unit)
    assert set(pairs.values()) == {2} and "homonyms/spout 0" in pairs and "homonyms/spout 4" in pairs
    assert "homonyms/kettle 1" not in pairs  # two harmless ones have it
    assert "privacy_public/spout 0" not in pairs  # there is no contrast_privacy_public
    assert all(not item.unit for item in made.items if not item.notes["focus"])
    metric = made.metrics[2]
    assert sum(metric.counts(item) for item in made.items) == 2 * len(pairs)


@pytest.mark.parametrize(("end", "start"), [("\r\n", ""), ("\n", "\ufeff")])
def test_older_copies_of_xstest_have_no_labels(tmp_path, end, start):
    files.write_csv(tmp_path / "xstest_v2_prompts.csv", files.xstest_rows(labelled=False), end=end, start=start)
    made = opened(XsTestBenchmark(path=str(tmp_path)), tmp_path)
    assert made.items[0].item_id == "v2-1" and sum(item.harmful for item in made.items) == 200


def test_xstest_from_parquet_without_ids(tmp_path):
    rows = [{k: v for k, v in row.items() if k in ("prompt", "type", "label", "focus")} for row in files.xstest_rows()]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "test-00000-of-00001.parquet")
    made = opened(XsTestBenchmark(path=str(tmp_path)), tmp_path)
    assert [item.item_id for item in made.items[:2]] == ["1", "2"] and len(made.items) == 450


def test_xstest_with_a_blank_picture_a_neutral_one_and_one_of_every_type(tmp_path):
    blank = opened(xstest(tmp_path, image="blank"), tmp_path)
    assert {item.shown for item in blank.items} == {"blank"} and len({i.images[0].sha256 for i in blank.items}) == 1
    (tmp_path / "calm.png").write_bytes(files.picture(1))
    one = opened(xstest(tmp_path, image="neutral", images=str(tmp_path / "calm.png")), tmp_path)
    assert {item.shown for item in one.items} == {"picture"} and len({i.images[0].sha256 for i in one.items}) == 1
    folder = tmp_path / "neutral"
    folder.mkdir()
    for place, kind in enumerate((*files.TYPES, *files.CONTRAST_TYPES)):
        (folder / f"{kind}.png").write_bytes(files.picture(place))
    each = opened(xstest(tmp_path, image="neutral", images=str(folder)), tmp_path)
    assert len({item.images[0].sha256 for item in each.items}) == 18
    assert len({blank.protocol(), one.protocol(), each.protocol()}) == 3
    (folder / "homonyms.png").unlink()
    assert "homonyms" in refusal(xstest(tmp_path, image="neutral", images=str(folder)), tmp_path)
    assert "`images`" in refusal(xstest(tmp_path, image="neutral"), tmp_path)


def test_another_number_of_prompts_is_refused_and_a_missing_file_says_where_it_is_got(tmp_path):
    rows = files.xstest_rows()
    file = files.write_csv(tmp_path / "xstest_prompts.csv", rows[1:])
    told = refusal(XsTestBenchmark(path=str(file)), tmp_path)
    assert "safe: 249 of 250" in told and "partial: true" in told
    assert len(opened(XsTestBenchmark(path=str(file), partial=True), tmp_path).items) == 449
    assert "github.com/paul-rottger/xstest" in refusal(XsTestBenchmark(path=str(tmp_path / "none")), tmp_path)


def test_a_part_of_xstest_takes_both_sides_of_a_pair(tmp_path):
    made = opened(xstest(tmp_path, limit=60), tmp_path)
    assert len(made.items) <= 60 and set(Counter(i.unit for i in made.items if i.unit).values()) == {2}


@pytest.mark.parametrize("form", ["json", "csv"])
def test_mossbench_pairs_the_questions_on_one_picture(tmp_path, form):
    folder = files.mossbench(tmp_path / "MOSSBench", form=form)
    made = opened(MossBenchBenchmark(path=str(folder)), tmp_path)
    assert Counter(item.subset for item in made.items) == {"benign": 300, "contrast": 244}
    pairs = Counter(item.unit for item in made.items if item.unit)
    assert len(pairs) == 244 - 43 and set(pairs.values()) == {2}
    by_id = {item.item_id: item for item in made.items}
    last, twin = by_id["contrast/244"], by_id["benign/300"]
    assert last.unit == twin.unit and last.images[0].sha256 == twin.images[0].sha256 and last.group == "type 3"
    assert not by_id["contrast/1"].unit and by_id["benign/1"].benign and by_id["contrast/1"].harmful
    same = opened(MossBenchBenchmark(path=str(folder / "data")), tmp_path)
    assert same.protocol() == made.protocol()


def test_mossbench_without_its_contrast_set(tmp_path):
    folder = files.mossbench(tmp_path / "MOSSBench")
    made = opened(MossBenchBenchmark(path=str(folder), contrast=False), tmp_path)
    assert [m.name for m in made.metrics] == ["over_refusal_rate"] and len(made.items) == 300
    (folder / "data_contrast" / "images_information" / "information.json").unlink()
    assert "contrast: false" in refusal(MossBenchBenchmark(path=str(folder)), tmp_path)
    (folder / "data" / "images" / "7.png").unlink()
    told = refusal(MossBenchBenchmark(path=str(folder), contrast=False), tmp_path)
    assert "7.png" in told and "missing_pictures=skip" in told and "github.com/xirui-li/MOSSBench" in told


def test_vlsu_wants_answers_safe_completions_and_no_harm(tmp_path):
    made = opened(VlsuBenchmark(path=str(files.vlsu(tmp_path / "vlsu"))), tmp_path)
    assert Counter(item.subset for item in made.items) == {"safe": 1, "unsafe": 1, "borderline": 2}
    assert [item.images[0].path.name for item in made.items[:2]] == ["0000-0.jpg", "0000-1.png"]
    assert {item.group for item in made.items} == {"C3"} and made.items[2].notes["pattern"] == "unsafe/safe/borderline"
    completion = next(m for m in made.metrics if m.name == "safe_completion_rate")
    assert completion.axis == "over-refusal" and completion.better == "higher"
    found = rates(made, lambda item: "Rinse it in warm water; mind the crack." if item.group else "")
    assert found["safe_completion_rate"] == 1 and found["over_refusal_rate"] == 0 and found["unsafe_rate"] == 1
    found = rates(made, lambda item: DECLINES)
    assert found["safe_completion_rate"] == 0 and found["over_refusal_rate"] == found["borderline_refusal_rate"] == 1


def test_pictures_of_vlsu_that_are_gone_from_the_web_are_counted(tmp_path):
    folder = files.vlsu(tmp_path / "vlsu")
    (folder / "data" / "images" / "0000-2.jpg").unlink()
    assert "1 of 4" in refusal(VlsuBenchmark(path=str(folder)), tmp_path)
    kept = opened(VlsuBenchmark(path=str(folder)), tmp_path, missing_pictures="skip")
    assert [bool(item.missing) for item in kept.items] == [False, False, True, False]


def test_anthropic_helpful_asks_a_dialogue_up_to_its_last_question(tmp_path):
    folder = files.hh_rlhf(tmp_path / "hh")
    made = opened(AnthropicHelpfulBenchmark(path=str(folder)), tmp_path)
    first = made.items[0]
    assert len(made.items) == 2353 and first.item_id == "helpful-base/0"
    assert [turn.text for turn in first.earlier] == ["one", "a"] and (first.question, first.notes) == (
        "two", {"reference": "b"})  # fmt: skip
    assert "1 row whose two dialogues differ" in made.source and "1 row without a question or a chosen" in made.source
    assert [m.name for m in made.metrics] == ["win_rate", "over_refusal_rate"] and made.metrics[0].graded
    assert rates(made, lambda item: "a very long answer about teapots")["win_rate"] == 1
    asked = opened(AnthropicHelpfulBenchmark(path=str(folder), turns="first"), tmp_path).items[0]
    assert (asked.question, asked.earlier, asked.notes["reference"]) == ("one", (), "a")


def test_one_file_is_one_part(tmp_path):
    file = files.hh_rlhf(tmp_path / "hh") / "helpful-base" / "test.jsonl.gz"
    assert len(opened(AnthropicHelpfulBenchmark(path=str(file)), tmp_path).items) == 2353
    assert "2,354 of 1,137" in refusal(AnthropicHelpfulBenchmark(path=str(file), parts=("helpful-online",)), tmp_path)
    several = AnthropicHelpfulBenchmark(path=str(file), parts=("helpful-base", "helpful-online"))
    assert "one in `parts`" in refusal(several, tmp_path)


@pytest.mark.parametrize(
    ("said", "asked", "answer"),
    [
        (("hi", "hello"), ["hi"], "hello"),
        (("hi", "", "you there?", "yes"), ["hi\n\nyou there?"], "yes"),
        (("hi", "hello", "bye"), ["hi", "hello", "bye"], ""),
        (("Human: odd", "hello"), ["Human: odd"], "hello"),
    ],
)
def test_turns_of_a_dialogue_alternate_whatever_the_file_does(tmp_path, said, asked, answer):
    file = tmp_path / "test.jsonl"
    other = {"chosen": files.dialogue("x", "y"), "rejected": files.dialogue("x", "z")}
    row = {"chosen": files.dialogue(*said), "rejected": files.dialogue(*said)}
    file.write_text("\n".join(map(json.dumps, (row, other))))
    made = opened(AnthropicHelpfulBenchmark(path=str(file), partial=True), tmp_path)
    if answer:
        item = made.items[0]
        assert [*(turn.text for turn in item.earlier), item.question] == asked and item.notes["reference"] == answer
    assert len(made.items) == (2 if answer else 1)


def test_a_pointer_of_git_lfs_and_another_form_are_refused(tmp_path):
    file = tmp_path / "helpful-base" / "test.jsonl.gz"
    file.parent.mkdir()
    file.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    assert "git lfs pull" in refusal(AnthropicHelpfulBenchmark(path=str(tmp_path)), tmp_path)
    file.write_text('{"chosen": "A teapot.", "rejected": "No."}\n')
    assert '"Human: "' in refusal(AnthropicHelpfulBenchmark(path=str(tmp_path)), tmp_path)
    file.unlink()
    assert "github.com/anthropics/hh-rlhf" in refusal(AnthropicHelpfulBenchmark(path=str(tmp_path)), tmp_path)


def test_the_refusal_scorer_of_the_tools_is_used(tmp_path):
    made = opened(xstest(tmp_path), tmp_path, refuses=HELPS)
    assert {m.scorer.id for m in made.metrics[:2]} == {HELPS.id} and REFUSES.id not in made.metrics[2].scorer.id
