"""The pipeline for a notebook or a script: a run with methods (`run`), pairs of any public form (`pairs`), and studies.

The commands of the command line are these methods, so both make the same things in the same folders.
"""

from spavl.api.pairs import PairSet, import_pairs, open_pairs
from spavl.api.run import PipelineRun, open_run
from spavl.api.study import Study, open_study

__all__ = ["PairSet", "PipelineRun", "Study", "import_pairs", "open_pairs", "open_run", "open_study"]
