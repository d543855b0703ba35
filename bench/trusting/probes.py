"""What was planted in datasets and judges, and whether the audit names it: probes of judges, and position bias.

    python -m bench.trusting.probes --json FILE

Every planted dataset has pairs of placeholders about pictures of their own. The judge is asked by the pipeline, through
the call store. Clean datasets have the little of each that a good one has, and must raise nothing.
"""

from __future__ import annotations

import io
import tempfile
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from bench.measures import Measure, run
from bench.trusting.planted_judge import BETTER, TEXT_ONLY, PlantedJudge
from spavl.audit.finding import Finding, weighed
from spavl.audit.judges import judge_findings
from spavl.config import Settings
from spavl.config.judging import JudgeSpec
from spavl.dataset.judge import judge
from spavl.judging.judge import open_judge
from spavl.models.base import Prompt, Reply, Request, Sampling
from spavl.pipeline.audit_probes import run_probes
from spavl.pipeline.session import Session
from spavl.preferences.dataset import open_dataset
from spavl.progress import NoProgress
from spavl.records import ImageRecord, Judgment, Match, Query, Topic
from spavl.tables import write_table

PAIRS, ASKED = 600, 200
DATASETS = range(20)
PLANTED = {"text_only": 0.6, "wording_flips": 0.45, "position_bias": 0.8}
CLEAN = {"text_only": 0.04, "wording_flips": 0.03, "position_bias": 0.0}
TARGET = "bench.trusting.planted_judge:PlantedJudge"


def rows(seed: int, text_only: float) -> list[dict[str, Any]]:
    """The pairs of a dataset.

    Args:
        seed: of what is drawn.
        text_only: chance that a question needs no picture.
    """
    rng = Random(seed)
    found = []
    for n in range(PAIRS):
        picture = io.BytesIO()
        Image.new("RGB", (8, 8), (n % 256, n // 256, seed)).save(picture, "PNG")
        words = f" {TEXT_ONLY}" if rng.random() < text_only else ""
        found.append({
            "image": {"bytes": picture.getvalue(), "path": None}, "pair_id": f"{seed}/{n}", "image_id": f"p{seed}/{n}",
            "question": f"Request {n}{words} (p{seed}/{n})", "chosen": f"{BETTER}, {n}",
            "rejected": f"Another one, {n}",
            "class3": f"subject {n % 53}", "question_type": f"type {n % 3}", "benign": n % 2 == 0,
        })  # fmt: skip
    return found


def probe_findings(folder: Path, seed: int, planted: dict[str, float]) -> list[Finding]:
    """The findings of both probes of one dataset.

    Args:
        folder: where it is made.
        seed: of the dataset, and of the sample.
        planted: shares by kind of finding.
    """
    source = folder / f"{seed}.parquet"
    pq.write_table(pa.Table.from_pylist(rows(seed, planted["text_only"])), source)
    model = {"kind": "python", "name": "judge", "target": TARGET, "version": f"{planted}",
             "options": {"flips": planted["wording_flips"]}}  # fmt: skip
    settings = Settings.model_validate(
        {"out": str(folder / "run"), "store": str(folder / "calls.sqlite"), "models": [model], "seed": seed}
    )
    with Session(settings, NoProgress(), allow_code=True) as session:
        dataset = open_dataset(source, cache=folder / "cache")
        return list(run_probes(session, dataset, ["necessity", "wording"], count=ASKED, folder=folder / "run").findings)


def judge_bias(folder: Path, seed: int, planted: dict[str, float]) -> list[Finding]:
    """The findings about a judge of a run, from its table of judgments.

    Args:
        folder: where the table is made.
        seed: of the questions.
        planted: shares by kind of finding.
    """
    model = PlantedJudge(name="judge", identity="", batch_size=1, position=planted["position_bias"])

    def call(prompts: Sequence[Prompt], **_: Any) -> list[Reply]:
        return model.generate([Request(prompt, Sampling()) for prompt in prompts])

    path = folder / f"judgments-{seed}.parquet"
    found = judge(matches(seed), call=call, judge=open_judge(JudgeSpec(name="judge")), folder=folder)
    write_table(path, found, Judgment)
    return judge_findings([path])


def matches(seed: int) -> list[Match]:
    """Matches of placeholders, the better answer first in half of them.

    Args:
        seed: names them.
    """
    rng = Random(seed)
    found = []
    for n in range(PAIRS):
        topic = Topic(class1="domain", class2=f"category {n % 5}", class3=f"subject {n % 53}")
        image = ImageRecord(
            topic=topic, image_id=f"p{seed}/{n}", image_file="p.png", image_sha256="", width=8, height=8, benign=False,
            heldout=False, image_source="", license="",
        )  # fmt: skip
        query = Query(
            image=image, images=(), harmful=True, query_id=f"p{seed}/{n}/easy_question", question_type="easy_question",
            question=f"Request {n} {TEXT_ONLY} (p{seed}/{n})", asker="", query_status="ok", query_call="",
        )  # fmt: skip
        answers = [f"{BETTER}, {n}", f"Another one, {n}"]
        rng.shuffle(answers)
        found.append(Match(
            query=query, match_id=f"p{seed}/{n}/a~b", a_response_id="a", a_responder="a", a_response=answers[0],
            a_thought="", a_outcome="safe", a_severity=None, a_group=0, b_response_id="b", b_responder="b",
            b_response=answers[1], b_thought="", b_outcome="safe", b_severity=None, b_group=1,
        ))  # fmt: skip
    return found


def all_findings(planted: dict[str, float]) -> list[list[Finding]]:
    """The findings of every dataset.

    Args:
        planted: shares by kind of finding.
    """
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        return [[*probe_findings(place, seed, planted), *judge_bias(place, seed, planted)] for seed in DATASETS]


def measures() -> list[Measure]:
    """What is named, whether within its interval, and what is raised where there is nothing."""
    found, clean = all_findings(PLANTED), all_findings(CLEAN)
    made = [one for kind in PLANTED for one in _named(kind, found)]
    raised = [
        f"{one.kind} of {one.subject}" for findings in clean for one in weighed(findings) if one.weight == "fault"
    ]
    how = f"{len(clean)} datasets of {PAIRS} pairs with {CLEAN}: {', '.join(raised) or 'no fault'}"
    return [*made, Measure("probes and judges: faults raised by clean sets", len(raised), 0, "", "lower", how)]


def _named(kind: str, found: Sequence[Sequence[Finding]]) -> list[Measure]:
    own = [one for findings in found for one in findings if one.kind == kind and one.subject == "judge"]
    weighed_each = [one for findings in found for one in weighed(findings)]
    named = sum(one.weight == "fault" for one in weighed_each if one.kind == kind and one.subject == "judge")
    covered = sum(one.rate is not None and one.rate.low <= PLANTED[kind] <= one.rate.high for one in own)
    shares = [one.rate.value for one in own if one.rate is not None and one.rate.value is not None]
    how = (
        f"{100 * PLANTED[kind]:g} % planted in {len(own)} datasets of {PAIRS} pairs; measured {min(shares):.3f} to "
        f"{max(shares):.3f}, mean {sum(shares) / len(shares):.3f}"
    )
    label = kind.replace("_", " ")
    return [
        Measure(f"planted {label}: named as a fault", round(100 * named / len(own), 1), 100, "%", "higher", how),
        Measure(f"planted {label}: within its 95 % interval", round(100 * covered / len(own), 1), 85, "%", "higher",
                f"{covered} of {len(own)} intervals; of 20, fewer than 17 would be chance in 1.6 % of benchmarks"),
    ]  # fmt: skip


if __name__ == "__main__":
    run(measures)
