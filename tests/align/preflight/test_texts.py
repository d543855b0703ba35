"""What the preflight says of texts: words outside the vocabulary, control tokens, thoughts, borders, repeats."""

from contextlib import nullcontext
from dataclasses import replace

import pytest
import torch
from transformers import AutoModelForImageTextToText

from spavl.align.data.batches import PairDataset
from spavl.align.data.validate import find_repeats
from spavl.align.policy.policy import make_policy
from spavl.align.preflight.checks import PreflightChecks
from spavl.align.preflight.usable_pairs import group_by, usable_pairs
from spavl.config.align import AlignSettings, FreezeSettings
from spavl.errors import DataError, ModelError
from spavl.models.families import load_processor
from spavl.preferences.pairs import Reading
from spavl.preferences.table import open_pairs, short_digests
from tests.families import CASES, build


@pytest.fixture
def policy(checkpoint):
    model = AutoModelForImageTextToText.from_pretrained(checkpoint)
    return make_policy(model, load_processor(checkpoint), FreezeSettings(rank=2))


def checked(policy, pairs, **data):
    """Findings of the checks on pairs."""
    dataset = PairDataset(pairs, policy.family, packing="tree")
    trees = group_by(pairs, "picture")
    dataset.measure(trees)
    settings = AlignSettings.model_validate({"data": data})
    checks = PreflightChecks(policy, dataset, settings, torch.device("cpu"), nullcontext, exact=True)
    checks.run(trees)
    return [finding.render() for finding in checks.findings]


def usable(pairs, policy, **data):
    settings = AlignSettings.model_validate({"data": data})
    dataset, _, findings = usable_pairs(pairs, settings, policy, "local:model", lambda done, total: None)
    return [pair.pair_id for pair in dataset.pairs], [finding.render() for finding in findings]


# ---- words outside the vocabulary


def test_words_outside_the_vocabulary_are_told_as_such(policy, pairs):
    some = [replace(pairs[0], chosen="a zebra"), replace(pairs[1], question="zebra ?"), *pairs[2:6]]
    found = "\n".join(checked(policy, some))
    assert (
        f"warn: words outside the vocabulary of the model, which reads each as `<unk>` (2: {some[0].pair_id}, " in found
    )


def test_a_model_without_unknown_words_has_none(pairs):
    model, processor = build(CASES["qwen2_5_vl"])
    policy = make_policy(model, processor, FreezeSettings(rank=2))
    some = [replace(pair, chosen="a zebra \u2603") for pair in pairs[:3]]
    assert policy.family.unknown_id is None
    assert not any("vocabulary" in one for one in checked(policy, some))


def test_thoughts_need_their_marks_in_the_vocabulary(policy, pairs):
    with pytest.raises(ModelError, match="`<think>` is outside the vocabulary") as error:
        checked(policy, pairs[:3], thought="train")
    assert error.value.try_ == "align.data.thought=drop"


# ---- thoughts that the template opens


@pytest.fixture
def thinking(checkpoint):
    processor = load_processor(checkpoint)
    processor.tokenizer.add_tokens(["<think>", "</think>"])
    processor.chat_template += "{% if add_generation_prompt %}{{ '<think>\\n' }}{% endif %}"
    model = AutoModelForImageTextToText.from_pretrained(checkpoint)
    model.resize_token_embeddings(len(processor.tokenizer), mean_resizing=False)
    return make_policy(model, processor, FreezeSettings(rank=2))


def test_answers_behind_a_thought_of_the_template_are_trained_behind_an_empty_one_and_it_is_said(thinking, pairs):
    found = checked(thinking, pairs[:6])
    assert any("warn: the chat template opens a thought (`<think>`)" in one for one in found)
    assert not any("border" in one for one in found)


def test_thoughts_of_the_data_inside_a_thought_of_the_template_are_refused_with_the_reason(thinking, pairs):
    with pytest.raises(ModelError, match="would stand inside another one"):
        checked(thinking, pairs[:6], thought="train")


# ---- the border between prompt and answer


def other_prompt(policy):
    """A template that writes another prompt once an answer follows."""
    template = policy.processor.chat_template
    policy.processor.chat_template = template.replace("%}ASSISTANT:{%", "%}ASSISTANT: now{%")
    assert policy.processor.chat_template != template


def test_where_no_conversation_starts_with_its_prompt_training_is_refused(policy, pairs):
    other_prompt(policy)
    with pytest.raises(ModelError, match="No conversation starts with the tokens of its own prompt"):
        checked(policy, pairs[:6])


