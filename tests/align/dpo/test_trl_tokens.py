"""Which tokens are trained on, beside those of TRL's collator: where they are equal, and where they are not and why.

The guide says the same in words: `docs/guides/align.md`.
"""

import pytest
from PIL import Image
from tokenizers.processors import TemplateProcessing
from trl.trainer.dpo_trainer import DataCollatorForVisionPreference

from spavl.models.families import family_of
from spavl.models.trees.pack import Row, build_tree, pack_tree
from spavl.pictures import Picture
from tests.families import CASES, build

IMAGE = Image.new("RGB", (40, 40), "red")
ANSWERS = ("a red cup", "no")


def tokens_of_trl(processor):
    """The prompt, and what is scored of the chosen and the rejected answer."""
    example = {
        "images": [IMAGE],
        "prompt": [{"role": "user", "content": "what is shown"}],
        "chosen": [{"role": "assistant", "content": ANSWERS[0]}],
        "rejected": [{"role": "assistant", "content": ANSWERS[1]}],
    }
    batch = DataCollatorForVisionPreference(processor)([example])
    decode = processor.tokenizer.decode
    rows = [
        (ids[(seen == 1) & (scored == 0)], ids[(seen == 1) & (scored == 1)])
        for ids, seen, scored in zip(batch["input_ids"], batch["attention_mask"], batch["completion_mask"], strict=True)
    ]
    return decode(rows[0][0]), [decode(answer) for _, answer in rows]


def tokens_of_ours(model, processor):
    family = family_of(model, processor)
    tree = pack_tree(build_tree([Row("r", "what is shown", ANSWERS, (Picture("p", IMAGE),))]), family)
    decode = processor.tokenizer.decode
    return decode(tree.ids[: tree.shared_prefix]), [decode(tree.ids[a.start : a.stop]) for a in tree.answers]


def test_on_chatml_the_prompt_is_equal_and_trl_also_scores_the_line_feed_after_the_end():
    model, processor = build(CASES["qwen2_5_vl"])
    (prompt, scored), (trl_prompt, trl_scored) = tokens_of_ours(model, processor), tokens_of_trl(processor)
    assert prompt == trl_prompt
    assert scored == [f"{answer}<|im_end|>" for answer in ANSWERS]
    assert trl_scored == [f"{answer}\n" for answer in scored]


def test_on_llava_the_end_token_is_scored_where_trl_scores_a_space_and_no_end():
    model, processor = build(CASES["llava"])
    (prompt, scored), (trl_prompt, trl_scored) = tokens_of_ours(model, processor), tokens_of_trl(processor)
    assert scored == [f" {answer}</s>" for answer in ANSWERS]
    assert trl_scored == [f" {answer} " for answer in ANSWERS]
    assert prompt == trl_prompt
    first = TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    processor.tokenizer.backend_tokenizer.post_processor = first
    assert tokens_of_ours(model, processor)[0] == f"<s>{trl_prompt}" and tokens_of_trl(processor)[0] == trl_prompt


@pytest.mark.parametrize("name", ["gemma3", "idefics3"])
def test_elsewhere_both_score_the_answer_and_the_end_of_its_turn(name):
    model, processor = build(CASES[name])
    (prompt, scored), (trl_prompt, trl_scored) = tokens_of_ours(model, processor), tokens_of_trl(processor)
    assert prompt == trl_prompt
    assert [answer.rstrip("\n") for answer in trl_scored] == scored
