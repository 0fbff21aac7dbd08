"""The shells of a build: its commands really run, in process groups that end with the build, or with the rehearsal."""

import os
import signal
import subprocess
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

_SHELLS = {"sh": ["/bin/bash", "--posix"], "bash": ["/bin/bash"]}  # Amazon Linux's sh is bash
_PATIENCE = 5.0  # seconds for output that is still on its way when a shell has ended

# Runs the files N.command of a folder one after the other in one shell, so that variables and the working directory
# persist. Whatever ends it, the folder then holds the environment, the working directory and the command's number.
_DRIVER = r"""
__folder=$1
trap '__status=$?; /usr/bin/env -0 >"$__folder/environment"; pwd >"$__folder/directory"; exit $__status' EXIT
for __number in $(seq "$2" "$3"); do
  echo "$__number" >"$__folder/number"
  __command=$(cat "$__folder/$__number.command"; echo .)
  printf '[Container] %(%Y/%m/%d %H:%M:%S)T Running command %s\n' -1 "${__command%.}"
  eval "${__command%.}"
  __status=$?
  if [ "$__status" -ne 0 ]; then exit "$__status"; fi
done
"""
# Ends a process group when the rehearsal's process is gone, however it ended.
_WATCH = 'read -r nothing; kill -KILL -- "-$0"'


class CommandFailedError(Exception):
    """A command of a build ended with a status that is not 0."""

    def __init__(self, command: str, status: int) -> None:
        super().__init__(f"Error while executing command: {command}. Reason: exit status {status}")


class StoppedError(Exception):
    """The build was stopped, or its time is over."""


class Shell:
    """Runs commands; its environment and working directory are what the last ones left behind."""

    def __init__(self, folder: Path, directory: Path) -> None:
        """Its own files are in `folder`, it begins in `directory`."""
        self.name = "sh"  # or bash
        self.environment: dict[str, str] = {}
        self._folder = folder
        self._directory = directory
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._stopped = False

    def run(self, commands: Sequence[str], tell: Callable[[str], None]) -> None:
        """Run commands in one shell; `tell` takes their output, line by line.

        Variables that are not exported last until the end of these commands. A command that exits with 0 ends
        alone. Raises CommandFailedError, StoppedError.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        for number, command in enumerate(commands):
            (self._folder / f"{number}.command").write_text(command, encoding="utf-8")
        first, last = 0, len(commands) - 1
        while first <= last:
            (self._folder / "directory").unlink(missing_ok=True)
            status = self._run([str(self._folder), str(first), str(last)], tell)
            at = int((self._folder / "number").read_text(encoding="utf-8"))
            self._carry()
            if status:
                raise CommandFailedError(commands[at], status)
            first = at + 1

    def stop(self) -> None:
        """End what runs, now and later."""
        with self._lock:
            self._stopped = True
            if self._process:
                _kill(self._process.pid)

    def _run(self, arguments: list[str], tell: Callable[[str], None]) -> int:
        with self._lock:
            if self._stopped:
                raise StoppedError
            process = self._process = subprocess.Popen(
                [*_SHELLS[self.name], "-c", _DRIVER, self.name, *arguments],
                cwd=self._directory,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        # the watch lives in a group of its own, and reads a pipe that nobody writes to
        watch = subprocess.Popen(
            ["/bin/bash", "-c", _WATCH, str(process.pid)], env={}, stdin=subprocess.PIPE, start_new_session=True
        )
        reader = threading.Thread(target=_read, args=(process, tell), daemon=True)
        reader.start()
        status = process.wait()
        with self._lock:
            self._process = None
            _kill(process.pid)  # a container leaves no process behind
        watch.kill()
        watch.communicate()
        reader.join(_PATIENCE)
        if self._stopped:
            raise StoppedError
        return status if status >= 0 else 128 - status

    def _carry(self) -> None:
        """Take over the environment and the working directory that the shell left, if it could."""
        if not (self._folder / "directory").exists():
            return
        left = (self._folder / "environment").read_bytes().split(b"\0")
        pairs = (os.fsdecode(pair).partition("=") for pair in left if pair)
        self.environment = {name: value for name, _, value in pairs if name not in ("_", "SHLVL", "PWD", "OLDPWD")}
        self._directory = Path((self._folder / "directory").read_text(encoding="utf-8").rstrip("\n"))


def _read(process: "subprocess.Popen[bytes]", tell: Callable[[str], None]) -> None:
    for line in process.stdout or ():
        tell(line.decode("utf-8", "replace").rstrip("\r\n"))


def _kill(group: int) -> None:
    try:
        os.killpg(group, signal.SIGKILL)
    except ProcessLookupError:
        return
