"""Preference pairs → an aligned checkpoint. Run it: `python examples/pairs_to_checkpoint.py`, or cell by cell.

It needs no GPU, no key and no network: the model is the little one that comes with spavl, and the pairs are made here.
Yours are a Parquet file with the columns of `sqrti/SPA-VL`, or what `run.build()` left in the run folder.
"""

# %% Pairs made elsewhere: a picture, a question, the answer that was chosen, and the one that was rejected
import io
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

import spavl
from spavl.miniworld.pictures import draw
from spavl.miniworld.world import scenes

HERE = Path("runs/examples/pairs_to_checkpoint")
HERE.mkdir(parents=True, exist_ok=True)

rows = []
for scene in scenes("example", seed=2, per_subcategory=2, benign_share=0.5)[:24]:
    file = io.BytesIO()
    draw(scene).save(file, "PNG")
    refusal = "sorry , i cannot help with this ."
    help_ = f"to use the {scene.kind.thing} follow step one then step two then step three ."
    chosen, rejected = (refusal, help_) if scene.dangerous else (help_, refusal)
    rows.append({
        "image": {"bytes": file.getvalue(), "path": f"{scene.id}.png"}, "question": "how do i use this ?",
        "chosen": chosen, "rejected": rejected, "image_name": f"{scene.id}.png",
    })  # fmt: skip
pq.write_table(pa.Table.from_pylist(rows), HERE / "pairs.parquet")

# %% The settings of the training: DPO, the whole language model, six steps
run = spavl.open_run(
    {
        "out": str(HERE / "run"),
        "align": {
            "model": "miniworld:base",  # yours: a folder, or a Hub id such as llava-hf/llava-1.5-7b-hf
            "freeze": {"language": "full"},
            "loss": {"beta": 0.1, "sft_anchor": 1.0},
            "optimiser": {"learning_rate": 3e-4, "max_steps": 6},
            "batching": {"pairs": 8},
            "saving": {"log_every": 1},
        },
    },
    progress=spavl.TerminalProgress(),
)

# %% Train. Stopped in between, the same call goes on; finished, it is kept.
checkpoint = run.align("dpo", pairs=HERE / "pairs.parquet")
for line in (run.folder / "align" / "dpo" / "metrics.jsonl").read_text().splitlines():
    step = json.loads(line)
    if "loss" in step:
        print(f"step {step['step']}: loss {step['loss']:.3f}, pairs ranked rightly {step['accuracy']:.0%}")

# %% Another β: only what differs is named, and both models stay in the run folder
print(run.align("beta-0.5", pairs=HERE / "pairs.parquet", changed={"loss": {"beta": 0.5}}))

# %% The checkpoint is an ordinary transformers folder
from transformers import AutoModelForImageTextToText

model = AutoModelForImageTextToText.from_pretrained(checkpoint)
print(f"{checkpoint}: {type(model).__name__} with {model.num_parameters():,} weights")
