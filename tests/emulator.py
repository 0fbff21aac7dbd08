"""Fixtures: AWS on this machine, started anew for a module of tests."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from setup.rehearsal import process
from setup.rehearsal.process import Emulator


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """A running one, of its own; the standard variables of this process lead to it as the launching user."""
    started = process.start(tmp_path_factory.mktemp("rehearsal") / "home")
    before = dict(os.environ)
    os.environ.update(started.environment)
    boto3.setup_default_session()  # the one that is there may have the credentials of another
    yield started
    os.environ.clear()
    os.environ.update(before)
    process.stop(started)


def client(emulator: Emulator, service: str, **credentials: str) -> Any:
    """A boto3 client of the launching user, or with the credentials of another."""
    chosen = credentials or {"aws_access_key_id": emulator.access_key, "aws_secret_access_key": emulator.secret_key}
    certificate = str(Path(emulator.home, "tls", "certificate.pem"))
    return boto3.client(
        service, region_name=process.REGION, endpoint_url=emulator.endpoint, verify=certificate, **chosen
    )
