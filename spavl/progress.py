"""Progress of long work: bars, a table of the calls of models, and log lines in a terminal, or nothing at all."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, final

from spavl.amounts import amount, duration, money
from spavl.visible_text import visible

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.progress import Progress as Bars

OnProgress = Callable[[int, int], None]
"""Called with (units done, units in all) while work goes on."""
REFRESHES_A_SECOND = 2
"""How often the table of calls is drawn anew."""
RATE_SECONDS = 20.0
"""Length of time that rates are measured over."""
PLAIN_SECONDS = 60.0
"""Least time between two lines about calls where the output is no terminal."""
COLUMNS = {"calls": 13, "in flight": 9, "a second": 8, "tokens": 7, "cost": 6, "failed": 6, "throttled": 9}
"""Columns of the table of calls, and their widths, so that it stands still while its numbers grow."""


@dataclass(frozen=True, slots=True)
class ModelCalls:
    """What the calls of one model have come to in a piece of work."""

    name: str
    """Name of the model."""
    done: int
    """Replies that there are, stored ones among them."""
    expected: int
    """Most replies that there will be."""
    in_flight: int = 0
    """Calls in flight now."""
    tokens: int = 0
    """Tokens of prompts and answers."""
    cost: float | None = 0.0
    """What the calls cost, in the currency of the prices; None where the model's price is not known."""
    failed: int = 0
    """Calls that brought no answer."""
    throttled: int = 0
    """Calls that the server refused as too many."""


@dataclass(frozen=True, slots=True)
class Calls:
    """The calls of a piece of work at one moment."""

    models: Sequence[ModelCalls]
    """By model."""
    later: float = 0.0
    """Seconds that the work after this one is estimated to take."""
    spent: float = 0.0
    """What the whole command has spent."""
    most: float | None = None
    """Its ceiling of cost."""


TellCalls = Callable[[], Calls]
"""Tells how the calls of a piece of work stand; called a few times a second, from a thread of its own."""


class Progress(Protocol):
    """Where long work reports its progress."""

    def bar(self, doing: str, tell_calls: TellCalls | None = None) -> AbstractContextManager[OnProgress]:
        """A progress bar for one piece of work, shown while the block runs; it yields what to call with the progress.

        Args:
            doing: what is done, the bar's label.
            tell_calls: tells how the calls of models stand, where the work makes any.
        """
        ...

    def log(self, line: str) -> None:
        """Print a line that stays.

        Args:
            line: the text, without markup.
        """
        ...


class NoProgress:
    """Progress that shows nothing, for tests and notebooks."""

    @contextmanager
    def bar(self, doing: str, tell_calls: TellCalls | None = None) -> Iterator[OnProgress]:
        """No bar.

        Args:
            doing: ignored.
            tell_calls: ignored.
        """
        yield lambda done, total: None

    def log(self, line: str) -> None:
        """No line.

        Args:
            line: ignored.
        """


class TerminalProgress:
    """Progress as Rich bars and tables; where the output is no terminal, as plain lines now and then.

    Args:
        console: where it is printed; standard output unless given.
    """

    def __init__(self, console: Console | None = None) -> None:
        from rich.console import Console

        self._console = console or Console(highlight=False)

    @contextmanager
    def bar(self, doing: str, tell_calls: TellCalls | None = None) -> Iterator[OnProgress]:
        """A bar that stays on the screen with its end state; yields what to call with the progress.

        Args:
            doing: what is done, the bar's label.
            tell_calls: tells how the calls of models stand; their table is below the bar until the work has ended.
        """
        if not self._console.is_terminal:
            yield from self._plain(doing, tell_calls)
            return
        bars = _bars(self._console)
        task = bars.add_task(visible(doing), total=None)

        def update(done: int, total: int) -> None:
            bars.update(task, completed=done, total=total)

        if tell_calls is None:
            with bars:
                yield update
            return
        from rich.live import Live

        shown = _CallTable(bars, Rates(tell_calls))
        with Live(get_renderable=shown.render, console=self._console, refresh_per_second=REFRESHES_A_SECOND):
            try:
                yield update
            finally:
                shown.has_ended = True

    def log(self, line: str) -> None:
        """Print a line as it is.

        Args:
            line: the text; no markup is read in it.
        """
        self._console.print(visible(line), markup=False, soft_wrap=True)

    def _plain(self, doing: str, tell_calls: TellCalls | None) -> Iterator[OnProgress]:
        last, said = [0, 0], time.monotonic()
        rates = Rates(tell_calls) if tell_calls is not None else None

        def keep(done: int, total: int) -> None:
            nonlocal said
            last[:] = [done, total]
            if rates is not None and time.monotonic() - said > PLAIN_SECONDS:
                said = time.monotonic()
                self.log(f"  {visible(doing)}: {_line(rates)}")

        yield keep
        found = f"{last[0]:,}" + (f" of {last[1]:,}" if last[0] != last[1] else "")
        self._console.print(f"  {visible(doing):<34} {found}", markup=False)


