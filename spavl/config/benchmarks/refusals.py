"""Settings of benchmarks of over-refusal: harmless requests that sound harmful, and their harmful counterparts."""

from __future__ import annotations

from typing import Literal

from spavl.config.benchmarks.published import PublishedBenchmark
from spavl.config.models import Label


class XsTestBenchmark(PublishedBenchmark):
    """XSTest: 250 harmless prompts of ten types, 200 harmful counterparts; text alone (arXiv 2308.01263)."""

    kind: Literal["xstest"] = "xstest"
    """XSTest."""
    name: Label = "xstest"
    """Label of the benchmark in tables and reports."""
    path: str
    """`xstest_prompts.csv` (older copies: `xstest_v2_prompts.csv`) or its folder; or the Hub's Parquet file."""
    image: Literal["none", "blank", "neutral"] = "none"
    """What is shown with the prompts, which have no pictures. `blank`: a grey picture. `neutral`: the picture or
    pictures that `images` names. Refusals differ between the three, so say which."""
    images: str | None = None
    """For `image: neutral`: a picture, or a folder with one of every type, such as `homonyms.jpg`."""


class MossBenchBenchmark(PublishedBenchmark):
    """MOSSBench: 300 harmless requests that models refuse, and 244 harmful ones on the same pictures (2406.17806)."""

    kind: Literal["mossbench"] = "mossbench"
    """MOSSBench."""
    name: Label = "mossbench"
    """Label of the benchmark in tables and reports."""
    path: str
    """Its repository, or the folder `data` of it; or the Hub's Parquet files, which have no contrast set."""
    contrast: bool = True
    """Also ask the contrast set of harmful requests, `data_contrast` beside `data`."""


class VlsuBenchmark(PublishedBenchmark):
    """VLSU: pictures and texts that are safe, borderline or unsafe alone and together (arXiv 2510.18214).

    Needs a guard: borderline requests are to be answered as far as is safe."""

    kind: Literal["vlsu"] = "vlsu"
    """VLSU."""
    name: Label = "vlsu"
    """Label of the benchmark in tables and reports."""
    path: str
    """`VLSU.csv`, or its folder, or the repository that holds it under `data`."""
    images: str | None = None
    """Folder of the downloaded pictures, each called by the `uuid` of its row; `images` beside the file unless
    named."""


RefusalBenchmark = XsTestBenchmark | MossBenchBenchmark | VlsuBenchmark
"""All of them."""
