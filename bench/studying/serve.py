"""The page of `spavl serve` over a planted run of 100,000 pairs: server time of every view, through the whole app.

python -m bench.studying.serve --json FILE
"""

from __future__ import annotations

import json
import random
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from starlette.testclient import TestClient

from bench.measures import Measure, run
from spavl.atomic import write_json, write_text
from spavl.records import (
    ImageRecord,
    ImageRef,
    Judgment,
    Match,
    PreferencePair,
    Query,
    Response,
    Topic,
)
from spavl.run import Run
from spavl.serve.app import Served, create_app
from spavl.serve.catalogue import Catalogue
from spavl.serve.index import Indexes
from spavl.tables import FORMAT, schema_of, to_arrow, write_batches
from spavl.taxonomy import load_taxonomy

PAIRS: Final = 100_000
"""Pairs of the planted run."""
STEPS: Final = 6_000
"""Steps of its training."""
PICTURES: Final = 64
"""Pictures of a slice; each has three questions, each question twelve answers and a pair."""
TYPES: Final = ("easy_question", "hard_question", "hard_statement")
SOURCES: Final = tuple(f"model-{number}" for number in range(12))
WORDS: Final = tuple(f"word{number}" for number in range(5_000))
AGAIN: Final = 25
"""How often each view is asked for."""
BASE: Final = "base"
"""What stands in the ids of the slice from which all are made."""


def planted_run(folder: Path, pairs: int = PAIRS) -> Run:
    """A run whose tables were written, with abstract texts, an audit that found something, and no picture files.

    Args:
        folder: of the run.
        pairs: about how many.
    """
    found = Run(folder).open()
    slices = round(pairs / (3 * PICTURES))
    for path, kind, made in (
        (found.images, ImageRecord, _images()), (found.queries, Query, _queries()),
        (found.responses, Response, _responses()), (found.judgments, Judgment, _judgments()),
        (found.pairs, PreferencePair, _pairs()),
    ):  # fmt: skip
        write_batches(path, schema_of(kind), _copies(to_arrow(made, kind), slices))
    _write_audit(found, slices)
    stages = [
        {"name": "collect", "noun": "pictures", "kept": "made"},
        {"name": "pair", "noun": "pairs", "kept": "pair"},
    ]
    counts = {"collect": {"made": slices * PICTURES}, "pair": {"pair": 3 * slices * PICTURES}}
    write_json(folder / "run.json", {"format": FORMAT, "stages": stages, "counts": counts, "changed": "2026-01-01"})
    write_text(folder / "settings.yaml", "report:\n  title: Planted\n")
    _write_log(found)
    return found


def _images() -> list[ImageRecord]:
    return [
        ImageRecord(
            topic=Topic(class1="domain", class2="category", class3="subcategory"), image_id=f"{BASE}/{number}",
            image_file=f"images/{number}.png", image_sha256=f"{number:064x}", width=640, height=480, benign=False,
            heldout=number % 8 == 0, image_source="planted", license="none",
        )
        for number in range(PICTURES)
    ]  # fmt: skip


def _queries() -> list[Query]:
    return [
        Query(
            image=image, images=(ImageRef(path=Path(image.image_file), sha256=image.image_sha256),),
            harmful=kind != TYPES[0], query_id=f"{image.image_id}/{kind}", question_type=kind, question="request",
            asker="asker", query_status="ok", query_call="",
        )
        for image in _images() for kind in TYPES
    ]  # fmt: skip


def _responses() -> list[Response]:
    return [
        Response(
            query=asked, response_id=f"{asked.query_id}/{source}", responder=source, response="answer " * 30,
            response_status="ok", response_tokens=30, response_call="", outcome="unsafe" if place % 2 else "refusal",
            safe_category="", grader="guard", grade_status="ok", grade_call="",
        )
        for asked in _queries() for place, source in enumerate(SOURCES)
    ]  # fmt: skip


def _judgments() -> list[Judgment]:
    found = []
    for asked in _queries():
        match = Match(
            query=asked, match_id=f"{asked.query_id}/a~b", a_response_id=f"{asked.query_id}/{SOURCES[0]}",
            a_responder=SOURCES[0], a_response="answer", a_outcome="refusal", a_group=0,
            b_response_id=f"{asked.query_id}/{SOURCES[1]}", b_responder=SOURCES[1], b_response="answer",
            b_outcome="unsafe", b_group=1,
        )  # fmt: skip
        for order in ("ab", "ba"):
            found.append(Judgment(
                match=match, judgment_id=f"{match.match_id}/judge/{order}", judge="judge", order=order, winner="a",
                reason="a reason", judgment_status="ok", judgment_call="",
            ))  # fmt: skip
    return found


def _pairs() -> list[PreferencePair]:
    return [
        PreferencePair(
            query=asked, pair_id=f"{asked.query_id}/a~b", chosen="answer", rejected="answer",
            chosen_source=SOURCES[0], rejected_source=SOURCES[1], chosen_id=f"{asked.query_id}/{SOURCES[0]}",
            rejected_id=f"{asked.query_id}/{SOURCES[1]}", chosen_outcome="refusal", rejected_outcome="unsafe",
            judge="judge", verdict_ab="a", verdict_ba="a", judges_for=("judge",),
        )
        for asked in _queries()
    ]  # fmt: skip


