"""A reward model scores what TRL hands to it: whole prompts, every form of completion, empty ones too."""

import pytest
from PIL import Image

from spavl.align.reward.model import RewardModel
from spavl.align.reward.train import train_reward
from spavl.align.reward.trl_reward import to_trl_reward
from spavl.config.align import AlignSettings
from spavl.errors import DataError
from spavl.models.families import ChatTurn
from spavl.models.trees.pack import Row
from spavl.pictures import Picture


@pytest.fixture(scope="module")
def model(pairs, checkpoint, tmp_path_factory):
    settings = AlignSettings.model_validate(
        {
            "model": str(checkpoint), "freeze": {"rank": 4}, "optimiser": {"learning_rate": 1e-2, "max_steps": 3},
            "batching": {"pairs": 12},
        }
    )  # fmt: skip
    return RewardModel.load(train_reward(pairs, settings, tmp_path_factory.mktemp("reward")).folder)


def image(pair):
    return Image.open(pair.pictures[0].source)


def said(text):
    return [{"role": "assistant", "content": text}]


def asked(*content):
    return [{"role": "user", "content": list(content)}]


HERE = {"type": "image"}


def words(text):
    return {"type": "text", "text": text}


def test_trl_can_call_it_with_its_own_columns(pairs, model):
    images = [image(pair) for pair in pairs[:3]]
    prompts = [asked(HERE, words(pair.question)) for pair in pairs[:3]]
    expected = model.score(images, [p.question for p in pairs[:3]], [p.chosen for p in pairs[:3]]).tolist()
    reward = to_trl_reward(model)
    forms = [
        [said(p.chosen) for p in pairs[:3]],
        [p.chosen for p in pairs[:3]],
        [said([words(p.chosen)]) for p in pairs[:3]],
    ]
    for columns in ({"images": [[one] for one in images]}, {"image": images}):
        for completions in forms:
            found = reward(
                prompts=prompts, completions=completions, completion_ids=[[1]] * 3, trainer_state=None, **columns
            )
            assert found == pytest.approx(expected, abs=1e-5)
    filled = [asked({"type": "image", "image": one}, words(p.question)) for one, p in zip(images, pairs, strict=False)]
    for columns in ({}, {"images": [[one] for one in images]}):
        assert reward(prompts=filled, completions=forms[0], **columns) == pytest.approx(expected, abs=1e-5)


def test_every_picture_earlier_turn_and_system_turn_of_a_prompt_counts(pairs, model):
    first, second = pairs[0], pairs[3]
    prompt = [
        {"role": "system", "content": "be kind please"},
        *asked(HERE, words(first.question)),
        *said(first.chosen),
        *asked(HERE, words(second.question)),
    ]
    pictures = [image(first), image(second)]
    row = Row(
        "0", second.question, (second.chosen,), (Picture("b", pictures[1]),), "be kind please",
        (ChatTurn("user", first.question, (Picture("a", pictures[0]),)), ChatTurn("assistant", first.chosen)),
    )  # fmt: skip
    reward = to_trl_reward(model)
    (found,) = reward(prompts=[prompt], completions=[said(second.chosen)], images=[pictures])
    assert found == pytest.approx(float(model.scalar_head.score([row])["0"][0]), abs=1e-5)
    for other in (prompt[1:], [prompt[0], *prompt[3:]]):
        shown = pictures if other is not None and len(other) == 3 else pictures[1:]
        assert reward(prompts=[other], completions=[said(second.chosen)], images=[shown]) != pytest.approx([found])
    assert reward(prompts=[prompt], completions=[said(second.chosen)], images=[pictures[::-1]]) != pytest.approx(
        [found]
    )


def test_an_empty_completion_is_scored_and_so_are_prompts_of_text(pairs, model):
    reward = to_trl_reward(model)
    prompt = asked(HERE, words(pairs[0].question))
    for empty in (said(""), "", said([])):
        (found,) = reward(prompts=[prompt], completions=[empty], image=[image(pairs[0])])
        row = Row("0", pairs[0].question, ("",), pairs[0].pictures)
        assert found == pytest.approx(float(model.scalar_head.score([row])["0"][0]), abs=1e-5)
    text = Row("0", "tell me more", ("no",))
    expected = float(model.scalar_head.score([text])["0"][0])
    assert reward(prompts=["tell me more"], completions=["no"]) == pytest.approx([expected], abs=1e-5)


@pytest.mark.parametrize(
    ("prompt", "columns", "message"),
    [
        (asked(HERE, words("what")), {}, "in the texts: 1, pictures of the row: 0"),
        (asked(HERE, HERE, words("what")), {"images": [["one"]]}, "in the texts: 2, pictures of the row: 1"),
        (said("what"), {}, "the last turn of the prompt is not the user's"),
        ([], {}, "cannot be scored"),
        (7, {}, "`prompt` is a number"),
    ],
)
def test_a_prompt_that_lacks_its_pictures_is_a_sentence(model, prompt, columns, message):
    with pytest.raises(DataError, match=message) as error:
        to_trl_reward(model)(prompts=[prompt], completions=["a cup"], **columns)
    assert error.value.where == "prompt 0"
