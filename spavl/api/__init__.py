"""The pipeline for a notebook or a script: a run with methods (`run`), and pairs of any public form (`pairs`).

The commands of the command line are these methods, so both make the same things in the same folders.
"""

from spavl.api.pairs import PairSet, import_pairs, open_pairs
from spavl.api.run import PipelineRun, open_run

__all__ = ["PairSet", "PipelineRun", "import_pairs", "open_pairs", "open_run"]
