"""Runs for tests of the served page: tables of a few pairs with pictures, scores, an audit, labels, a training."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
from PIL import Image
from starlette.testclient import TestClient

from spavl.labels.record import Answer, Item, Label
from spavl.labels.store import LabelStore
from spavl.pictures import file_sha256
from spavl.records import ImageRecord, Judgment, PreferencePair, Query, Response
from spavl.run import Run
from spavl.serve.app import Served, create_app
from spavl.serve.catalogue import Catalogue
from spavl.serve.index import Indexes
from spavl.tables import write_arrow, write_batches
from spavl.tables.columns import schema_of, to_arrow
from tests import samples
from tests.pipeline.scored_runs import OVER_REFUSAL, REFUSAL, SAFETY, SKILL, write_run

SCRIPT = "<script>alert(1)</script>\x1b[31m<img src=x onerror=alert(2)>"
TOKEN = "t" * 32
BASE = {"harm": ["bad"] * 100, "asked": ["yes"] * 60, "skill": ["right"] * 80}
ALIGNED = {"harm": ["good"] * 90 + ["bad"] * 10, "asked": [REFUSAL] * 2 + ["yes"] * 58, "skill": ["right"] * 80}


def scored(folder: Path, aligned: dict[str, list[str]] | None = None, title: str = "First run") -> Run:
    """A run with scores of two models, and a training."""
    run = write_run(folder, {"base": BASE, "dpo": aligned or ALIGNED}, [SAFETY, OVER_REFUSAL, SKILL],
                    aligned={"dpo": {"method": "dpo", "blind": False, "pairs": 12}}, seed=1,
                    seconds={"build": 2.0, "align dpo": 3.5}, spent={"build": {"calls": 3, "cost": 0.25}})  # fmt: skip
    (folder / "settings.yaml").write_text(f"report:\n  title: {json.dumps(title)}\nseed: 1\n")
    log = folder / "align/dpo/metrics.jsonl"
    log.parent.mkdir(parents=True)
    log.write_text(
        "".join(json.dumps({"step": n, "loss": 1 / n, "margin": n / 9}) + "\n" for n in range(1, 9)) + '{"st'
    )
    (log.parent / "validation.jsonl").write_text('{"step": 8, "unsafe": 0.25, "unsafe_low": 0.1, "unsafe_high": 0.4}\n')
    return run


def built(folder: Path, pictures: int = 20, *, words: str = "") -> Run:
    """A run with the tables of a dataset: of each picture three questions, of each question a pair."""
    run = scored(folder)
    images = [_image(run, number) for number in range(pictures)]
    kinds: Any = ("easy_question", "hard_question", "hard_statement")
    asked = [samples.query(image, kind, question=f"request {n} of a {kind} {words}", harmful=not image.benign)
             for n, image in enumerate(images) for kind in kinds]  # fmt: skip
    answers = [samples.response(q, who, outcome=outcome, response=f"answer of {who} {words}") for q in asked
               for who, outcome in (("amber", "refusal"), ("birch", "unsafe"), ("cedar", "safe"))]  # fmt: skip
    pairs = [_pair(number, q, words) for number, q in enumerate(asked)]
    verdicts = [samples.judgment(samples.match(q), order, "a") for q in asked for order in ("ab", "ba")]  # type: ignore[arg-type]
    for path, kind, rows, each in ((run.images, ImageRecord, images, 1), (run.queries, Query, asked, 3),
                                   (run.responses, Response, answers, 9), (run.judgments, Judgment, verdicts, 6),
                                   (run.pairs, PreferencePair, pairs, 3)):  # fmt: skip
        slices = (to_arrow(rows[at : at + 4 * each], kind) for at in range(0, len(rows), 4 * each))
        write_batches(path, schema_of(kind), slices)
    _audit(run, pairs)
    run.note(counts={"collect": {"made": pictures}, "pair": {"pair": len(pairs), "tie": 4}}, failures=[],
             stages=[{"name": "collect", "noun": "pictures", "kept": "made"},
                     {"name": "pair", "noun": "pairs", "kept": "pair"}])  # fmt: skip
    return run


def _image(run: Run, number: int) -> ImageRecord:
    path = run.folder / f"images/{number}.png"
    path.parent.mkdir(exist_ok=True)
    Image.new("RGB", (120, 90), (40 * number % 255, 90, 120)).save(path)
    return samples.image(f"weapon/{number}", image_file=f"images/{number}.png", image_sha256=file_sha256(path),
                         benign=number % 4 == 3, heldout=number % 5 == 0)  # fmt: skip


def _pair(number: int, asked: Query, words: str) -> PreferencePair:
    return samples.pair(
        asked, chosen=f"answer {number} that refuses {words}",
        rejected=f"answer {number} that helps {'x' * (number % 7)} {words}",
        chosen_outcome="refusal" if number % 3 else "safe_completion", chosen_severity=0, rejected_severity=number % 5,
        judges_for=("judge",), judges_against=("other",) if number % 6 == 0 else (),
        verdict_ba="b" if number % 4 == 0 else "a",
    )  # fmt: skip


def _audit(run: Run, pairs: list[PreferencePair]) -> None:
    kinds = ("duplicates", "flipped_labels")
    rows = [{"number": n, "pair_id": one.pair_id, "kind": kind, "detail": "as pair 1", "score": 1.0}
            for n, one in enumerate(pairs) if n % 10 == 0 for kind in kinds[: 1 + n // 30]]  # fmt: skip
    (run.folder / "audit").mkdir()
    write_arrow(run.folder / "audit/findings.parquet", pa.Table.from_pylist(rows))
    (run.folder / "audit/audit.json").write_text('{"verdict": "One fault."}')
    (run.folder / "audit/audit.html").write_text("<script>alert(1)</script><p>an audit</p>")


def labelled(run: Run, pair_id: str, note: str = "") -> None:
    """Have somebody label a pair of a run."""
    item = Item(
        item_id=pair_id, kind="pair", stratum="all", question="request", answers=(Answer(text="a"), Answer(text="b"))
    )
    path = run.folder / "review/first/review.sqlite"
    path.parent.mkdir(parents=True)
    with LabelStore.create(path, [item], made_from="a run", settings={}) as store:
        store.add(
            Label(item_id=pair_id, annotator="ana", preference="first", outcomes=("refusal", "unsafe"), note=note)
        )


@contextmanager
def served(root: Path, cache: Path) -> Iterator[Served]:
    """What is served of a folder."""
    cache.mkdir(exist_ok=True)
    found = Served(Catalogue(root), TOKEN, Indexes(cache))
    yield found
    found.indexes.close()


def stranger(found: Served) -> TestClient:
    """A browser without the token."""
    return TestClient(create_app(found), base_url="http://localhost:8764", follow_redirects=False)


def browser(found: Served) -> TestClient:
    """A browser that opened the whole address."""
    made = stranger(found)
    assert made.get("/", params={"token": TOKEN}).status_code == 303
    return made
