"""Loaders of benchmarks of over-refusal, one module each."""

from __future__ import annotations

from collections.abc import Mapping

from spavl.config.base import Section
from spavl.config.benchmarks import MossBenchBenchmark, VlsuBenchmark, XsTestBenchmark
from spavl.evaluate.loaders.loader import Loader
from spavl.evaluate.loaders.refusals import mossbench, vlsu, xstest
from spavl.evaluate.loaders.source import Source

REFUSALS: Mapping[type, Loader] = {
    XsTestBenchmark: xstest.load_xstest,
    MossBenchBenchmark: mossbench.load_mossbench,
    VlsuBenchmark: vlsu.load_vlsu,
}
"""Loader by class of the settings entry."""
SOURCES_REFUSALS: Mapping[type[Section], Source] = {
    XsTestBenchmark: xstest.SOURCE,
    MossBenchBenchmark: mossbench.SOURCE,
    VlsuBenchmark: vlsu.SOURCE,
}
"""Where each comes from, by class of the settings entry."""
