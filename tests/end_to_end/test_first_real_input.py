"""Real photographs, a real OpenAI-compatible server over HTTP, and pairs in the exact schema of `sqrti/SPA-VL`."""

from __future__ import annotations

import shutil
from pathlib import Path

import pyarrow.parquet as pq
import skimage.data
import yaml

from spavl.config import LocalSpec
from spavl.models.identity import find_checkpoint
from tests.end_to_end.conftest import RunCommand, manifest, write_pairs

PHOTOGRAPHS = (
    "astronaut.png", "brick.png", "camera.png", "cell.png", "chelsea.png", "coffee.png", "coins.png", "grass.png",
    "gravel.png", "horse.png", "hubble_deep_field.jpg", "ihc.png", "moon.png", "motorcycle_left.png", "retina.jpg",
    "rocket.jpg",
)  # fmt: skip


def _photographs(folder: Path) -> None:
    source = Path(skimage.data.__file__).parent
    for place, name in enumerate(PHOTOGRAPHS):
        target = folder / ("personal privacy" if place % 2 else "cyber/benign") / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source / name, target)


OWN_MODELS = '''
"""A responder, a guard and a judge of the user's own: only the careful answer is safe, the shorter one is better."""
from spavl.models.base import Reply

CAREFUL = "I would rather not say."


class Careful:
    def __init__(self, name, identity, batch_size):
        self.name, self.identity, self.batch_size = name, identity, batch_size

    def generate(self, requests):
        return [Reply(CAREFUL) for _ in requests]

    def close(self):
        pass


class Guard(Careful):
    def generate(self, requests):
        return [Reply("safe" if r.prompt.fields["answer"] == CAREFUL else "unsafe\\nother") for r in requests]


class Judge(Careful):
    def generate(self, requests):
        return [Reply(self.verdict(**r.prompt.fields)) for r in requests]

    def verdict(self, question, answer_a, answer_b):
        a, b = (len(answer_a), answer_a), (len(answer_b), answer_b)
        return "[[C]]" if a == b else "[[A]]" if a < b else "[[B]]"
'''


def test_build_on_real_photographs_through_a_real_server(spavl: RunCommand, server: str, tmp_path: Path) -> None:
    _photographs(tmp_path / "photographs")
    (tmp_path / "photographs" / "cyber" / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 no picture")
    (tmp_path / "own.py").write_text(OWN_MODELS)
    mini = find_checkpoint(LocalSpec(name="base", path="miniworld:base")).folder
    settings = {
        "models": [
            {"name": "served", "kind": "endpoint", "url": server, "model": str(mini), "identity": "mini/base/1"},
            {"name": "lark", "kind": "local", "path": "miniworld:responders/lark"},
            {"name": "careful", "kind": "python", "target": "own:Careful", "version": "1"},
            {"name": "guard", "kind": "python", "target": "own:Guard", "version": "1"},
            {"name": "judge", "kind": "python", "target": "own:Judge", "version": "1"},
        ],
        "build": {
            "collect": {"folder": "photographs", "license": "see scikit-image"},
            "ask": {"model": "served", "sampling": {"temperature": 1.0, "max_tokens": 12}},
            "respond": {"models": ["served", "lark", "careful"], "sampling": {"temperature": 1.0, "max_tokens": 16}},
            "match": {"groups": 2},
        },
    }
    (tmp_path / "photos.yaml").write_text(yaml.safe_dump(settings))
    done = spavl("build", "photos.yaml", "--out", "run", "--allow-code", check=False)
    assert done.returncode == 0, done.stdout + done.stderr  # a picture that cannot be used is no failed call
    assert "broken.jpg" in done.stdout
    assert "the server says" not in done.stdout, "transformers serve calls a model by its revision too"
    counts = manifest(tmp_path / "run")["counts"]
    assert counts["collect"]["made"] == len(PHOTOGRAPHS)
    served = [r for r in pq.read_table(tmp_path / "run/3-responses.parquet").to_pylist() if r["responder"] == "served"]
    assert len(served) >= len(PHOTOGRAPHS) and all(r["response"] for r in served if r["response_status"] == "ok")
    import datasets

    rows = datasets.load_dataset(str(tmp_path / "run" / "dataset"), split="train", cache_dir=str(tmp_path / "cache"))
    assert rows.column_names[:5] == ["image", "question", "chosen", "rejected", "image_name"]
    assert rows[0]["image"].width > 100


def test_align_on_pairs_in_the_hub_schema_and_open_the_result_with_plain_transformers(
    spavl: RunCommand, tmp_path: Path
) -> None:
    write_pairs(tmp_path / "train.parquet", 8)
    columns = ["image", "question", "chosen", "rejected", "image_name"]
    assert pq.read_table(tmp_path / "train.parquet").column_names == columns
    done = spavl(
        "align", "align.model=miniworld:base", "align.optimiser.max_steps=2", "--pairs", "train.parquet", "--out", "run"
    )
    folder = tmp_path / "run" / "align" / "dpo" / "checkpoint"
    assert "align/dpo/checkpoint" in done.stdout
    from transformers import AutoModelForImageTextToText, AutoProcessor

    model = AutoModelForImageTextToText.from_pretrained(folder)
    assert model.config.model_type == "llava"
    assert AutoProcessor.from_pretrained(folder).chat_template
