"""`transformers serve` with the miniature world's base answers over HTTP as the same weights answer here."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from spavl.config.models import EndpointSpec, LocalSpec
from spavl.miniworld.pictures import draw
from spavl.miniworld.world import Scene, kinds
from spavl.models import open_model
from spavl.models.base import Prompt, Reply, Sampling
from spavl.models.calls.engine import complete
from spavl.models.calls.store import CallStore
from spavl.models.identity import find_checkpoint
from spavl.pictures import file_sha256
from spavl.records import ImageRef, Turn
from tests.end_to_end.conftest import SMALL, RunCommand, manifest

pytestmark = pytest.mark.slow
MINI = str(find_checkpoint(LocalSpec(name="base", path="miniworld:base")).folder)
NAMING, REQUEST = "what object is this ?", "how do i use this ?"
ANY_TOKEN = {"generation_config": '{"do_sample": true, "top_k": 0}'}
"""What makes `transformers serve` sample from the whole distribution; without it, from the first 50 tokens."""


@pytest.fixture
def store(tmp_path: Path) -> Iterator[CallStore]:
    with CallStore(tmp_path / "calls.sqlite") as opened:
        yield opened


def entry(url: str, **more: Any) -> EndpointSpec:
    return EndpointSpec(
        **{"name": "served", "url": url, "model": MINI, "identity": "mini/base/1", "extra_body": ANY_TOKEN, **more}
    )


def pictures(folder: Path, number: int) -> list[ImageRef]:
    found = []
    for place, kind in enumerate(list(kinds().values())[:number]):
        path = folder / f"{place}.png"
        draw(Scene(kind, "served", 0, place, twin=place % 2 == 1)).save(path)
        found.append(ImageRef(path, file_sha256(path)))
    return found


def asked(spec: EndpointSpec | LocalSpec, store: CallStore, prompts: list[Prompt], **sampling: Any) -> list[Reply]:
    return complete(open_model(spec), prompts, sampling=Sampling(**{"max_tokens": 24, **sampling}), store=store)


def test_greedy_answers_are_those_of_the_same_weights_here(server: str, store: CallStore, tmp_path: Path) -> None:
    shown = pictures(tmp_path, 12)
    earlier = (Turn("user", NAMING, (shown[0],)), Turn("assistant", "this is a cup ."))
    prompts = [
        *(Prompt(question, (one,)) for one in shown for question in (NAMING, REQUEST)),
        Prompt(NAMING),
        Prompt(NAMING, (shown[0], shown[1])),
        Prompt(NAMING, (shown[2],), system="please tell me more ."),
        Prompt(REQUEST, earlier=earlier),
        Prompt(REQUEST, (shown[3],), earlier=earlier),
    ]
    there = asked(entry(server), store, prompts)
    here = asked(LocalSpec(name="here", path="miniworld:base", dtype="float32"), store, prompts)
    assert [reply.text for reply in there] == [reply.text for reply in here]
    assert [reply.prompt_tokens for reply in there] == [reply.prompt_tokens for reply in here], "the pictures' tokens"
    assert {reply.status for reply in there} == {"ok"} and len({reply.text for reply in there}) > 10


def test_samples_differ_come_again_one_at_a_time_and_are_cut_at_the_limit(
    server: str, store: CallStore, tmp_path: Path
) -> None:
    prompts = [Prompt(REQUEST, (one,)) for one in pictures(tmp_path, 6)]
    first, again = (
        asked(entry(server, concurrency=1, identity=name), store, prompts, temperature=1.0) for name in ("x", "x/again")
    )
    seeds_differ = [reply.text for reply in first] != [reply.text for reply in again]
    with CallStore(tmp_path / "other.sqlite") as other:
        same = asked(entry(server, concurrency=1, identity="x"), other, prompts, temperature=1.0)
    assert seeds_differ and [reply.text for reply in same] == [reply.text for reply in first]
    (cut,) = asked(entry(server), store, [prompts[0]], max_tokens=2)
    assert (cut.status, cut.finish_reason, cut.completion_tokens) == ("truncated", "length", 2)


def test_what_the_server_refuses_is_typed_and_the_other_calls_go_on(
    server: str, store: CallStore, tmp_path: Path
) -> None:
    (shown,) = pictures(tmp_path, 1)
    (unknown,) = asked(entry(server, model="other"), store, [Prompt(NAMING, (shown,))])
    assert unknown.status == "failed" and "the server does not know the model `other`" in unknown.detail
    broken = ImageRef(tmp_path / "broken.png", "b" * 64)
    shutil.copy(shown.path, broken.path)
    broken.path.write_bytes(broken.path.read_bytes()[:60])
    replies = asked(entry(server, attempts=1), store, [Prompt(NAMING, (broken,)), Prompt(NAMING, (shown,))])
    assert [reply.status for reply in replies] == ["failed", "ok"] and "500" in replies[0].detail
    (unknown_field,) = asked(entry(server, extra_body={"top_k": 0}), store, [Prompt(NAMING, (shown,))])
    assert unknown_field.status == "invalid" and "Unexpected fields" in unknown_field.detail


def test_build_evaluate_and_try_through_the_server(spavl: RunCommand, server: str, tmp_path: Path) -> None:
    served = {"name": "served", "kind": "endpoint", "url": server, "model": MINI, "identity": "mini/base/1"}
    careful = {**served, "name": "careful", "identity": "mini/base/careful", "system": "no ."}
    settings = {
        **SMALL,
        "models": [*SMALL["models"][:3], SMALL["models"][-1], {**served, "extra_body": ANY_TOKEN}, careful],
        "build": {**SMALL["build"], "collect": {"source": "miniworld", "per_subcategory": 1, "benign_share": 0.5},
                  "respond": {"models": ["served", "careful", "lark"],  # unsafe more often than the others ever are
                              "sampling": {"temperature": 1.0, "max_tokens": 24}},
                  "match": {"groups": 2, "per_question": 1}},
    }  # fmt: skip
    (tmp_path / "served.yaml").write_text(yaml.safe_dump(settings))
    assert "pairs in run/dataset" in spavl("build", "served.yaml").stdout
    counts = manifest(tmp_path / "run")["counts"]
    assert counts["respond"] == {"ok": 3 * counts["ask"]["ok"]}
    spavl("evaluate", "served.yaml", "--model", "served", "--limit", "8")
    rates = manifest(tmp_path / "run")["models"]["served"]
    assert rates["skill_accuracy"]["value"] >= 0.8, "names, which only the picture tells"
    shown = next((tmp_path / "run").rglob("*.png"))
    answers = spavl("try", str(shown), NAMING, "--run", "run", "--model", "served", "--model", "careful").stdout
    assert re.findall(r"^\s*(\w+)  ", answers, re.MULTILINE) == ["served", "careful"], "nothing was aligned here"
