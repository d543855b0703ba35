"""Loader of SPA-VL's test split (arXiv 2406.12030): 265 harmful questions (HarmEval), 265 harmless ones (HelpEval).

Files: `test/harm-*.parquet` and `test/help-*.parquet` of the Hub data set `sqrti/SPA-VL`, with `image, question,
class1, class2, class3` and no id; the row's place in its split is its id. Questions are kept as they are, stray quotes
too. HarmEval's unsafe rate is graded by a guard on question and answer (the paper: MD-Judge).

The paper also compares answers with those of the model that was aligned: on HelpEval the share of wins, on HarmEval the
Harm Score, a defeat counting 1 and a tie 0.5. Ours is 1 minus that, so that higher is better on both.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from spavl.config.benchmarks import SpaVlBenchmark
from spavl.errors import DataError
from spavl.evaluate.benchmark import Benchmark, Metric
from spavl.evaluate.item import Item
from spavl.evaluate.loaders.findings import Findings
from spavl.evaluate.loaders.read_files import Fields, picture_of, require, text_of
from spavl.evaluate.loaders.source import Source, check_counts
from spavl.evaluate.metrics import over_refusal_rate, unsafe_rate
from spavl.evaluate.scorer import Scorer
from spavl.evaluate.spread import spread
from spavl.evaluate.tools import BenchmarkTools
from spavl.rows import rows_of

HARM, HELP = "harm", "help"
SPLITS = (HARM, HELP)
"""Names of the files and of the subsets."""
SOURCE = Source(
    title="SPA-VL's test split", paper="arXiv 2406.12030",
    get="take test/harm-*.parquet and test/help-*.parquet of the Hub data set sqrti/SPA-VL", licence="CC BY 4.0",
    commercial=True, counts=dict.fromkeys(SPLITS, 265),
)  # fmt: skip
"""Where it comes from."""


def load_spa_vl(spec: SpaVlBenchmark, tools: BenchmarkTools) -> Benchmark:
    """HarmEval and HelpEval from the Hub's Parquet files.

    Args:
        spec: the folder of the files, and whether answers are compared.
        tools: sampling, scorers, and the folder for the pictures, which come inside the files.

    Raises:
        DataError: a file is missing or of another schema, or the counts are others.
        SettingsError: no guard is named, or no judge where answers are compared.
        RunError: a picture cannot be written.
    """
    folder = Path(spec.path)
    findings = Findings(folder, tools.missing_pictures)
    items = {split: _items(folder, split, tools.pictures, findings) for split in SPLITS}
    findings.refuse_rows()
    every = [item for split in SPLITS for item in items[split]]
    check_counts(every, SOURCE, lambda item: item.subset, folder, partial=spec.partial)
    kept = [item for split in SPLITS for item in spread(items[split], spec.limit)]
    return Benchmark(
        name=spec.name,
        items=findings.resolve(kept),
        metrics=(
            replace(unsafe_rate(tools.unsafe()), what="to the questions of HarmEval that a guard grades unsafe"),
            replace(over_refusal_rate(tools.refuses), what="to the questions of HelpEval that refuse"),
            *(_win_rates(tools.preferred()) if spec.pairwise else ()),
        ),
        sampling=tools.sampling,
        source="sqrti/SPA-VL, test, arXiv 2406.12030",
    )


def _win_rates(preferred: Scorer) -> tuple[Metric, Metric]:
    """How often an answer is preferred to the first model's, on each of the two."""
    helpful = Metric(
        name="win_rate", axis="helpfulness", better="higher", label="Preferred on HelpEval", scorer=preferred,
        subsets=(HELP,), graded=True, when_declined=0.0,
        what="to the questions of HelpEval that are preferred to the first model's, a tie counting one half",
    )  # fmt: skip
    return helpful, replace(
        helpful, name="harm_win_rate", axis="safety", label="Preferred on HarmEval (1 - Harm Score)", subsets=(HARM,),
        when_declined=None,
        what="to the questions of HarmEval that are preferred to the first model's, a tie counting one half: the"
        " paper's Harm Score turned round",
    )  # fmt: skip


def _items(folder: Path, split: str, pictures: Path, findings: Findings) -> list[Item]:
    files = sorted(folder.glob(f"{split}-*.parquet")) or sorted((folder / "test").glob(f"{split}-*.parquet"))
    if not files:
        raise DataError(f"There is no {split}-*.parquet in this folder", where=str(folder), try_=SOURCE.get)
    items = []
    for place, row in enumerate(row for file in files for row in rows_of(file)):
        with findings.row(row.where):
            items.append(_item(split, place, row.values, folder, pictures))
    return items


def _item(split: str, place: int, row: Fields, folder: Path, pictures: Path) -> Item:
    require(row, ("image", "question"))
    image = picture_of(row["image"], folder, pictures)
    if image is None:
        raise DataError("The picture's bytes are not in the table", try_="use the Parquet files of the Hub")
    return Item(
        item_id=f"{split}/{place:04d}",
        subset=split,
        question=text_of(row, "question"),
        images=(image,),
        cluster=image.sha256,
        group=str(row.get("class3") or ""),
        harmful=split == HARM,
        benign=split != HARM,
    )
