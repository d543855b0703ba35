"""The dataset's stages on actors of a Ray cluster, with `runner: ray`.

The command keeps what there must be one of: it hands out slices, writes the tables in order, owns the call store and
shows progress. Every actor makes slices with a worker of its own (`actor`), and stores answers in a segment of the
call store, which the command takes into the store when the stage ends, however it ends. An actor that dies is replaced
by one that goes on with its segment and its slices.
"""

from __future__ import annotations

import os
import re
import sys
import threading
from collections import Counter as Multiset
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self, final

from spavl.config import EndpointSpec
from spavl.errors import RunError
from spavl.models.calls.oversight import Usage
from spavl.models.calls.segments import merge_segments, segment_path
from spavl.pipeline.actor import ActorRecipe, Failure, JobRecipe, SliceActor, share_of, shared_out
from spavl.pipeline.counter import Counter, Counts, ceilings_of
from spavl.pipeline.ray_cluster import check_ray, connect
from spavl.pipeline.runner import Runner, WriteTable, concurrency_of, slices_for
from spavl.pipeline.session import Session
from spavl.pipeline.worker import Job, SliceMade

MOST_DEATHS = 3
"""Actors that may die at one slice before the command ends."""
START_SECONDS = 120.0
"""Longest wait for actors to start."""
END_SECONDS = 30.0
"""Longest wait for an actor to end its calls or close its segment, before it is killed."""
LEAVE_SECONDS = 5.0
"""Longest wait for an actor to be done with the counter."""
WATCH_SECONDS = 0.25
"""Time between two looks at the counter, for the progress bar."""
SLICES_AN_ACTOR = 2
"""Slices that an actor has at once where none waits on a network: one that is worked on and the next."""


@dataclass(slots=True)
class ActorSlot:
    """One of the actors that there are to be, and who takes it."""

    number: int
    """From 0."""
    actor: Any
    """Ray's handle of the actor."""
    attempt: int = 0
    """How many actors have died here."""
    units: Multiset[Path] = field(default_factory=Multiset)
    """Slices that it has under way, by table."""
    guard: threading.Lock = field(default_factory=threading.Lock)
    """Held while the actor is replaced."""


