"""What a build finds on its machine: the tools on its PATH, and the way to packages that the starting user has."""

import os
import shlex
import shutil
import stat
import subprocess
import sys
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path

from setup.rehearsal import extend

SYSTEM_PATH = "/usr/local/bin:/usr/bin:/bin"
_making = threading.Lock()


def path(folder: Path, runtimes: Iterable[str]) -> str:
    """The PATH of a build: `aws`, what its runtimes bring (into `folder`), the machine's own programs.

    The runtime python is a virtual environment of the build, so that what it installs ends with it.
    """
    folders = [_aws()]
    if "python" in runtimes:
        folders.insert(0, _python(folder / "python"))
    return ":".join([*map(str, folders), SYSTEM_PATH])


def of_user(user: Mapping[str, str]) -> dict[str, str]:
    """What a build takes over from the starting user: how packages are reached. Nothing of AWS."""
    taken = {
        name: value
        for name, value in user.items()
        if name.startswith("PIP_")
        or name in ("CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "SSL_CERT_DIR")
        or name.lower() in ("all_proxy", "http_proxy", "https_proxy", "no_proxy")
    }
    if certificates := user.get("REHEARSAL_SSL_CERT_FILE"):  # the server has its own SSL_CERT_FILE
        taken["SSL_CERT_FILE"] = certificates
    home = Path(user.get("HOME", "/nonexistent"))
    settings = [Path(user.get("XDG_CONFIG_HOME", home / ".config"), "pip", "pip.conf"), home / ".pip" / "pip.conf"]
    if found := [path for path in settings if path.is_file()]:
        taken.setdefault("PIP_CONFIG_FILE", str(found[0]))
    taken.setdefault("PIP_CACHE_DIR", str(Path(user.get("XDG_CACHE_HOME", home / ".cache"), "pip")))
    for name in ("NO_PROXY", "no_proxy"):  # the rehearsal itself is never behind a proxy
        taken[name] = ",".join(filter(None, [taken.get(name), "127.0.0.1", "localhost"]))
    return taken


def _aws() -> Path:
    """The folder with the AWS CLI, which runs with this process's Python."""
    folder = extend.HOME / "tools" / "aws"
    with _making:
        if not (folder / "aws").exists():
            folder.mkdir(parents=True, exist_ok=True)
            _script(folder / "aws", [sys.executable, "-I", "-m", "awscli"])
    return folder


def _python(folder: Path) -> Path:
    """The folder with python, python3, python3.11 and pip of a new virtual environment."""
    template = extend.HOME / "tools" / "python"
    with _making:  # a copy takes a tenth of the time of making it anew
        if not template.exists():
            base = _output([str(extend.PYTHON), "-c", "import sys; print(sys._base_executable)"])
            aside = template.with_name("python.new")
            shutil.rmtree(aside, ignore_errors=True)
            _output([base, "-m", "venv", str(aside)])
            aside.rename(template)
    shutil.copytree(template, folder, symlinks=True)
    for name in ("pip", "pip3", "pip3.11"):  # the template's name the template
        _script(folder / "bin" / name, [str(folder / "bin" / "python"), "-m", "pip"])
    return folder / "bin"


def _script(file: Path, command: list[str]) -> None:
    file.write_text(f'#!/bin/sh\nexec {shlex.join(command)} "$@"\n', encoding="utf-8")
    file.chmod(file.stat().st_mode | stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH)


def _output(command: list[str]) -> str:
    environment = {"PATH": SYSTEM_PATH, "HOME": os.environ.get("HOME", "/")}
    return subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout.strip()
