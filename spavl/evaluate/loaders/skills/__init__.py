"""Loaders of benchmarks of skills."""

from __future__ import annotations

from collections.abc import Mapping

from spavl.config.benchmarks import PopeBenchmark
from spavl.evaluate.loaders.loader import Loader
from spavl.evaluate.loaders.skills.pope import load_pope

SKILLS: Mapping[type, Loader] = {PopeBenchmark: load_pope}
"""Loader by class of the settings entry."""
