"""Loader of XSTest (Röttger et al. 2024, arXiv 2308.01263): 250 harmless prompts that sound harmful, 200 harmful ones.

File: `xstest_prompts.csv` of https://github.com/paul-rottger/xstest, with `id, prompt, type, label, focus, note`; old
copies (`xstest_v2_prompts.csv`) have no `label`: types that begin with `contrast_` are the unsafe ones. Prompts are
text; a model that needs a picture, or is to be measured with one, is shown a grey one, or a neutral one of the user's.

As published, refusals are counted on both halves. A harmless and a harmful prompt are a minimal pair where they alone
have their type and their `focus`; many have none.
"""

from __future__ import annotations

import io
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from spavl.config.benchmarks import XsTestBenchmark
from spavl.errors import DataError, SettingsError
from spavl.evaluate.benchmark import Benchmark, counted
from spavl.evaluate.combined_scorer import wanted
from spavl.evaluate.item import Item
from spavl.evaluate.loaders.assembly import Read, benchmark_of, hub_files, nothing_found, original_file, rows_in
from spavl.evaluate.loaders.findings import Findings
from spavl.evaluate.loaders.read_files import Fields, picture_at, text_of
from spavl.evaluate.loaders.source import Source
from spavl.evaluate.metrics import harmful_refusal_rate, over_refusal_rate, pair_accuracy
from spavl.evaluate.pictures import store_picture
from spavl.evaluate.tools import BenchmarkTools
from spavl.pictures import grey_picture
from spavl.records import ImageRef
from spavl.rows import brief, listed

SOURCE = Source(
    title="XSTest", paper="arXiv 2308.01263",
    get="take xstest_prompts.csv of https://github.com/paul-rottger/xstest", licence="CC BY 4.0", commercial=True,
    counts={"safe": 250, "unsafe": 200},
)  # fmt: skip
"""Where it comes from."""
SAFE, UNSAFE = "safe", "unsafe"
CONTRAST = "contrast_"
"""Beginning of the types of harmful prompts."""
BLANK_SIZE = (336, 336)
"""Size of the grey picture, that of LLaVA's view."""
PICTURES = (".png", ".jpg", ".jpeg", ".webp")
"""Endings of neutral pictures."""


def load_xstest(spec: XsTestBenchmark, tools: BenchmarkTools) -> Benchmark:
    """XSTest from its CSV or the Hub's Parquet file.

    Args:
        spec: the file, and what is shown with its prompts.
        tools: how answers are sampled, the folder for the grey picture, and the scorer of refusals.

    Raises:
        DataError: the file is missing or of another schema, or a neutral picture is.
        SettingsError: neutral pictures are wanted and none is named.
        RunError: the grey picture cannot be written.
    """
    path = Path(spec.path)
    file = original_file(path, "xstest_prompts.csv", "xstest_v2_prompts.csv")
    files = [file] if file else hub_files(path, "*")
    if not files:
        raise nothing_found(path, SOURCE)
    findings = Findings(path, tools.missing_pictures)
    items = []
    for place, row in rows_in(files):
        with findings.row(row.where):
            items.append(_item(row.values, str(place + 1)))
    findings.refuse_rows()
    items = _shown(_paired(items), spec, tools)
    pairs = pair_accuracy(wanted(tools.refuses))
    metrics = counted((over_refusal_rate(tools.refuses), harmful_refusal_rate(tools.refuses)), items)
    read = Read(
        items=items, findings=findings, source=SOURCE, part=lambda item: item.subset,
        metrics=(*metrics, *([pairs] if any(item.unit for item in items) else [])),
    )  # fmt: skip
    return benchmark_of(spec, tools, read, spec.name, "{question}")


def _item(row: Fields, number: str) -> Item:
    kind = text_of(row, "type").strip()
    label = str(row.get("label") or (UNSAFE if kind.startswith(CONTRAST) else SAFE)).strip().lower()
    if label not in (SAFE, UNSAFE):
        raise DataError(f"`label` is safe or unsafe, not {brief(row['label'])}")
    return Item(
        item_id=str(row.get("id") or number), subset=label, question=text_of(row, "prompt"), group=kind, shown="none",
        harmful=label == UNSAFE, benign=label == SAFE, notes={"focus": str(row.get("focus") or "").strip()},
    )  # fmt: skip


def _paired(items: Sequence[Item]) -> list[Item]:
    """The items, those that alone have their type and focus as one unit; the two are not independent."""
    alike: dict[tuple[str, str], list[Item]] = defaultdict(list)
    for item in items:
        if item.notes["focus"]:
            alike[item.group.removeprefix(CONTRAST), item.notes["focus"].lower()].append(item)
    pairs: dict[str, str] = {}
    for (kind, focus), members in alike.items():
        if len(members) == 2 and members[0].harmful != members[1].harmful:
            pairs |= {one.item_id: f"{kind}/{focus}" for one in members}
    return [replace(item, unit=pairs.get(item.item_id, ""), cluster=pairs.get(item.item_id, "")) for item in items]


def _shown(items: list[Item], spec: XsTestBenchmark, tools: BenchmarkTools) -> list[Item]:
    """The items with what is shown with them."""
    if spec.image == "none":
        return items
    if spec.image == "blank":
        buffer = io.BytesIO()
        grey_picture(BLANK_SIZE).save(buffer, "PNG")
        grey = store_picture(buffer.getvalue(), tools.pictures, ".png")
        return [replace(item, images=(grey,), shown="blank") for item in items]
    pictures = _neutral(spec, sorted({item.group for item in items}))
    return [replace(item, images=(pictures[item.group],), shown="picture") for item in items]


def _neutral(spec: XsTestBenchmark, kinds: Sequence[str]) -> dict[str, ImageRef]:
    """The neutral picture of every type."""
    if spec.images is None:
        raise SettingsError(
            "A neutral picture is wanted, and none is named", where=f"benchmark {spec.name}",
            try_="name a picture, or a folder with one of every type, by `images`; or `image: blank`",
        )  # fmt: skip
    at = Path(spec.images)
    if not at.is_dir():
        return dict.fromkeys(kinds, picture_at(at.parent, at.name))
    files = {kind: next((at / f"{kind}{end}" for end in PICTURES if (at / f"{kind}{end}").is_file()), None)
             for kind in kinds}  # fmt: skip
    lacking = [kind for kind, file in files.items() if file is None]
    if lacking:
        raise DataError(
            f"There is no neutral picture of the types {listed(lacking)}", where=str(at),
            try_=f"put {lacking[0]}.png there; or name one picture for all",
        )  # fmt: skip
    return {kind: picture_at(at, file.name) for kind, file in files.items() if file is not None}
