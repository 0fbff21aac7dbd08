"""Progress on the console: a line a step, with what the step made and how long it took.

On a terminal the line under way shows what the step is at; elsewhere, in a build's log, each change is a line.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from rich.console import Console
from rich.markup import escape
from rich.status import Status

Doing = Callable[[str], None]  # shows what a step is at
BAR = 60  # characters


@dataclass
class Step:
    """A step while it runs."""

    title: str
    status: Status
    made: str = ""
    last: str = ""

    def doing(self, what: str) -> None:
        """Show what the step is at."""
        if what == self.last:
            return
        self.last = what
        self.status.update(f"{self.title}: {escape(what)}")
        if not self.status.console.is_terminal:
            self.status.console.print(f"  {escape(what)}", highlight=False, soft_wrap=True)


class Steps:
    """The steps of one command, numbered."""

    def __init__(self, console: Console, count: int) -> None:
        self.console = console
        self._count = count
        self._done = 0
        self._begun = time.monotonic()
        self.times: list[tuple[str, float, float]] = []  # titles, and seconds from the first step's begin to their own

    @contextmanager
    def step(self, title: str) -> Iterator[Step]:
        """A step; once it is done, a line says what it `made`. A step that fails leaves no line."""
        self._done += 1
        title = f"{self._done}/{self._count} {title}"
        started = time.monotonic()
        with self.console.status(title) as status:
            step = Step(title, status)
            if not self.console.is_terminal:
                self.console.print(f"{title} …", highlight=False, soft_wrap=True)
            yield step
        ended = time.monotonic()
        self.times.append((title, started - self._begun, ended - self._begun))
        made = f"[green]✓[/] {title}: {escape(step.made)} [dim]({ended - started:.1f} s)[/]"
        self.console.print(made, highlight=False, soft_wrap=True)

    def time_line(self) -> str:
        """When each step that is done began, how long it took, and a bar from its begin to its end; a line each."""
        whole = max((end for *_, end in self.times), default=0.0)
        longest = max((len(title) for title, *_ in self.times), default=0)
        lines = ["time line"]
        for title, begin, end in self.times:
            first, last = (round(at / whole * BAR) for at in (begin, end))
            bar = " " * min(first, BAR - 1) + "█" * max(1, last - first)
            lines.append(f"{title:<{longest}}  {_clock(begin)}  {end - begin:7.1f} s  {bar}")
        return "\n".join([*lines, f"{'in all':<{longest}}  {'':5}  {whole:7.1f} s"])


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 60:02}:{int(seconds) % 60:02}"
