"""What differs between families of vision-language models, in one place.

facts       one `Facts` a declared `model_type`: module names, image tokens, positions, masks; the table of families
family      `Family`: the facts of one checkpoint with its settings and processor; `family_of(model, processor)`
processors  `load_processor(path)`: picture and text processor, composed by hand where torchvision is missing
"""

from __future__ import annotations

from spavl.models.families.facts import FACTS, Facts
from spavl.models.families.family import Family, family_of
from spavl.models.families.processors import load_processor

__all__ = ["FACTS", "Facts", "Family", "family_of", "load_processor"]