@final
class RayRunner(Runner):
    """Has actors of a Ray cluster make the slices. A context manager, which ends the actors.

    A cluster is joined, or started, when the first table has to be made; a process that is connected to one stays so.

    Args:
        session: the settings, models and call store.

    Raises:
        MissingExtra: Ray is not installed.
        RunError: the cluster does not answer.
    """

    def __init__(self, session: Session) -> None:
        check_ray(session.settings)
        self._session = session
        self._settings = session.settings
        self._slots: list[ActorSlot] = []
        self._guard = threading.Lock()
        self._connected = False
        self._stopping = False
        self._counter: Any = None
        self._said = 0
        self._latest = Counts()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        import ray

        actors = [slot.actor for slot in self._slots]
        if actors:
            ray.wait([actor.leave.remote() for actor in actors], num_returns=len(actors), timeout=LEAVE_SECONDS)
        for actor in [*actors, *([self._counter] if self._counter else [])]:
            ray.kill(actor)
        if self._connected:
            ray.shutdown()

    def run(self, jobs: Sequence[Job], write: WriteTable, on_progress: Callable[[int], None]) -> None:
        """Make the tables.

        Args:
            jobs: tables that do not depend on each other.
            write: called once a table with its slices, in order, as they are made.
            on_progress: called with the number of further replies that there are, from any thread.

        Raises:
            RunError: the cluster cannot be joined, its actors do not see this machine's disk, or they die again and
                again.
        """
        if not self._slots:
            self._start()
        try:
            with self._with_progress(on_progress):
                super().run(jobs, write, on_progress)
        finally:
            self._finish()

    def make_slice(self, job: Job, number: int, on_reply: Callable[[int], None]) -> SliceMade:
        """Have an actor do one unit of work; where it dies, the one in its slot.

        Args:
            job: the table that it belongs to.
            number: of the slice.
            on_reply: not called, for the counter is watched.

        Raises:
            RunError: actors die at it again and again.
        """
        import ray

        slot = self._take_slot(job)
        try:
            for _ in range(MOST_DEATHS):
                actor = slot.actor
                try:
                    return _result(ray.get(actor.make_slice.remote(JobRecipe.of(job), number)))
                except (ray.exceptions.RayActorError, ray.exceptions.OutOfMemoryError) as death:
                    why = _reason(death)
                    self._replace(slot, actor, why)
            raise _died(f"{job.stage.name}, slice {number}", why)
        finally:
            with self._guard:
                slot.units[job.path] -= 1

    def window(self, job: Job) -> int:
        """Slices of a table that are under way at once, in all actors.

        Args:
            job: the table.
        """
        if not self.waits_on_network(job):
            return SLICES_AN_ACTOR * len(self._slots)
        return sum(slices_for(job, share) for share in self._shares(job) if share)

    def waits_on_network(self, job: Job) -> bool:
        """Whether a table's model is behind a network, and may be asked while others are.

        Args:
            job: the table.
        """
        return bool(concurrency_of(job, self._session.pool))

    def stop(self) -> None:
        """End all calls in flight."""
        import ray

        self._stopping = True
        ray.wait([slot.actor.stop.remote() for slot in self._slots], num_returns=len(self._slots), timeout=END_SECONDS)

    def usage(self) -> Mapping[str, Usage]:
        """What the calls of all actors have used so far, by name of the model."""
        return self._latest.models

    def _shares(self, job: Job) -> list[int]:
        """Calls that each actor may have in flight to a table's model; 1 for one that is not behind a network."""
        concurrency = concurrency_of(job, self._session.pool)
        return [share_of(self._settings, concurrency, slot.number) if concurrency else 1 for slot in self._slots]

    def _take_slot(self, job: Job) -> ActorSlot:
        """The actor that has the least to do, and one slice more now."""
        shares = self._shares(job)
        with self._guard:
            asked = [slot for slot, share in zip(self._slots, shares, strict=True) if share]
            slot = min(asked, key=lambda one: (one.units[job.path], one.units.total()))
            slot.units[job.path] += 1
            return slot

    def _start(self) -> None:
        """Join or start the cluster, and start counter and actors."""
        import ray

        self._connected = connect(self._settings)
        options = {"num_cpus": 0, "max_restarts": -1, "max_task_retries": -1}
        money = self._settings.ceilings
        ceilings = ceilings_of(money.cost, money.models)
        self._counter = ray.remote(Counter).options(**options).remote(ceilings, self._settings.ray.actors)
        self._slots = [ActorSlot(number, self._new_actor()) for number in range(self._settings.ray.actors)]
        begun = [self._begin(slot, slot.actor) for slot in self._slots]
        for ref in begun:
            self._check_begun(ref)

    def _new_actor(self) -> Any:
        import ray

        one = self._settings.ray
        options = {"num_cpus": one.num_cpus, "num_gpus": one.num_gpus, "scheduling_strategy": "SPREAD"}
        return ray.remote(SliceActor).options(max_restarts=0, **options).remote()

    def _begin(self, slot: ActorSlot, actor: Any) -> Any:
        """Tell a new actor what it works for; returns Ray's reference of the answer."""
        session, settings = self._session, self._settings
        specs = [spec for spec in settings.models if isinstance(spec, EndpointSpec)]
        names = [name for spec in specs for name in spec.variables if name in os.environ]
        folder, store = session.run.folder.absolute(), session.store.path.absolute()
        recipe = ActorRecipe(
            name=f"{slot.number}-{slot.attempt}", settings=shared_out(settings, slot.number),
            allow_code=session.allow_code, working_folder=Path.cwd(), folder=folder, store=store,
            segment=segment_path(store, str(slot.number)),
            same_files={path: path.stat().st_ino for path in (folder, store)},
            seconds=None if settings.ceilings.minutes is None else session.oversight.left,
            keys={name: os.environ[name] for name in names}, import_paths=tuple(sys.path),
        )  # fmt: skip
        return actor.start.remote(recipe, self._counter)

    def _check_begun(self, ref: Any) -> None:
        import ray

        try:
            failure = ray.get(ref, timeout=START_SECONDS)
        except ray.exceptions.GetTimeoutError as error:
            one = self._settings.ray
            has = ", ".join(
                f"{amount:g} {name}" for name, amount in sorted(ray.cluster_resources().items()) if name.isupper()
            )
            raise RunError(
                f"The Ray cluster has no room for {one.actors} actors of {one.num_cpus:g} CPU and {one.num_gpus:g} GPU",
                where=f"a cluster of {has}", try_="fewer `ray.actors`, or less in `ray.num_cpus`, `ray.num_gpus`",
            ) from error  # fmt: skip
        except ray.exceptions.OutOfMemoryError as error:
            raise _died("the start of an actor", _reason(error)) from error
        except ray.exceptions.RayError as error:
            raise RunError(
                f"A Ray actor cannot start: {str(error).strip().splitlines()[-1][:200]}",
                try_="install the same spavl and Python on every machine of the cluster; look into Ray's logs",
            ) from error
        _raise_failure(failure)

    def _replace(self, slot: ActorSlot, died: Any, why: str) -> None:
        """Put a new actor in the place of one that has died, unless another thread has."""
        import ray

        with slot.guard:
            if self._stopping:
                raise CancelledError
            if slot.actor is not died:
                return
            ray.kill(died)  # it may be cut off only, and must not go on writing
            slot.attempt += 1
            self._session.progress.log(f"Ray actor {slot.number} has died and is replaced: {why}")
            slot.actor = self._new_worker(slot)

    def _new_worker(self, slot: ActorSlot) -> Any:
        """A new actor that has begun; one that cannot begin is ended."""
        import ray

        actor = self._new_actor()
        try:
            self._check_begun(self._begin(slot, actor))
        except RunError:
            ray.kill(actor)
            raise
        return actor

    @contextmanager
    def _with_progress(self, on_progress: Callable[[int], None]) -> Iterator[None]:
        """Report what the counter counts while the block runs."""
        ended = threading.Event()
        before = self._total().replies

        def report() -> None:
            nonlocal before
            while not ended.wait(WATCH_SECONDS):
                self._latest = self._total()
                now = self._latest.replies
                on_progress(max(0, now - before))
                before = max(now, before)
                self._log_notices()

        watcher = threading.Thread(target=report, name="ray-progress", daemon=True)
        watcher.start()
        try:
            yield
        finally:
            ended.set()
            watcher.join()
            self._log_notices()

    def _log_notices(self) -> None:
        """Log what the actors say of models and ceilings, once."""
        import ray

        with suppress(ray.exceptions.RayError):
            for notice in ray.get(self._counter.notices.remote(self._said)):
                self._said += 1
                self._session.progress.log(notice.line)

    def _total(self) -> Counts:
        import ray

        with suppress(ray.exceptions.RayError):
            total: Counts = ray.get(self._counter.total.remote())
            return total
        return Counts()

    def _finish(self) -> None:
        """Close the actors' segments and take them into the store, whatever has happened."""
        session = self._session
        hits = sum([self._close_segment(slot) for slot in self._slots])
        merged = merge_segments(session.store)
        session.store.hits += hits
        session.store.calls += merged.calls
        session.store.cost += merged.cost
        models = {name: asdict(usage) for name, usage in self._total().models.items()}
        died = sum(slot.attempt for slot in self._slots)
        session.run.replace(ray={"actors": len(self._slots), "died": died, "models": models})

    def _close_segment(self, slot: ActorSlot) -> int:
        """Stored answers that an actor has found; one that does not answer is killed, which frees its segment."""
        import ray

        try:
            found: int = ray.get(slot.actor.finish.remote(), timeout=END_SECONDS)
        except ray.exceptions.RayError:
            ray.kill(slot.actor)
            return 0
        return found


def _result(made: SliceMade | Failure) -> SliceMade:
    if isinstance(made, SliceMade):
        return made
    _raise_failure(made)
    raise AssertionError("a slice or a failure")


def _raise_failure(failure: Failure | None) -> None:
    if isinstance(failure, MemoryError):
        raise _died("Python raised MemoryError in it", "out of memory") from failure
    if failure is not None:
        raise failure


def _died(where: str, why: str) -> RunError:
    return RunError(
        f"Ray actors died again and again, as they do when memory runs out: {why}", where=where,
        try_="fewer `ray.actors`, a smaller `build.batch_size` or more memory, then the same command again; "
        "every answer that came is stored",
    )  # fmt: skip


def _reason(error: Exception) -> str:
    """Why an actor ended, as the first sentence that Ray has for it."""
    text = " ".join(str(error).split())
    detail = re.search(r"Worker exit detail: ([^.]+)", text)
    return (detail[1] if detail else text.split(". ")[0])[:200]
