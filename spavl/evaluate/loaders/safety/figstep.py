"""Loader of FigStep's SafeBench (Gong et al. 2023, arXiv 2311.05608): 500 requests that are written into pictures.

Files of https://github.com/ThuCCSLab/FigStep: `data/question/safebench.csv` (ten topics of fifty) or
`SafeBench-Tiny.csv` (of five, with CRLF), and a picture each, `data/images/SafeBench/query_ForbidQI_{c}_{t}_6.png` by
the numbers of topic and task. What is asked with every picture is one text of the benchmark's, which is not shipped.

Three topics are advice (law, finance, health), of which an answer breaks a policy and need not harm; they are a subset
of their own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from spavl.config.benchmarks import FigStepBenchmark
from spavl.errors import DataError, SettingsError
from spavl.evaluate.benchmark import Benchmark, Metric, counted
from spavl.evaluate.item import Item
from spavl.evaluate.loaders.assembly import PictureFolder, Read, benchmark_of, nothing_found, original_file
from spavl.evaluate.loaders.findings import Findings
from spavl.evaluate.loaders.read_files import Fields, require, text_of
from spavl.evaluate.loaders.source import Source
from spavl.evaluate.metrics import unsafe_rate
from spavl.evaluate.tools import BenchmarkTools
from spavl.rows import brief, rows_of

HARM, ADVICE = "harm", "advice"
"""Subsets."""
ADVICE_TOPICS = frozenset({8, 9, 10})
"""Numbers of the topics of advice: law, finance, health."""
TOPICS = range(1, 11)
"""Numbers of all topics."""
SOURCE = Source(
    title="FigStep's SafeBench", paper="arXiv 2311.05608",
    get="take the folder data of https://github.com/ThuCCSLab/FigStep, with question/safebench.csv and"
    " images/SafeBench", licence="MIT", commercial=True, counts={f"topic {number}": 50 for number in TOPICS},
)  # fmt: skip
"""Where it comes from; the counts are by number of the topic."""
TINY_COUNTS = {f"topic {number}": 5 for number in TOPICS}
"""Those of the tiny version."""
RUBRIC = "figstep"
"""What an answer is graded by."""
FILES = {False: ("safebench.csv", "SafeBench"), True: ("SafeBench-Tiny.csv", "SafeBench-Tiny")}
"""File and folder of the pictures, of the whole and of the tiny version."""


def load_figstep(spec: FigStepBenchmark, tools: BenchmarkTools) -> Benchmark:
    """FigStep's SafeBench from its CSV and the folder of its pictures.

    Args:
        spec: the folder, the version, and the text that is asked.
        tools: how answers are sampled and graded.

    Raises:
        DataError: a file is missing or of another schema, the counts are others, or a picture cannot be read.
        SettingsError: the text that is asked is not named, or no guard is.
    """
    if spec.prompt is None or not spec.prompt.strip():
        raise SettingsError(
            "FigStep asks one text with every picture; it is the benchmark's and is not shipped",
            where=f"benchmark {spec.name}: prompt",
            try_="copy it from the paper (arXiv 2311.05608), or from src/generate_prompts.py of"
            " https://github.com/ThuCCSLab/FigStep",
        )
    path = Path(spec.path)
    name, folder = FILES[spec.tiny]
    file = original_file(path, f"data/question/{name}", f"question/{name}", name)
    if file is None or not file.exists():
        raise nothing_found(path, SOURCE)
    findings = Findings(path, tools.missing_pictures)
    images = PictureFolder(Path(spec.images) if spec.images else file.parent.parent / "images" / folder, {})
    items = list(_items(file, spec.prompt, images, findings))
    read = Read(
        items=items, findings=findings, metrics=counted(_metrics(tools), items),
        source=replace(SOURCE, counts=TINY_COUNTS) if spec.tiny else SOURCE,
        part=lambda item: f"topic {item.item_id.partition('/')[0]}",
    )  # fmt: skip
    return benchmark_of(spec, tools, read, spec.name, "{question}")


def _metrics(tools: BenchmarkTools) -> tuple[Metric, Metric]:
    unsafe = replace(
        unsafe_rate(tools.rubric(RUBRIC)), subsets=(HARM,), what="to requests written into pictures that are unsafe"
    )
    return unsafe, replace(
        unsafe, name="advice_unsafe_rate", label="Unsafe advice", subsets=(ADVICE,), harmful=None,
        what="to requests for advice written into pictures that neither decline nor warn",
    )  # fmt: skip


def _items(file: Path, prompt: str, images: PictureFolder, findings: Findings) -> Iterator[Item]:
    for row in rows_of(file):
        with findings.row(row.where):
            require(row.values, ("category_id", "task_id", "category_name", "instruction"))
            topic, task = (_number(row.values, name) for name in ("category_id", "task_id"))
            advice = topic in ADVICE_TOPICS
            yield Item(
                item_id=f"{topic}/{task}", subset=ADVICE if advice else HARM, question=prompt,
                images=(images.picture(f"query_ForbidQI_{topic}_{task}_6.png"),), harmful=not advice,
                group=text_of(row.values, "category_name"), notes={"written": str(row.values["instruction"])},
            )  # fmt: skip


def _number(row: Fields, name: str) -> int:
    try:
        return int(str(row[name]))
    except ValueError:
        raise DataError(f"`{name}` is a number, not {brief(row[name])}") from None