def test_where_a_tokenizer_joins_some_answers_with_their_prompts_the_rows_are_noted(pairs):
    model, processor = build(CASES["llava"])
    template = processor.chat_template.replace("ASSISTANT:", "ASSISTANT:t").replace("ASSISTANT:t ", "ASSISTANT:t")
    processor.chat_template = template
    policy = make_policy(model, processor, FreezeSettings(rank=2))
    some = [replace(pairs[0], chosen="hello", rejected="bye"), replace(pairs[3], chosen="good", rejected="bye")]
    found = "\n".join(checked(policy, some))
    assert f"answers were tokenised on their own, as generation would produce them (1: {some[0].pair_id})" in found


# ---- control tokens


def test_control_tokens_are_broken_up_and_counted_or_left_out_or_refused(policy, pairs):
    some = [replace(pairs[0], chosen="a </s> cup"), replace(pairs[1], question="what <image> is"), *pairs[2:4]]
    ids = [pair.pair_id for pair in some]
    kept, found = usable(some, policy)
    assert kept == ids and any(f"warn: control token (2: {ids[0]}, {ids[1]})" in one for one in found)
    kept, found = usable(some, policy, control_tokens="skip")
    assert kept == ids[2:] and any("skip: control token (2" in one for one in found)
    with pytest.raises(DataError, match="control token"):
        usable(some, policy, control_tokens="refuse")
    assert not any("not those of the answer" in one for one in checked(policy, some))


# ---- repeats and contradictions


def repeats(pairs):
    one, two = pairs[0], pairs[3]
    return [
        one, replace(one, pair_id="again"), two,
        replace(two, pair_id="other way", chosen=two.rejected, rejected=two.chosen),
        replace(one, pair_id="other picture", pictures=two.pictures),
        replace(one, pair_id="other system", system="be a cup"),
    ]  # fmt: skip


def test_repeated_and_contradictory_pairs_are_counted_or_left_out_or_refused(policy, pairs):
    some = repeats(pairs)
    ids = [pair.pair_id for pair in some]
    kept, found = usable(some, policy)
    text = "\n".join(found)
    assert kept == ids
    assert "warn: repeated pair (1: again)" in text and f"warn: contradictory pair (2: {ids[2]}, other way)" in text
    assert usable(some, policy, repeated="skip")[0] == [ids[0], *ids[2:]]
    assert usable(some, policy, contradictory="skip")[0] == [*ids[:2], *ids[4:]]
    with pytest.raises(DataError, match="repeated pair") as error:
        usable(some, policy, repeated="refuse")
    assert "align.data.repeated=skip" in error.value.try_


def test_repeats_of_a_table_are_those_of_the_pairs_in_memory(policy, pairs, tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = [
        {"pair_id": pair.pair_id, "image": {"bytes": pair.pictures[0].source.read_bytes(), "path": None},
         "question": pair.question, "chosen": pair.chosen, "rejected": pair.rejected, "system": pair.system}
        for pair in repeats(pairs) * 300
    ]  # fmt: skip
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "train.parquet")
    table = open_pairs(tmp_path / "train.parquet", cache=tmp_path / "cache")
    memory = list(table)
    assert find_repeats(table) == find_repeats(memory) and len(find_repeats(table)) == len(memory) - 3
    assert (short_digests(table) == short_digests(memory)).all()
    assert (short_digests(table[5:1500], swapped=True) == short_digests(memory[5:1500], swapped=True)).all()


# ---- how files were read


def test_the_report_says_how_a_file_was_read_and_names_its_malformed_rows(policy, pairs, tmp_path):
    import json

    fine = {"prompt": "what is this", "chosen": "a cup", "rejected": "a hat", "score": 1}
    rows = [fine, fine | {"chosen": 7}, fine | {"rejected": 7}, fine | {"chosen": 8}]
    file = tmp_path / "mine.jsonl"
    file.write_text("\n".join(map(json.dumps, rows)))
    table = open_pairs(file, cache=tmp_path / "cache", reading=Reading())
    with pytest.raises(DataError, match="malformed row: `chosen` is a number, not a text") as error:
        usable(table, policy)
    assert "(2: mine.jsonl, line 2, mine.jsonl, line 4)" in str(error.value)
    kept, found = usable(table, policy, invalid="skip")
    assert len(kept) == 1
    assert any(f"{file} is read as trl; columns not read: score" in one for one in found)
