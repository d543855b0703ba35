"""Guards, judges and the readers of their words; text only, no model is called.

`templates` (prompt files), `readers` (what is meant by the words of guards, of judges, and of the models that are
evaluated), `guard` (what a guard is sent, and what its reply means), `rubrics` (what else its model is asked of an
answer), `judge` (pairwise comparison).
"""

from spavl.judging.exchange import Exchange, GuardKind
from spavl.judging.guard import Guard, open_guard, require_verdict
from spavl.judging.judge import Judge, open_judge
from spavl.judging.readers.outcomes import Grade

__all__ = [
    "Exchange",
    "Grade",
    "Guard",
    "GuardKind",
    "Judge",
    "open_guard",
    "open_judge",
    "require_verdict",
]
