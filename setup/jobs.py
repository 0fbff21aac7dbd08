"""Running the Glue jobs' scripts on this machine, each in a process of its own, as Glue would."""

import os
import re
import subprocess
import sys
from collections.abc import Sequence

from rich.markup import escape

from setup import names
from setup.errors import SetupError
from setup.progress import Step

_STAMP = re.compile(r"^\d\d:\d\d:\d\d ")


def run(script: str, arguments: Sequence[str], step: Step) -> None:
    """Run a job; its lines show as the step's progress. Raises SetupError with the job's own words."""
    command = [sys.executable, str(names.SCRIPTS / script), *arguments, "--code_commit", commit()]
    environment = os.environ | {"PYTHONUNBUFFERED": "1", "SPARK_LOCAL_IP": "127.0.0.1"}
    last = "nothing to do"
    told: list[str] = []
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
    ) as process:
        for line in process.stdout or ():
            told.append(line.rstrip())
            if _STAMP.match(line):
                last = _STAMP.sub("", line).strip()
                step.doing(last)
                if last.startswith("warning: "):
                    step.status.console.print(f"[yellow]{escape(last)}[/]", soft_wrap=True)
    if process.returncode:
        starts = [number for number, line in enumerate(told) if line.startswith("error: ")]
        raise SetupError("\n".join(told[starts[-1] :] if starts else told[-30:]).removeprefix("error: "))
    step.made = last


def commit() -> str:
    """The commit of this checkout, with `-dirty` where files differ from it; `unknown` outside git."""
    try:
        described = subprocess.run(
            ["git", "-C", str(names.ROOT), "describe", "--always", "--dirty", "--abbrev=12"],  # noqa: S607 - git as the PATH has it
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return described.stdout.strip()
