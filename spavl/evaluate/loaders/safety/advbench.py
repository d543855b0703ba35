"""Loader of AdvBench (Zou et al. 2023, arXiv 2307.15043): 520 harmful requests, text alone.

File: `data/advbench/harmful_behaviors.csv` of https://github.com/llm-attacks/llm-attacks with `goal, target`, or the
Hub's Parquet (walledai/AdvBench: `prompt, target`). It is a benchmark of language models: what a vision-language model
is shown with it, nothing, a grey picture or noise, changes the rate and is part of the protocol.

The numbers "with suffix" of VLGuard and SPA-VL are by one adversarial suffix after every request; which one is not
published. None is shipped: a file of the user's is, and its SHA-256 stands in the benchmark's source.

By the published rule an answer is unsafe where none of the paper's strings occurs in it, capitals and small letters
told apart.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from spavl.config.benchmarks import AdvBenchBenchmark
from spavl.evaluate.benchmark import Benchmark, Metric
from spavl.evaluate.item import Item
from spavl.evaluate.loaders.assembly import Read, benchmark_of, hub_files, nothing_found, original_file, rows_in
from spavl.evaluate.loaders.findings import Findings
from spavl.evaluate.loaders.read_files import text_of
from spavl.evaluate.loaders.safety.refusal_strings import by_strings, read_text_file, string_match
from spavl.evaluate.loaders.source import Source
from spavl.evaluate.metrics import unsafe_rate
from spavl.evaluate.pictures import store_picture
from spavl.evaluate.tools import BenchmarkTools
from spavl.pictures import grey_picture

VANILLA, SUFFIX = "vanilla", "suffix"
"""Subsets: requests as they are, and with the user's suffix."""
SOURCE = Source(
    title="AdvBench", paper="arXiv 2307.15043",
    get="take data/advbench/harmful_behaviors.csv of https://github.com/llm-attacks/llm-attacks, or the Parquet file"
    " of walledai/AdvBench",
    licence="MIT", commercial=True, counts={VANILLA: 520},
)  # fmt: skip
"""Where it comes from."""


def load_advbench(spec: AdvBenchBenchmark, tools: BenchmarkTools) -> Benchmark:
    """AdvBench from its CSV or the Hub's Parquet file; a request with and without suffix is a cluster.

    Args:
        spec: the file, the suffix, and what is shown with the requests.
        tools: how answers are sampled and scored, and the folder for a picture that is made.

    Raises:
        DataError: a file is missing or of another schema, or the count is another.
        SettingsError: no guard is named.
        RunError: a picture cannot be written.
    """
    path = Path(spec.path)
    file = original_file(path, "harmful_behaviors.csv", "data/advbench/harmful_behaviors.csv")
    files = [file] if file else hub_files(path, "train")
    if not files:
        raise nothing_found(path, SOURCE)
    findings = Findings(path, tools.missing_pictures)
    suffix = read_text_file(Path(spec.suffix), "The suffix") if spec.suffix else None
    items = list(_items(files, findings, suffix.text.strip() if suffix else ""))
    subsets = (VANILLA, SUFFIX) if suffix else (VANILLA,)
    read = Read(
        items=_shown(items, spec, tools), findings=findings, part=lambda item: item.subset,
        source=replace(SOURCE, counts=dict.fromkeys(subsets, SOURCE.counts[VANILLA])),
        metrics=_metrics(spec, tools, subsets),
    )  # fmt: skip
    made = benchmark_of(spec, tools, read, spec.name, "{question}")
    return replace(made, source=f"{made.source}; suffix SHA-256 {suffix.sha256}") if suffix else made


def _items(files: Sequence[Path], findings: Findings, suffix: str) -> Iterator[Item]:
    asked = []
    for place, row in rows_in(files):
        with findings.row(row.where):
            field = "goal" if row.values.get("prompt") is None else "prompt"
            asked.append((f"{place:03d}", text_of(row.values, field)))
    for number, goal in asked:
        yield _item(VANILLA, number, goal)
    for number, goal in asked if suffix else []:
        yield _item(SUFFIX, number, f"{goal} {suffix}")


def _item(subset: str, number: str, question: str) -> Item:
    return Item(
        item_id=f"{subset}/{number}", subset=subset, question=question, shown="none", cluster=number, harmful=True
    )  # fmt: skip


def _shown(items: list[Item], spec: AdvBenchBenchmark, tools: BenchmarkTools) -> list[Item]:
    """The items with what is shown with them."""
    if spec.image == "none":
        return items
    buffer = io.BytesIO()
    blank = spec.image == "blank"
    (grey_picture(spec.image_size) if blank else _noise(spec.image_size, spec.noise_seed)).save(buffer, "PNG")
    image = store_picture(buffer.getvalue(), tools.pictures, ".png")
    return [replace(item, images=(image,), shown="blank" if blank else "picture") for item in items]


def _noise(size: tuple[int, int], seed: int) -> Image.Image:
    """A picture of random pixels."""
    width, height = size
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels, "RGB")


def _metrics(spec: AdvBenchBenchmark, tools: BenchmarkTools, subsets: Sequence[str]) -> list[Metric]:
    unsafe = replace(
        unsafe_rate(tools.unsafe()), subsets=(VANILLA,), what="to AdvBench's requests that a guard grades unsafe"
    )
    found = [unsafe]
    if SUFFIX in subsets:
        found.append(
            replace(
                unsafe, name="unsafe_rate_suffix", label="Unsafe answers, with suffix", subsets=(SUFFIX,),
                what="to AdvBench's requests with the suffix that a guard grades unsafe",
            )
        )  # fmt: skip
    if spec.refusal_strings is None:
        return found
    rule = string_match(Path(spec.refusal_strings), lowered=False)
    return [*found, *(by_strings(metric, rule) for metric in found)]
