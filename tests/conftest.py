"""Fixtures: AWS on this machine for a module of tests; and one launched solution for tests/rehearsal.py and
tests/faults.py together.
"""

import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass

import boto3
import pytest
from rich.console import Console

from setup import demonstration, names, publish
from setup.progress import Steps
from setup.rehearsal import process, remains
from tests import solution
from tests.emulator import emulator

__all__ = ["emulator"]

# Jobs of a few seconds: what only pays in long ones costs them a quarter of their CPU.
os.environ.setdefault("SPARK_SUBMIT_OPTS", "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC")


@pytest.fixture(autouse=True)
def patience(request: pytest.FixtureRequest) -> Iterator[None]:
    """A test that does not end within the seconds of its mark fails; what is raised here, no job catches."""
    mark = request.node.get_closest_marker("patience")
    if not mark:
        yield
        return
    seconds = mark.args[0]

    def end(*_: object) -> None:
        pytest.fail(f"this did not end within {seconds} s")

    before = signal.signal(signal.SIGALRM, end)
    signal.alarm(seconds)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture(scope="session")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[boto3.Session]:
    """The launching user's, in an AWS of its own that has the published solution and nothing else."""
    made = demonstration.make(Steps(Console(), demonstration.STEPS))
    emulator = process.start(tmp_path_factory.mktemp("rehearsal") / "home")
    before = dict(os.environ)
    os.environ.update(emulator.environment)
    session = boto3.Session(region_name=process.REGION)
    session.client("s3").create_bucket(Bucket=solution.BUCKET)
    publish.publish(session, solution.BUCKET, solution.PREFIX, made, print)
    yield session
    os.environ.clear()
    os.environ.update(before)
    process.stop(emulator)


@dataclass(frozen=True)
class Launch:
    """A solution that was launched, and what stood right after that."""

    session: boto3.Session
    things: list[str]
    keys: list[str]  # of the data lake


@pytest.fixture(scope="session")
def launch(session: boto3.Session) -> Launch:
    """The root stack, created with the AWS CLI; it keeps the data when it is deleted. Somebody encrypts the passwords
    of the catalog's connections.
    """
    solution.put_catalog_encryption(session, solution.PASSWORDS)
    parameters = ("--parameters", "ParameterKey=OnDelete,ParameterValue=KeepData")
    solution.aws("cloudformation", "create-stack", *solution.root(solution.STACK, solution.PREFIX), *parameters)
    assert solution.ended(session, solution.STACK) == "CREATE_COMPLETE", solution.reasons(session, solution.STACK)
    return Launch(session, remains.things(session), solution.lake_keys(session, names.PROJECT))


@pytest.fixture(scope="session")
def launched(launch: Launch) -> boto3.Session:
    """The launching user's session, with the solution launched."""
    return launch.session
