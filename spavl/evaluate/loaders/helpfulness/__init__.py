"""Loaders of benchmarks of helpfulness, one module each; HelpEval is in that of SPA-VL's test split."""

from __future__ import annotations

from collections.abc import Mapping

from spavl.config.base import Section
from spavl.config.benchmarks import AnthropicHelpfulBenchmark
from spavl.evaluate.loaders.helpfulness import anthropic_helpful
from spavl.evaluate.loaders.loader import Loader
from spavl.evaluate.loaders.source import Source

HELPFULNESS: Mapping[type, Loader] = {AnthropicHelpfulBenchmark: anthropic_helpful.load_anthropic_helpful}
"""Loader by class of the settings entry."""
SOURCES_HELPFULNESS: Mapping[type[Section], Source] = {AnthropicHelpfulBenchmark: anthropic_helpful.SOURCE}
"""Where each comes from, by class of the settings entry."""