@final
class Rates:
    """How the calls of a piece of work stand, how fast each model answers, and how long it will take.

    Args:
        tell_calls: tells how they stand.
    """

    def __init__(self, tell_calls: TellCalls) -> None:
        self._tell = tell_calls
        self._seen: deque[tuple[float, dict[str, int]]] = deque()

    def look(self, now: float | None = None) -> tuple[Calls, dict[str, float], float | None]:
        """How calls stand, replies a second by model, and seconds to go; None where no rate is known yet.

        Args:
            now: the time, as of `time.monotonic`, which it is unless given.
        """
        now = time.monotonic() if now is None else now
        calls = self._tell()
        self._seen.append((now, {one.name: one.done for one in calls.models}))
        while len(self._seen) > 2 and now - self._seen[1][0] >= RATE_SECONDS:
            self._seen.popleft()
        then, before = self._seen[0]
        over = max(now - then, 1e-9)
        rates = {one.name: (one.done - before.get(one.name, 0)) / over for one in calls.models}
        return calls, rates, _left(calls, rates)


def _left(calls: Calls, rates: dict[str, float]) -> float | None:
    """Seconds to go: of the slowest model that answers, but no less than all calls take at the rate of all models."""
    if sum(rates.values()) <= 0:
        return None
    to_go = {one.name: max(0, one.expected - one.done) for one in calls.models}
    slowest = max((to_go[name] / rate for name, rate in rates.items() if rate > 0), default=0.0)
    return max(slowest, sum(to_go.values()) / sum(rates.values()))


def _bars(console: Console) -> Bars:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn

    columns = (
        SpinnerColumn(finished_text="✓"), TextColumn("{task.description:<34}", markup=False),
        BarColumn(bar_width=28), MofNCompleteColumn(),
        TimeRemainingColumn(elapsed_when_finished=True, compact=True),
    )  # fmt: skip
    return Progress(*columns, console=console)


@final
class _CallTable:
    """The bar of a piece of work, and below it the table of its calls until it has ended."""

    def __init__(self, bars: Bars, rates: Rates) -> None:
        self.has_ended = False
        self._bars = bars
        self._rates = rates

    def render(self) -> RenderableType:
        """What is shown now."""
        from rich.console import Group
        from rich.text import Text

        if self.has_ended:
            return self._bars
        calls, rates, left = self._rates.look()
        return Group(self._bars, _table(calls, rates, self._bars.console.width), Text(f"  {_outlook(calls, left)}"))


def _table(calls: Calls, rates: dict[str, float], width: int) -> RenderableType:
    from rich.table import Table
    from rich.text import Text

    shown = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False)
    left_over = width - sum(COLUMNS.values()) - len(COLUMNS) - 1
    shown.add_column("  model", no_wrap=True, overflow="ellipsis", max_width=max(8, left_over))
    for name, width in COLUMNS.items():
        shown.add_column(name, justify="right", no_wrap=True, min_width=width)
    for one in calls.models:
        shown.add_row(
            Text(f"  {visible(one.name)}"), f"{amount(one.done)}/{amount(one.expected)}", str(one.in_flight),
            f"{rates[one.name]:.1f}", amount(one.tokens), money(one.cost), f"{one.failed:,}", f"{one.throttled:,}",
        )  # fmt: skip
    return shown


def _outlook(calls: Calls, left: float | None) -> str:
    """Time to go and money spent, in a line."""
    parts = ["time left is not known yet" if left is None else f"{duration(left)} left of this"]
    if left is not None and calls.later:
        parts.append(f"about {duration(left + calls.later)} of all")
    if calls.spent or calls.most is not None:
        parts.append(f"{money(calls.spent)} spent" + (f" of {money(calls.most)}" if calls.most is not None else ""))
    return ", ".join(parts)


def _line(rates: Rates) -> str:
    """How the calls stand, in a line."""
    calls, speed, left = rates.look()
    each = [f"{visible(one.name)} {amount(one.done)}/{amount(one.expected)} at {speed[one.name]:.1f}/s"
            + (f", {one.failed:,} failed" if one.failed else "") for one in calls.models]  # fmt: skip
    return "; ".join([*each, _outlook(calls, left)])
