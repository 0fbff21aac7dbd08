"""A process that spark-submit started, as Glue starts a job's: the package is a zip on its path, and `s3://` is the
rehearsal's file system. It runs the functions that it is sent, so that many tests share one JVM.
"""

import importlib.resources
import io
import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from multiprocessing.connection import Client, Connection, Listener
from pathlib import Path
from typing import Any

import pyspark

from setup.rehearsal import process, spark

ROOT = Path(__file__).resolve().parents[1]
RESOURCES = ROOT / "code" / "resources"
PYSPARK = Path(pyspark.__file__).parent
SETTINGS = spark.SETTINGS | {
    "spark.serializer": "org.apache.spark.serializer.KryoSerializer",
    "spark.kryo.registrator": "is.hail.kryo.HailKryoRegistrator",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.host": "127.0.0.1",
    "spark.ui.enabled": "false",
}

_SECRET = "SUBMITTED_SECRET"  # noqa: S105 - the name of the variable that holds it
PATIENCE = 90  # seconds for Python to start below spark-submit


def jar(folder: Path) -> Path:
    """The rehearsal's file system for Spark."""
    return spark.jar(process.java_home(), PYSPARK, folder)


def package(folder: Path) -> Path:
    """The package as Glue is given it."""
    files = folder / "package"
    shutil.copytree(RESOURCES / "genomicslake", files / "genomicslake", ignore=shutil.ignore_patterns("__pycache__"))
    return Path(shutil.make_archive(str(folder / "genomicslake"), "zip", files))


def command(classes: Path, script: Path, *arguments: str, **settings: str) -> list[str]:
    """spark-submit for a script, with what Glue is told for the jobs; `settings` of Spark with `_` for their dots."""
    hail = importlib.resources.files("hail") / "backend" / "hail-all-spark.jar"
    class_path = {f"spark.{part}.extraClassPath": f"{hail}:{classes}" for part in ("driver", "executor")}
    asked = {"spark.master": "local[2]", "spark.driver.memory": "2g"} | class_path | SETTINGS
    asked |= {name.replace("_", "."): value for name, value in settings.items()}
    told = [part for name, value in asked.items() for part in ("--conf", f"{name}={value}")]
    return [str(PYSPARK / "bin" / "spark-submit"), *told, str(script), *arguments]


def environment(zipped: Path, credentials: Mapping[str, str]) -> dict[str, str]:
    """The environment of these tests with the package, and with a caller's credentials."""
    return os.environ | credentials | {"PYTHONPATH": str(zipped), "PYSPARK_PYTHON": sys.executable}


class Submitted:
    """The process, seen from the tests."""

    def __init__(self, connection: "Connection[Any, Any]") -> None:
        self._connection = connection
        self._asked = 0

    def run(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """What a function of a module below tests/ returns over there; its error is raised here."""
        self._asked += 1
        self._connection.send((self._asked, function, arguments))
        answered = None
        while answered != self._asked:  # a test that ran out of patience has left its answer
            answered, result, error = self._connection.recv()
        if error:
            raise error
        return result


@dataclass(frozen=True)
class Ran:
    """What a job said, and its error."""

    told: str
    error: str | None


def job(script: str, arguments: Sequence[str]) -> Ran:
    """Run a job over there: `vcf_to_parquet` or `clinvar_to_parquet`."""
    from genomicslake.errors import LakeError

    told = io.StringIO()
    try:
        with redirect_stdout(told):
            getattr(importlib.import_module(script), script)(arguments)
    except LakeError as error:
        return Ran(told.getvalue(), str(error))
    return Ran(told.getvalue(), None)


@contextmanager
def submitted(classes: Path, zipped: Path, credentials: Mapping[str, str], log: Path) -> Iterator[Submitted]:
    """Start one, and end it; `log` gets what it prints."""
    secret = secrets.token_hex()
    given = environment(zipped, credentials) | {_SECRET: secret}
    tests = (ROOT, ROOT / "tests", RESOURCES / "scripts")
    given["PYTHONPATH"] = os.pathsep.join([given["PYTHONPATH"], *map(str, tests)])
    with Listener(("127.0.0.1", 0), authkey=secret.encode()) as listener, log.open("wb") as output:
        port = str(listener.address[1])
        started = subprocess.Popen(
            command(classes, Path(__file__), port), env=given, stdout=output, stderr=subprocess.STDOUT
        )
        listener._listener._socket.settimeout(PATIENCE)  # type: ignore[attr-defined]
        try:
            with listener.accept() as connection:
                yield Submitted(connection)
        except TimeoutError as error:
            raise AssertionError(log.read_text()) from error
        finally:
            started.terminate()
            started.wait()


def _serve(port: str) -> None:
    with Client(("127.0.0.1", int(port)), authkey=os.environ.pop(_SECRET).encode()) as connection:
        while True:
            try:
                asked, function, arguments = connection.recv()
            except EOFError:
                return
            try:
                connection.send((asked, function(*arguments), None))
            except Exception as error:
                connection.send((asked, None, error))


if __name__ == "__main__":
    _serve(sys.argv[1])
