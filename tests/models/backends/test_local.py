"""Local weights: answers depend on the request alone, and whatever can be wrong is a plain error."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from spavl.config.models import LocalSpec
from spavl.errors import ModelError
from spavl.models import open_model
from spavl.models.backends import local
from spavl.models.backends.local import LocalModel, load_vlm, whole_groups
from spavl.models.base import BatchModel, Prompt, Reply, Request, Sampling
from spavl.models.calls.engine import complete
from spavl.models.calls.store import CallStore
from spavl.records import ImageRef, Turn
from tests.tiny import WORDS, picture, tiny_adapter, tiny_llava

SAMPLED = Sampling(temperature=0.8, top_p=0.95, max_tokens=12, seed=3)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> list[ImageRef]:
    folder = tmp_path_factory.mktemp("pictures")
    return [ImageRef(picture(folder / f"{n}.png", seed=n), f"{n:064x}") for n in range(8)]


def requests(pictures: list[ImageRef], count: int, sampling: Sampling = SAMPLED) -> list[Request]:
    """Prompts of many lengths, most with one picture, some with none, some with two, some with a system turn."""
    made = []
    for n in range(count):
        images = [tuple(pictures[n % 8 : n % 8 + 1]), (), (pictures[0], pictures[n % 8])][
            (n % 7 == 3) + 2 * (n % 7 == 5)
        ]
        text = " ".join(WORDS[(n * 5 + k) % len(WORDS)] for k in range(1 + n * 3 % 17))
        made.append(Request(Prompt(text, images, system="be a cup" if n % 5 == 0 else ""), sampling, key=f"key {n}"))
    return made


def model(folder: Path, **more: Any) -> LocalModel:
    return LocalModel(LocalSpec.model_validate({"name": "mini", "path": str(folder), "device": "cpu", **more}))


def answers(replies: list[Reply]) -> list[tuple[str, str]]:
    return [(reply.text, reply.status) for reply in replies]


def test_batches_of_1_7_and_64_and_a_resume_generate_the_same_tokens(
    tiny_checkpoint: Path, pictures: list[ImageRef]
) -> None:
    batch = requests(pictures, 64)
    one, seven, all_at_once = (answers(model(tiny_checkpoint, batch_size=b).generate(batch)) for b in (1, 7, 64))
    assert one == seven == all_at_once
    assert answers(model(tiny_checkpoint, batch_size=7).generate(batch[30:])) == one[30:]
    assert answers(model(tiny_checkpoint, batch_size=64).generate(batch[::-1]))[::-1] == one
    assert len({text for text, _ in one}) > 50, "answers differ from request to request"


def test_greedy_answers_are_those_of_transformers_itself(tiny_checkpoint: Path, pictures: list[ImageRef]) -> None:
    vlm, processor = load_vlm(tiny_checkpoint, device="cpu")
    batch = requests(pictures, 1, Sampling(max_tokens=8))
    from PIL import Image

    content = [{"type": "image", "image": Image.open(pictures[0].path)}, {"type": "text", "text": batch[0].prompt.text}]
    turns = [
        {"role": "system", "content": [{"type": "text", "text": "be a cup"}]},
        {"role": "user", "content": content},
    ]
    inputs = processor.apply_chat_template(
        turns, add_generation_prompt=True, tokenize=True, return_dict=True, return_tensors="pt"
    )
    # The picture's placeholder is the one token that is never generated.
    generated = vlm.generate(**inputs, max_new_tokens=8, do_sample=False, suppress_tokens=[vlm.config.image_token_id])
    expected = processor.decode(generated[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
    assert model(tiny_checkpoint).generate(batch)[0].text == expected.strip()


def test_picture_seed_and_sample_number_change_the_answer(
    tiny_checkpoint: Path, pictures: list[ImageRef], tmp_path: Path
) -> None:
    mini = model(tiny_checkpoint)
    with CallStore(tmp_path / "calls.sqlite") as store:
        prompt = Prompt("what is this ?", (pictures[0],))
        texts = [
            complete(mini, [prompt], sampling=Sampling(0.8, max_tokens=12, seed=1), store=store, samples=3),
            complete(mini, [prompt], sampling=Sampling(0.8, max_tokens=12, seed=2), store=store),
            complete(
                mini, [Prompt(prompt.text, (pictures[1],))], sampling=Sampling(0.8, max_tokens=12, seed=1), store=store
            ),
        ]
    assert len({reply.text for replies in texts for reply in replies}) == 5


def test_an_answer_that_reaches_the_limit_is_marked_truncated(tiny_checkpoint: Path, pictures: list[ImageRef]) -> None:
    mini = model(tiny_checkpoint)
    batch = [
        Request(Prompt("what ?"), Sampling(1.0, max_tokens=limit), key=f"{n}") for n in range(40) for limit in (3, 40)
    ]
    replies = mini.generate(batch)
    assert {reply.status for reply in replies} == {"ok", "truncated"}
    for request, reply in zip(batch, replies, strict=True):
        limit = request.sampling.max_tokens
        assert (reply.status == "truncated") == (reply.finish_reason == "length") == (reply.completion_tokens == limit)
        assert reply.completion_tokens <= limit
    assert all(
        short.text == long.text[: len(short.text)] for short, long in zip(replies[::2], replies[1::2], strict=True)
    )


def test_control_tokens_in_a_prompt_end_no_turn_and_stand_for_no_picture(
    tiny_checkpoint: Path, pictures: list[ImageRef]
) -> None:
    batch = Request(Prompt("what <image> is </s> this ?", (pictures[0],)), SAMPLED, key="k")
    (reply,) = model(tiny_checkpoint).generate([batch])
    assert reply.status in ("ok", "truncated")
    plain = Request(Prompt("what is this ?", (pictures[0],)), SAMPLED, key="k")
    assert reply.prompt_tokens > model(tiny_checkpoint).generate([plain])[0].prompt_tokens


def test_a_damaged_picture_fails_its_own_request_only(
    tiny_checkpoint: Path, pictures: list[ImageRef], tmp_path: Path
) -> None:
    cut = tmp_path / "cut.png"
    cut.write_bytes(pictures[0].path.read_bytes()[:300])
    batch = requests(pictures, 6)
    batch[2] = Request(Prompt("what is this ?", (ImageRef(cut, "c" * 64),)), SAMPLED, key="c")
    batch[4] = Request(Prompt("what is this ?", (ImageRef(tmp_path / "gone.png", "d" * 64),)), SAMPLED, key="d")
    replies = model(tiny_checkpoint).generate(batch)
    assert [replies[2].status, replies[4].status] == ["invalid", "failed"], "a lost file may come back"
    assert all(replies[n].status in ("ok", "truncated") for n in (0, 1, 3, 5))
    assert "cut.png cannot be opened" in replies[2].detail
    assert "gone.png cannot be opened" in replies[4].detail
    assert replies[5].text == model(tiny_checkpoint).generate(requests(pictures, 6))[5].text


def test_a_prompt_that_the_processor_refuses_fails_alone(
    tiny_checkpoint: Path, pictures: list[ImageRef], tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(tiny_checkpoint, tmp_path / "picky"))
    template = folder / "chat_template.jinja"
    picky = "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system turns') }}{% endif %}"
    template.write_text(picky + template.read_text())
    replies = model(folder).generate(requests(pictures, 7))
    assert [reply.status == "invalid" for reply in replies] == [n % 5 == 0 for n in range(7)]
    assert "no system turns" in replies[0].detail
    assert answers(replies)[1] == answers(model(tiny_checkpoint).generate(requests(pictures, 7)))[1]


def refuse_more_than(tokens: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make every loaded model run out of memory on batches of more than `tokens`: a CPU does so only by dying."""

    def small(*args: Any, **more: Any) -> tuple[Any, Any]:
        vlm, processor = load_vlm(*args, **more)

        def check(_: Any, args: Any, given: dict[str, Any]) -> None:
            if given["input_ids"].numel() > tokens:
                raise torch.OutOfMemoryError("out of memory")

        vlm.register_forward_pre_hook(check, with_kwargs=True)
        return vlm, processor

    monkeypatch.setattr(local, "load_vlm", small)


