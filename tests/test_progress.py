"""The time line of steps."""

import io
import re
import time

import pytest
from rich.console import Console

from setup.progress import BAR, Steps


def test_the_time_line() -> None:
    steps = Steps(Console(file=io.StringIO(), width=160), 2)
    for title, seconds in (("first", 0.1), ("second", 0.3)):
        with steps.step(title):
            time.sleep(seconds)
    (_, begin, end), (_, next_begin, next_end) = steps.times
    assert begin < end <= next_begin < next_end
    head, one, other, whole = steps.time_line().splitlines()
    assert (head, one.split()[:3], other.split()[:3]) == (
        "time line",
        ["1/2", "first", "00:00"],
        ["2/2", "second", "00:00"],
    )
    bars = [re.search(r"s  ( *)(█+)$", line) for line in (one, other)]
    assert bars[0]
    assert bars[1]
    assert len(bars[0][1]) == 0
    assert len(bars[0][2]) < len(bars[1][2])
    assert len(bars[0][2]) - 1 <= len(bars[1][1]) <= len(bars[0][2]) + 1
    assert len(bars[1][1]) + len(bars[1][2]) == BAR
    assert f"{next_end:.1f} s" in whole


def test_a_step_that_fails_is_not_in_it() -> None:
    steps = Steps(Console(file=io.StringIO()), 1)
    with pytest.raises(ValueError, match="no"), steps.step("first"):
        raise ValueError("no")
    assert steps.times == []
    assert [line.split() for line in steps.time_line().splitlines()[1:]] == [["in", "all", "0.0", "s"]]