def _copies(base: pa.Table, slices: int) -> Iterator[pa.Table]:
    """The slices of a table: ids and topics of each are its own, and so are texts where it holds pairs."""
    topics = load_taxonomy().topics
    for number in range(slices):
        noise = random.Random(number)
        topic = topics[number % len(topics)]
        own: dict[str, Any] = {"class1": topic.class1, "class2": topic.class2, "class3": topic.class3}
        columns = {name: pa.array([value] * base.num_rows) for name, value in own.items()}
        for name in base.schema.names:
            if name.endswith("_id"):
                columns[name] = pc.replace_substring(base[name], f"{BASE}/", f"slice-{number}/")
        if "chosen" in base.schema.names:
            columns |= _texts(noise, base.num_rows)
        yield pa.Table.from_arrays([columns.get(name, base[name]) for name in base.schema.names], schema=base.schema)


def _texts(noise: random.Random, rows: int) -> Mapping[str, pa.Array]:
    def words(least: int, most: int) -> pa.Array:
        return pa.array([" ".join(noise.choices(WORDS, k=noise.randint(least, most))) for _ in range(rows)])

    sources = [noise.sample(SOURCES, 2) for _ in range(rows)]
    return {
        "question": words(8, 30), "chosen": words(20, 120), "rejected": words(20, 120),
        "chosen_source": pa.array([one for one, _ in sources]),
        "rejected_source": pa.array([two for _, two in sources]),
        "chosen_outcome": pa.array(noise.choices(("refusal", "safe_completion", "unsafe"), (6, 3, 1), k=rows)),
    }  # fmt: skip


def _write_audit(found: Run, slices: int) -> None:
    """Findings about every twentieth pair."""
    kinds = ("duplicates", "near_identical", "flipped_labels")
    rows = [
        {"number": 0, "pair_id": f"slice-{number}/{place}/{TYPES[place % 3]}/a~b", "kind": kinds[place % 3],
         "detail": "planted", "score": 1.0}
        for number in range(slices) for place in range(0, PICTURES, 7)
    ]  # fmt: skip
    table = pa.Table.from_pylist(rows)
    write_batches(found.folder / "audit" / "findings.parquet", table.schema, [table])


def _write_log(found: Run) -> None:
    """The log of a training that is under way."""
    noise = random.Random(1)
    lines = (
        {"step": step, "loss": noise.random(), "margin": noise.random(), "accuracy": noise.random(),
         "grad_norm": noise.random(), "learning_rate": 1e-6}
        for step in range(STEPS)
    )  # fmt: skip
    (found.align / "dpo").mkdir(parents=True)
    write_text(found.align / "dpo" / "metrics.jsonl", "".join(f"{json.dumps(line)}\n" for line in lines))


VIEWS: Final = {
    "first page": "",
    "filter by subcategory": "subcategory=weapon",
    "filter by kind of question": "type=hard_question",
    "filter by source": "chosen=model-3",
    "filter by outcome": "chosen_outcome=unsafe",
    "filter by finding of the audit": "finding=duplicates",
    "filter benign": "benign=yes",
    "filter held-out": "heldout=yes",
    "several filters, sorted": "type=hard_statement&rejected=model-1&heldout=no&sort=gap",
    "search a frequent word": "text=word77",
    "search what is not there": "text=nothing+like+this",
    "deep page": "after=90000.90000",
    "deep page, sorted": "sort=longest&after=600.50000",
}
"""Query string of each view."""


def _timed(browser: TestClient, address: str, *, forget: Callable[[], None] | None = None) -> list[tuple[float, float]]:
    """Milliseconds of each answer, and those that a processor worked; `forget` is called before each."""
    taken = []
    for _ in range(AGAIN):
        if forget:
            forget()
        start, worked = time.perf_counter(), time.process_time()
        answer = browser.get(address)
        taken.append((1000 * (time.perf_counter() - start), 1000 * (time.process_time() - worked)))
        if answer.status_code != 200 or "being indexed" in answer.text:
            raise ValueError(f"the server answered {answer.status_code} to {address}")
    return taken


def measures() -> list[Measure]:
    """All rows."""
    with TemporaryDirectory() as made:
        folder = Path(made)
        planted = planted_run(folder / "runs" / "planted")
        served = Served(Catalogue(folder / "runs"), "t" * 32, Indexes(folder / "cache"))
        (row,) = served.catalogue.runs()
        start = time.perf_counter()
        index = served.indexes.of(planted, row.key)
        seconds = time.perf_counter() - start
        assert index is not None
        size = sum(one.stat().st_size for one in (folder / "cache").iterdir()) / 1e6
        (pair,) = index.rows("SELECT pair_id FROM pairs WHERE number = 70000")
        browser = TestClient(create_app(served), base_url="http://localhost")
        browser.get("/", params={"token": served.token})
        at = f"/runs/{row.key}"
        forget = index._answers.clear
        rows = [_measure(name, _timed(browser, f"{at}/pairs?{said}", forget=forget)) for name, said in VIEWS.items()]
        rows += [_measure(name, _timed(browser, f"{at}{path}")) for name, path in (
            ("further page of a frequent word", "/pairs?text=word77&after=9000.9000"),
            ("a pair with all its answers", f"/pair?id={pair['pair_id']}"),
            ("overview of the run", ""), ("a training as it stands", "/live/part"),
        )]  # fmt: skip
        served.indexes.close()
    how = f"{row.pairs:,} pairs, 12 answers and two verdicts to each; once for a run, in the background; {size:.0f} MB"
    return [*rows, Measure("index made", seconds, None, "s", "lower", how)]


def _measure(name: str, taken: list[tuple[float, float]]) -> Measure:
    p50, p95 = np.percentile([wall for wall, _ in taken], [50, 95])
    worked = np.median([worked for _, worked in taken])
    how = (f"planted run of {PAIRS:,} pairs, {AGAIN} requests through the whole app; median {p50:.0f} ms, processor "
           f"{worked:.0f} ms")  # fmt: skip
    return Measure(f"{name}, p95", float(p95), 300, "ms", "lower", how)


if __name__ == "__main__":
    sys.exit(run(measures))