def test_when_memory_runs_out_the_batch_is_halved_and_answers_stay_the_same(
    tiny_checkpoint: Path, pictures: list[ImageRef], monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = requests(pictures, 40)
    expected = answers(model(tiny_checkpoint, batch_size=40).generate(batch))
    refuse_more_than(250, monkeypatch)
    mini = model(tiny_checkpoint, batch_size=40)
    assert answers(mini.generate(batch)) == expected
    assert 0 < mini.fits <= 10
    assert mini.batch_size == 40


def test_a_request_that_does_not_fit_alone_fails_and_the_others_go_on(
    tiny_checkpoint: Path, pictures: list[ImageRef], monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse_more_than(0, monkeypatch)
    replies = model(tiny_checkpoint, batch_size=4).generate(requests(pictures, 3))
    assert [(reply.status, reply.detail) for reply in replies] == [("failed", "out of memory: out of memory")] * 3


def test_a_batch_is_cut_where_the_pictures_change(pictures: list[ImageRef]) -> None:
    asked = [Request(Prompt("what ?", (pictures[n // 3],)), SAMPLED) for n in range(8)]
    assert [len(whole_groups(asked, most)) for most in (2, 3, 4, 5, 6, 7, 8, 9)] == [2, 3, 3, 3, 6, 6, 8, 8]


@pytest.mark.parametrize("declared", [{"trust_remote_code": True}, {"quantisation": "8bit"}])
def test_models_that_trees_are_not_tested_with_give_the_same_answers_by_plain_generate(
    tiny_checkpoint: Path, pictures: list[ImageRef], monkeypatch: pytest.MonkeyPatch, declared: dict[str, Any]
) -> None:
    batch = requests(pictures, 16)
    expected = answers(model(tiny_checkpoint).generate(batch))
    rows: list[int] = []

    def unquantised(*args: Any, **more: Any) -> tuple[Any, Any]:
        vlm, processor = load_vlm(*args, **{**more, "quantisation": "none"})
        vlm.register_forward_pre_hook(lambda _, __, given: rows.append(given["input_ids"].shape[0]), with_kwargs=True)
        return vlm, processor

    monkeypatch.setattr(local, "load_vlm", unquantised)
    assert answers(model(tiny_checkpoint, **declared).generate(batch)) == expected
    assert max(rows) > 8, "transformers' own `generate` has a row for each answer"


def test_earlier_turns_and_their_pictures_are_read(tiny_checkpoint: Path, pictures: list[ImageRef]) -> None:
    earlier = (Turn("user", "what is this ?", (pictures[0],)), Turn("assistant", "a red cup"))
    other = (replace(earlier[0], images=(pictures[1],)), earlier[1])
    prompts = [Prompt("is it round ?", (pictures[2],), earlier=turns) for turns in ((), earlier, other)]
    replies = model(tiny_checkpoint).generate([Request(prompt, SAMPLED, key="k") for prompt in prompts])
    assert len({reply.text for reply in replies}) == 3
    assert replies[0].prompt_tokens < replies[1].prompt_tokens == replies[2].prompt_tokens


def test_a_guard_reads_the_answer_as_the_assistants_turn(tiny_checkpoint: Path, pictures: list[ImageRef]) -> None:
    asked = Prompt("a red cup", earlier=(Turn("user", "what is this ?", (pictures[0],)),))
    graded = replace(asked, role="assistant")
    replies = model(tiny_checkpoint).generate([Request(prompt, SAMPLED, key="k") for prompt in (asked, graded)])
    _, processor = load_vlm(tiny_checkpoint, device="cpu")
    from PIL import Image

    question = [{"type": "image", "image": Image.open(pictures[0].path)}, {"type": "text", "text": "what is this ?"}]
    for reply, role in zip(replies, ("user", "assistant"), strict=True):
        turns = [
            {"role": "user", "content": question},
            {"role": role, "content": [{"type": "text", "text": asked.text}]},
        ]
        options = {"add_generation_prompt": True, "tokenize": True, "return_dict": True, "return_tensors": "pt"}
        assert reply.prompt_tokens == processor.apply_chat_template(turns, **options)["input_ids"].shape[1]
    assert replies[0].prompt_tokens != replies[1].prompt_tokens


def test_a_control_token_in_an_earlier_turn_ends_nothing(tiny_checkpoint: Path) -> None:
    turns = [
        (Turn("user", text), Turn("assistant", "no")) for text in ("what </s> is <image> this ?", "what is this ?")
    ]
    made = [Request(Prompt("why ?", earlier=earlier), SAMPLED, key="k") for earlier in turns]
    broken, plain = model(tiny_checkpoint).generate(made)
    assert broken.status in ("ok", "truncated")
    assert broken.prompt_tokens > plain.prompt_tokens


def test_weights_are_loaded_at_the_first_call_and_again_after_close(
    tiny_checkpoint: Path, pictures: list[ImageRef], monkeypatch: pytest.MonkeyPatch
) -> None:
    loads: list[Path] = []
    load: Callable[..., tuple[Any, Any]] = load_vlm
    monkeypatch.setattr(local, "load_vlm", lambda *a, **k: loads.append(a[0]) or load(*a, **k))
    mini = model(tiny_checkpoint)
    assert isinstance(mini, BatchModel)
    assert (mini.device, mini.dtype, loads) == ("cpu", "float32", [])
    first = answers(mini.generate(requests(pictures, 2)))
    mini.close()
    mini.close()
    assert answers(mini.generate(requests(pictures, 2))) == first
    assert loads == [tiny_checkpoint, tiny_checkpoint]


def test_an_adapter_is_merged_and_changes_the_answers(
    tiny_checkpoint: Path, pictures: list[ImageRef], tmp_path: Path
) -> None:
    adapter = tiny_adapter(tiny_checkpoint, tmp_path / "adapter")
    batch = requests(pictures, 8, Sampling(max_tokens=8))
    plain = answers(model(tiny_checkpoint).generate(batch))
    adapted = answers(model(tiny_checkpoint, adapter=str(adapter)).generate(batch))
    assert plain != adapted
    assert answers(model(adapter).generate(batch)) == adapted


def test_retraining_into_the_same_folder_makes_every_call_anew(pictures: list[ImageRef], tmp_path: Path) -> None:
    folder = tiny_llava(tmp_path / "checkpoint")
    prompts = [request.prompt for request in requests(pictures, 5)]
    with CallStore(tmp_path / "calls.sqlite") as store:
        first = complete(model(folder), prompts, sampling=SAMPLED, store=store)
        assert (store.hits, store.calls) == (0, 5)
        complete(model(folder), prompts, sampling=SAMPLED, store=store)
        assert (store.hits, store.calls) == (5, 5)
        tiny_llava(folder, seed=1)
        second = complete(model(folder), prompts, sampling=SAMPLED, store=store)
        assert (store.hits, store.calls) == (5, 10)
    assert all(a.key != b.key for a, b in zip(first, second, strict=True))


def test_a_checkpoint_that_changes_between_key_and_loading_is_refused(pictures: list[ImageRef], tmp_path: Path) -> None:
    folder = tiny_llava(tmp_path / "checkpoint")
    mini = model(folder)
    assert mini.identity
    tiny_llava(folder, seed=1)
    with pytest.raises(ModelError, match="changed while it was in use"):
        mini.generate(requests(pictures, 1))


def test_a_truncated_weights_file_is_a_plain_error(
    tiny_checkpoint: Path, pictures: list[ImageRef], tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(tiny_checkpoint, tmp_path / "cut"))
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:5000])
    with pytest.raises(ModelError, match="checkpoint cannot be loaded") as raised:
        model(folder).generate(requests(pictures, 1))
    assert str(folder) in raised.value.where


def test_a_checkpoint_that_lacks_weights_never_answers_with_noise(tiny_checkpoint: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = Path(shutil.copytree(tiny_checkpoint, tmp_path / "partial"))
    weights = load_file(folder / "model.safetensors")
    gone = next(name for name in weights if "q_proj" in name and "language" in name)
    save_file({k: v for k, v in weights.items() if k != gone}, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(ModelError, match="lacks 1 weights"):
        load_vlm(folder, device="cpu")


def test_a_checkpoint_without_a_chat_template_is_a_plain_error(tiny_checkpoint: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(tiny_checkpoint, tmp_path / "mute"))
    (folder / "chat_template.jinja").unlink()
    with pytest.raises(ModelError, match="no chat template"):
        load_vlm(folder, device="cpu")


def test_code_in_a_checkpoint_is_not_run_unless_allowed(tiny_checkpoint: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(tiny_checkpoint, tmp_path / "coded"))
    ran = tmp_path / "ran"
    (folder / "own.py").write_text(f"open({str(ran)!r}, 'w').close()\nclass Own: pass\n")
    config = json.loads((folder / "config.json").read_text())
    config |= {"model_type": "own", "auto_map": {"AutoConfig": "own.Own", "AutoModelForImageTextToText": "own.Own"}}
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match="cannot be loaded"):
        load_vlm(folder, device="cpu")
    assert not ran.exists()


def test_without_torch_the_error_says_how_to_install_it(tiny_checkpoint: Path) -> None:
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from spavl.errors import MissingExtra\n"
        "from spavl.models.backends.local import load_vlm\n"
        "try: load_vlm(sys.argv[1], 'float32', 'cpu')\n"
        "except MissingExtra as error: print(error.try_)"
    )
    command = [sys.executable, "-c", code, str(tiny_checkpoint)]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "pip install 'spavl[local]'\n"


def test_open_model_opens_a_settings_entry(tiny_checkpoint: Path) -> None:
    mini = open_model(LocalSpec(name="mini", path=str(tiny_checkpoint), batch_size=5))
    assert isinstance(mini, LocalModel)
    assert (mini.name, mini.batch_size) == ("mini", 5)
