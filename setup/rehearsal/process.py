"""The emulated AWS as a process of this machine: start it, find it, stop it."""

import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import boto3
from botocore.config import Config

from setup import names
from setup.errors import SetupError

HOME = names.BUILD / "rehearsal"
PYTHON = names.ROOT / ".venv-emulator" / "bin" / "python"
REGION = "us-east-1"
ACCOUNT = "123456789012"
ADMINISTRATOR = "administrator"
APPLICATION = "rehearsal"  # how the emulated AWS's own calls are told from others with the same key
PATIENCE = 60  # seconds to start, and to stop
_STATE = "running.json"
_PROFILES = ("AWS_PROFILE", "AWS_DEFAULT_PROFILE")


@dataclass(frozen=True)
class Emulator:
    """A running one: its folder, its process, and what a client needs to reach it as the launching user, an
    administrator of the account. The account's root is the emulator itself, and nobody else has its key.
    """

    home: str
    process: int
    endpoint: str
    access_key: str
    secret_key: str

    @property
    def environment(self) -> dict[str, str]:
        """The standard variables that lead AWS's clients to it."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_CA_BUNDLE": str(certificate(self.home)),
            "AWS_SDK_UA_APP_ID": "launching-user",  # tells these calls from those of whoever else had the key
        }


def find(home: Path = HOME) -> Emulator | None:
    """The one that was started in a folder, if it still runs."""
    try:
        emulator = Emulator(**json.loads((home / _STATE).read_text(encoding="utf-8")))
        os.kill(emulator.process, 0)
    except (FileNotFoundError, ProcessLookupError):
        return None
    return emulator if _answers(emulator.endpoint) else None


def start(home: Path = HOME) -> Emulator:
    """Start one in an empty folder. Raises SetupError with the end of its log if it does not answer."""
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    root = f"AKIA{secrets.token_hex(8).upper()}", secrets.token_hex(20)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")} | {
        "AWS_ACCESS_KEY_ID": root[0],
        "AWS_SECRET_ACCESS_KEY": root[1],
        "GATEWAY_PORT": str(port),
        "MINISTACK_ACCOUNT_ID": ACCOUNT,
        "MINISTACK_REGION": REGION,
        "PYTHONPATH": str(names.ROOT),
        "REHEARSAL_HOME": str(home),
        "REHEARSAL_JAVA_HOME": str(java_home()),
        "REHEARSAL_PYTHON": sys.executable,
    }
    log = home / "emulator.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [str(PYTHON), "-m", "setup.rehearsal.server"],
            env=environment,
            cwd=home,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    endpoint = f"https://127.0.0.1:{port}"
    deadline = time.monotonic() + PATIENCE
    while not _answers(endpoint):
        if process.poll() is not None or time.monotonic() > deadline:
            process.kill()
            told = log.read_text(encoding="utf-8", errors="replace")[-2000:]
            raise SetupError(f"the emulated AWS did not start; the end of {log}:\n{told}")
        time.sleep(0.1)
    emulator = Emulator(str(home), process.pid, endpoint, *_administrator(endpoint, certificate(home), root))
    state = home / _STATE
    state.touch(mode=0o600)
    state.write_text(json.dumps(asdict(emulator)), encoding="utf-8")
    return emulator


def stop(emulator: Emulator) -> None:
    """End the process and all that it started."""
    for how in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(emulator.process, how)
            deadline = time.monotonic() + PATIENCE / 4
            while time.monotonic() < deadline:
                _reap(emulator.process)
                os.killpg(emulator.process, 0)
                time.sleep(0.1)
        except ProcessLookupError:
            break
    Path(emulator.home, _STATE).unlink(missing_ok=True)


def certificate(home: Path | str) -> Path:
    """What a client trusts the endpoint by."""
    return Path(home, "tls", "certificate.pem")


def _administrator(endpoint: str, trusted: Path, root: tuple[str, str]) -> tuple[str, str]:
    """The access key of a new user who may do everything: who launches solutions in an account is not its root."""
    hidden = {name: os.environ.pop(name) for name in _PROFILES if name in os.environ}  # of somebody's AWS
    try:
        session = boto3.Session(*root, region_name=REGION)
        named = Config(user_agent_appid=APPLICATION)
        iam = session.client("iam", endpoint_url=endpoint, verify=str(trusted), config=named)
    finally:
        os.environ.update(hidden)
    iam.create_user(UserName=ADMINISTRATOR)
    iam.attach_user_policy(UserName=ADMINISTRATOR, PolicyArn="arn:aws:iam::aws:policy/AdministratorAccess")
    key = iam.create_access_key(UserName=ADMINISTRATOR)["AccessKey"]
    return key["AccessKeyId"], key["SecretAccessKey"]


def java_home() -> Path:
    """The folder of the Java that setup.sh chose. Raises SetupError where there is none."""
    if "JAVA_HOME" in os.environ:
        return Path(os.environ["JAVA_HOME"])
    java = shutil.which("java")
    if not java:
        raise SetupError("there is no Java; call ./setup.sh, which brings one")
    return Path(java).resolve().parents[1]


def _reap(process: int) -> None:
    try:
        os.waitpid(process, os.WNOHANG)
    except ChildProcessError:  # another process started it
        return


def _answers(endpoint: str) -> bool:
    host, port = endpoint.removeprefix("https://").split(":")
    try:
        socket.create_connection((host, int(port)), timeout=1).close()
    except OSError:
        return False
    return True
