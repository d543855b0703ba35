"""How the calls of a stage or an evaluation stand, for the table that is shown while they are made."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import cached_property
from typing import final

from spavl.config import LocalSpec
from spavl.config.prices import unpriced
from spavl.errors import SpavlError
from spavl.models.calls.oversight import Usage
from spavl.pipeline.build_plan import plan_build
from spavl.pipeline.estimate import Estimator
from spavl.pipeline.measured import measures_of
from spavl.pipeline.session import Session
from spavl.pipeline.worker import Job
from spavl.progress import Calls, ModelCalls
from spavl.run import Stage
from spavl.tables import read_footer


@final
class LiveCalls:
    """Tells how the calls of a piece of work stand; see `spavl.progress.TellCalls`.

    Args:
        expected: most replies, by name of the model.
        usage: what calls have used so far in this command, by name of the model.
        unpriced: names of models whose price is not known.
        most: ceiling of cost of the command.
        later: seconds of the work after this one; asked once, when it is first shown.
    """

    def __init__(
        self,
        expected: Mapping[str, int],
        usage: Callable[[], Mapping[str, Usage]],
        *,
        unpriced: Collection[str] = (),
        most: float | None = None,
        later: Callable[[], float] = lambda: 0.0,
    ) -> None:
        self._expected = expected
        self._usage = usage
        self._before = usage()
        self._most = most
        self._unpriced = unpriced
        self._find_later = later

    def __call__(self) -> Calls:
        """How they stand now."""
        now = self._usage()
        spent = sum(one.cost for one in now.values())
        models = [self._of(name, now.get(name, Usage())) for name in self._expected]
        return Calls(models, self._later, spent, self._most)

    @cached_property
    def _later(self) -> float:
        return self._find_later()

    def _of(self, name: str, now: Usage) -> ModelCalls:
        then = self._before.get(name, Usage())
        tokens = now.prompt_tokens + now.completion_tokens - then.prompt_tokens - then.completion_tokens
        return ModelCalls(
            name=name,
            done=min(self._expected[name], now.found + now.ended - then.found - then.ended),
            expected=self._expected[name],
            in_flight=now.in_flight,
            tokens=tokens,
            cost=None if name in self._unpriced else now.cost - then.cost,
            failed=now.failed - then.failed,
            throttled=now.throttled - then.throttled,
        )


def calls_of_model(session: Session, model: str, expected: int) -> LiveCalls:
    """Tells how the calls of one model stand.

    Args:
        session: the settings, and what counts the calls.
        model: name of the model.
        expected: most replies.
    """
    return LiveCalls({model: expected}, session.oversight.usage, unpriced=unpriced(session.settings),
                     most=session.settings.ceilings.cost)  # fmt: skip


def calls_of_jobs(
    session: Session, jobs: Sequence[Job], usage: Callable[[], Mapping[str, Usage]], later: Callable[[], float]
) -> LiveCalls | None:
    """Tells how the calls of a stage stand; None where it makes none.

    Args:
        session: the settings.
        jobs: the tables of the stage.
        usage: what calls have used so far, by name of the model.
        later: seconds of the stages after it.
    """
    expected = expected_of(jobs)
    if not expected:
        return None
    return LiveCalls(expected, usage, unpriced=unpriced(session.settings), most=session.settings.ceilings.cost,
                     later=later)  # fmt: skip


def expected_of(jobs: Sequence[Job]) -> dict[str, int]:
    """Most replies of the tables of a stage, by name of the model.

    Args:
        jobs: the tables.
    """
    found: Counter[str] = Counter()
    for job in jobs:
        for use in job.uses:
            found[use.label] += round(job.rows * use.calls)
    return dict(found)


def seconds_after(session: Session, stages: Sequence[Stage], stage: Stage) -> float:
    """Seconds that the stages after one are estimated to take; 0 where nothing can be said.

    Args:
        session: the settings and the run folder.
        stages: all stages of the dataset, in their order.
        stage: the one that is worked on.
    """
    try:
        return _seconds_after(session, stages, stage)
    except SpavlError:  # it is an estimate: what is wrong is said where it matters
        return 0.0


def _seconds_after(session: Session, stages: Sequence[Stage], stage: Stage) -> float:
    pictures = read_footer(stages[0].tables(session.run.folder, session.settings)[0])
    if pictures is None:
        return 0.0
    # Weights on this machine are left out: their identities would be found by reading them.
    measures = measures_of(session, stages, [one for one in session.settings.models if not isinstance(one, LocalSpec)])
    found = pictures["counts"].get("found", pictures["rows"])
    problems: list[SpavlError] = []
    plan = plan_build(
        session.settings, stages, found, 1.0, measures=measures,
        estimator=Estimator(session.settings, measures, found), opened=lambda use: session.spec(use.label, use.setting),
        problems=problems,
    )  # fmt: skip
    place = [one.name for one in stages].index(stage.name)
    return sum(one.seconds for one in plan.stages[place + 1 :])
