"""A contender's process: `python -m benchmarks.MODULE NAME INPUT FOLDER TIMES` runs it so many times, into a new folder
each, and prints the seconds of each time in a last line of JSON. One that is slow runs twice.
"""

import json
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

ENOUGH = 60  # seconds

Contender = Callable[[Path, Path], None]  # an input, and a folder that is there


def main(contenders: Mapping[str, Contender]) -> None:
    """Do what the command line asks for."""
    name, path, folder, times = sys.argv[1:]
    seconds: list[float] = []
    for turn in range(int(times)):
        if turn > 1 and sum(seconds) > ENOUGH:
            break
        output = Path(folder, str(turn))
        output.mkdir(parents=True)
        start = time.perf_counter()
        contenders[name](Path(path), output)
        seconds.append(time.perf_counter() - start)
    print(f"\n{json.dumps(seconds)}")
