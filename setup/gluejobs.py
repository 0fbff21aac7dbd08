"""Running a deployed Glue job and waiting for its end."""

import time
from collections.abc import Callable, Mapping
from typing import Any

import boto3

from setup.errors import SetupError

POLL = 2  # seconds
_GOES_ON = ("STARTING", "RUNNING", "STOPPING", "WAITING")


def run(session: boto3.Session, job: str, arguments: Mapping[str, str], doing: Callable[[str], None]) -> dict[str, Any]:
    """Start a job with arguments that override its own, wait; its run as GetJobRun tells it.

    Raises SetupError with the run's own message if it ends in another way than SUCCEEDED.
    """
    client = session.client("glue")
    started = time.monotonic()
    name = client.start_job_run(JobName=job, Arguments=dict(arguments))["JobRunId"]
    while True:
        told: dict[str, Any] = client.get_job_run(JobName=job, RunId=name)["JobRun"]
        if told["JobRunState"] not in _GOES_ON:
            break
        doing(f"{job} {told['JobRunState'].lower()}, {time.monotonic() - started:.0f} s")
        time.sleep(POLL)
    if told["JobRunState"] != "SUCCEEDED":
        message = told.get("ErrorMessage") or "it left no message"
        raise SetupError(
            f"Glue job {job}, run {name}: {told['JobRunState']}: {message}\n"
            f"Its log: CloudWatch, group {told.get('LogGroupName', '/aws-glue/jobs')}, stream {name}."
        )
    return told
