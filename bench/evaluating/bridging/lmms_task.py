"""A local task for lmms-eval in POPE's form: its own prompts and scoring on pictures of noise, without a download."""

from __future__ import annotations

import io
import json
import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

NAME = "pope_of_noise"
"""Name of the task."""
AFTER = "\nAnswer the question using a single word or phrase."
"""What POPE's task puts after every question."""
_YAML = """\
task: {name}
dataset_path: parquet
dataset_kwargs:
  data_files:
    test: {data}
test_split: test
output_type: generate_until
doc_to_visual: !function utils.pope_doc_to_visual
doc_to_text: !function utils.pope_doc_to_text
doc_to_target: "answer"
generation_kwargs:
  max_new_tokens: {tokens}
  temperature: 0
  top_p: 1.0
  num_beams: 1
  do_sample: false
process_results: !function utils.pope_process_results
metric_list:
  - metric: pope_accuracy
    aggregation: !function utils.pope_aggregate_accuracy
    higher_is_better: true
  - metric: pope_f1_score
    aggregation: !function utils.pope_aggregate_f1_score
    higher_is_better: true
lmms_eval_specific_kwargs:
  default:
    pre_prompt: ""
    post_prompt: "\\nAnswer the question using a single word or phrase."
metadata:
  - version: 0.0
"""
_FEATURES = {
    "question_id": {"dtype": "string", "_type": "Value"},
    "question": {"dtype": "string", "_type": "Value"},
    "answer": {"dtype": "string", "_type": "Value"},
    "image": {"_type": "Image"},
}


def write_task(
    folder: Path, *, pictures: int, questions: int, words: Sequence[str], tokens: int, size: int = 336, length: int = 10
) -> Path:
    """Write a task's files; returns the folder, which `TaskManager(include_path=…)` takes.

    Args:
        folder: where they are written.
        pictures: how many pictures of noise.
        questions: yes/no questions to each; every other one is to be answered yes.
        words: what questions are made of.
        tokens: most new tokens of an answer.
        size: width and height of a picture in pixels.
        length: words of a question.
    """
    folder.mkdir(parents=True, exist_ok=True)
    chance = random.Random(0)
    rows = []
    for number in range(pictures):
        noise = np.random.default_rng(number).integers(0, 256, (size, size, 3), dtype=np.uint8)
        file = io.BytesIO()
        Image.fromarray(noise).save(file, "PNG", compress_level=1)
        for place in range(questions):
            rows.append({
                "question_id": str(len(rows)), "question": " ".join(chance.choices(sorted(words), k=length)),
                "answer": ("yes", "no")[place % 2], "image": {"bytes": file.getvalue(), "path": f"{number}.png"},
            })  # fmt: skip
    metadata = {"huggingface": json.dumps({"info": {"features": _FEATURES}})}
    pq.write_table(pa.Table.from_pylist(rows).replace_schema_metadata(metadata), folder / "test.parquet")
    (folder / "utils.py").write_text("from lmms_eval.tasks.pope.utils import *  # noqa: F403\n", "utf-8")
    task = _YAML.format(name=NAME, data=folder / "test.parquet", tokens=tokens)
    (folder / f"{NAME}.yaml").write_text(task, "utf-8")
    return folder
