"""Loader of VLSU (Palaskar et al. 2025, arXiv 2510.18214): pictures and texts, safe, borderline or unsafe together.

File: `data/VLSU.csv` of https://github.com/apple/ml-vlsu, with `uuid, prompt, web_path`, the grades of people
(`image_grade`, `consensus_text_grade`, `consensus_combined_grade`) and categories of harm. The pictures lie on the web
and are fetched by its own scripts, as `images/UUID.jpg`; those that are gone can be passed over.

What is wanted follows from the grade of picture and text together. Safe: an answer, whatever picture or text alone
would be. Unsafe: no harm. Borderline: a safe completion, which helps as far as is safe; graded by the rubric
`safe-completion`. Rows that people were not sure of are left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from spavl.config.benchmarks import VlsuBenchmark
from spavl.errors import DataError
from spavl.evaluate.benchmark import Benchmark, counted
from spavl.evaluate.item import Item
from spavl.evaluate.loaders.assembly import Read, benchmark_of, nothing_found, original_file
from spavl.evaluate.loaders.findings import Findings
from spavl.evaluate.loaders.read_files import Fields, picture_at, require, text_of
from spavl.evaluate.loaders.source import Source
from spavl.evaluate.metrics import over_refusal_rate, safe_completion_rate, unsafe_rate
from spavl.evaluate.tools import BenchmarkTools
from spavl.rows import brief, rows_of

SOURCE = Source(
    title="VLSU", paper="arXiv 2510.18214",
    get="take data/VLSU.csv of https://github.com/apple/ml-vlsu, and the pictures by the scripts in its folder utils",
    licence="CC BY-NC-ND 4.0", commercial=False, counts={}, sure="code",
)  # fmt: skip
"""Where it comes from; the paper says 8,187 items, and other people's readers 11,074 grades."""
SAFE, BORDERLINE, UNSAFE, NOT_SURE = "safe", "borderline", "unsafe", "not_sure"
GRADES = (SAFE, BORDERLINE, UNSAFE, NOT_SURE)
"""Grades of people."""
BOTH = "consensus_combined_grade"
"""Column of the grade that decides what is wanted."""
RUBRIC = "safe-completion"
"""Rubric of the four kinds of outcome."""


def load_vlsu(spec: VlsuBenchmark, tools: BenchmarkTools) -> Benchmark:
    """VLSU from its CSV and the downloaded pictures.

    Args:
        spec: the file and the folder of pictures.
        tools: how answers are sampled, and scorers.

    Raises:
        DataError: the file is missing or of another schema, or pictures are missing.
        SettingsError: no guard is named.
    """
    path = Path(spec.path)
    file = original_file(path, "VLSU.csv", "data/VLSU.csv")
    if file is None:
        raise nothing_found(path, SOURCE)
    folder = Path(spec.images) if spec.images else file.parent / "images"
    names = {one.stem: one.name for one in sorted(folder.iterdir())} if folder.is_dir() else {}
    findings = Findings(path, tools.missing_pictures)
    items = []
    for row in rows_of(file):
        with findings.row(row.where):
            item = _item(row.values, folder, names)
            if item.subset in (SAFE, BORDERLINE, UNSAFE):
                items.append(item)
    rubric = tools.rubric(RUBRIC)
    metrics = (
        unsafe_rate(rubric), over_refusal_rate(tools.refuses),
        replace(safe_completion_rate(rubric), subsets=(BORDERLINE,),
                what="to borderline requests that help as far as is safe"),
        replace(unsafe_rate(rubric), name="borderline_unsafe_rate", label="Unsafe answers to borderline requests",
                harmful=None, subsets=(BORDERLINE,), what="to borderline requests that are unsafe"),
        replace(over_refusal_rate(tools.refuses), name="borderline_refusal_rate", benign=None, subsets=(BORDERLINE,),
                label="Refusals of borderline requests", what="to borderline requests that refuse"),
    )  # fmt: skip
    read = Read(
        items=items, findings=findings, source=SOURCE, part=lambda item: item.subset, metrics=counted(metrics, items)
    )
    return benchmark_of(spec, tools, read, spec.name, "{question}")


def _item(row: Fields, folder: Path, names: Mapping[str, str]) -> Item:
    require(row, ("uuid", "prompt"))
    if BOTH not in row:
        raise DataError(f"The grade of picture and text together, `{BOTH}`, is missing")
    image, text, both = (_grade(row, f"{what}_grade") for what in ("image", "consensus_text", "consensus_combined"))
    key = str(row["uuid"])
    return Item(
        item_id=key, subset=both, question=text_of(row, "prompt"),
        images=(picture_at(folder, names.get(key, f"{key}.jpg")),), cluster=str(row.get("web_path") or key),
        group=str(row.get("combined_category") or "").split(":")[0].strip(), harmful=both == UNSAFE,
        benign=both == SAFE, notes={"pattern": f"{image}/{text}/{both}"},
    )  # fmt: skip


def _grade(row: Fields, name: str) -> str:
    """A grade; a cell without one says that nobody was sure."""
    grade = str(row.get(name) or NOT_SURE).strip().lower()
    if grade not in GRADES:
        raise DataError(f"`{name}` is one of {', '.join(GRADES)}, not {brief(row[name])}")
    return grade
