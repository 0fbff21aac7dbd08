"""A function that runs many times, each time in a process that may kill itself: forked from one that has imported all
that is needed, which is what takes long.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]


@contextmanager
def forks(module: str) -> Iterator[Callable[..., int | None]]:
    """What runs the function that a module serves: with its arguments, to its result, or None where it was killed."""
    environment = os.environ | {"PYTHONPATH": f"{ROOT}:{ROOT / 'code' / 'resources'}"}
    with subprocess.Popen(
        [sys.executable, "-m", module],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as server:

        def run(*arguments: Any) -> int | None:
            assert server.stdin
            assert server.stdout
            print(json.dumps(arguments), file=server.stdin, flush=True)
            code, result = json.loads(server.stdout.readline())
            if code == -signal.SIGKILL:
                return None
            assert code == 0
            return int(result)

        yield run


def serve(function: Callable[..., int]) -> None:
    """Run a function for each line of the standard input, which has its arguments as JSON."""
    answers = os.fdopen(os.dup(1), "w")  # what runs may print, too
    os.dup2(2, 1)
    for line in sys.stdin:
        ours, theirs = os.pipe()
        child = os.fork()
        if not child:
            os.write(theirs, str(function(*json.loads(line))).encode())
            os._exit(0)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        os.close(theirs)
        with os.fdopen(ours) as result:
            print(json.dumps([code, result.read()]), file=answers, flush=True)
