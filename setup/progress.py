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
        made = f"[green]✓[/] {title}: {escape(step.made)} [dim]({time.monotonic() - started:.1f} s)[/]"
        self.console.print(made, highlight=False, soft_wrap=True)
