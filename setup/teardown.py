"""`./setup.sh teardown`: everything that deploy made, in reverse. What is gone already is passed over, so a run after a
failure goes on from where that one stood.
"""

import json
import re
import time
from typing import Any

import boto3
from rich.console import Console

from setup import buckets, metrics, preflight
from setup.catalog import Catalog
from setup.errors import SetupError
from setup.pipeline import Pipeline
from setup.progress import Doing, Steps
from setup.settings import Settings
from setup.stacks import Stack

STEPS = 5
POLL = 2  # seconds
PATIENCE = 15 * 60  # seconds for a crawler to stop
TRIES = 4  # a bucket that is written to while it is deleted is emptied again
_NOTEBOOKS = "/aws/sagemaker/NotebookInstances"
_KEPT = {"DataLakeBucket", "LogsBucket"}  # with OnDelete: KeepData, as pipe_cfn.yml has it


def run(session: boto3.Session, settings: Settings, console: Console) -> None:
    """Delete all of it, but what OnDelete keeps; that is named. Raises SetupError."""
    steps = Steps(console, STEPS)
    zone, pipe, code = (Stack(session, f"{settings.project}{part}") for part in ("Zone", "Pipe", "Code"))
    in_pipe, in_zone = pipe.resources(), zone.resources()
    keeps = settings.on_delete == "KeepData"
    if other := preflight.another_deployment(zone, settings):
        console.print(
            f"{zone.name}, {pipe.name} and {code.name} are of deployment {other}, not of this one: left alone"
        )
        return
    with steps.step("what runs") as step:
        if "Pipeline" in in_pipe:
            Pipeline(session, in_pipe["Pipeline"]).stop(step.doing)
        _stop_jobs_and_crawlers(session, code, step.doing)
        step.made = "pipeline, jobs and crawlers stand still"
    catalog = Catalog(session, settings)
    with steps.step("code stack") as step:
        before = catalog.to_record(step.doing, manages=False)
        catalog.record(before, step.doing)
        code.delete(step.doing)
        step.made = f"{code.name} is gone{catalog.put_back(before)}"
    with steps.step("pipe stack") as step:
        holds = {name: bucket for name, bucket in in_pipe.items() if name.endswith("Bucket")}
        going = [bucket for name, bucket in holds.items() if not (keeps and name in _KEPT)]
        stays = [f"s3://{bucket}" for bucket in holds.values() if bucket not in going]
        if keeps:
            # told first: a stack whose deletion failed may not know any more what it let go
            step.doing(f"{', '.join([*stays, 'the key'])} stay, as OnDelete says")
        _delete_with_buckets(session, pipe, holds, going, step.doing)
        step.made = f"{pipe.name} is gone, with {len(going)} buckets{_kept(stays)}"
    with steps.step("zone stack") as step:
        encrypts = catalog.keep_key(step.doing)
        stays = []
        if "DataKey" in in_zone and zone.parameters().get("OnDelete") == "KeepData":
            stays = [f"KMS key {zone.outputs().get('DataKeyArn', in_zone['DataKey'])}"]
        zone.delete(step.doing)
        step.made = f"{zone.name} is gone{_kept(stays)}{encrypts}"
    with steps.step("logs") as step:
        step.made = f"{_delete_log_groups(session, settings)} log groups deleted"
    if settings.anonymous_metrics == "Yes" and json.loads(settings.request or "{}"):
        console.print(metrics.send("delete", settings.deployment_id, session.region_name))


def _kept(things: list[str]) -> str:
    return f"; kept, as OnDelete says: {', '.join(things)}" if things else ""


def _stop_jobs_and_crawlers(session: boto3.Session, code: Stack, doing: Doing) -> None:
    """Those of the code stack, also what users added to it; nobody else's."""
    client = session.client("glue")
    for job in code.physical_ids("AWS::Glue::Job"):
        try:
            runs = client.get_job_runs(JobName=job, MaxResults=50)["JobRuns"]
        except client.exceptions.EntityNotFoundException:
            continue  # somebody deleted it by hand
        running = [run["Id"] for run in runs if run["JobRunState"] in ("STARTING", "RUNNING", "WAITING")]
        if running:
            doing(f"stopping {job}")
            client.batch_stop_job_run(JobName=job, JobRunIds=running)
    deadline = time.monotonic() + PATIENCE
    for crawler in code.physical_ids("AWS::Glue::Crawler"):
        while (state := _state(client, crawler)) != "READY" and time.monotonic() < deadline:
            doing(f"{crawler} is {state.lower()}")
            try:
                client.stop_crawler(Name=crawler)
            except (client.exceptions.CrawlerNotRunningException, client.exceptions.CrawlerStoppingException):
                time.sleep(POLL)


def _state(client: Any, crawler: str) -> str:
    """A crawler's state; one that somebody deleted by hand is ready to go."""
    try:
        return str(client.get_crawler(Name=crawler)["Crawler"]["State"])
    except client.exceptions.EntityNotFoundException:
        return "READY"


def _delete_with_buckets(
    session: boto3.Session, stack: Stack, holds: dict[str, str], going: list[str], doing: Doing
) -> None:
    """Delete the stack of the buckets; each is empty first, and no access logs come after that."""
    for bucket in holds.values():
        buckets.stop_logging(session, bucket)
    for attempt in range(TRIES):
        for bucket in going:
            buckets.empty(session, bucket, doing)
        try:
            stack.delete(doing)
            return
        except SetupError as error:
            if attempt + 1 == TRIES:
                raise
            doing(f"again, for {error}")


def _delete_log_groups(session: boto3.Session, settings: Settings) -> int:
    """Glue makes log groups by itself, under names with the project's in them."""
    client = session.client("logs")
    pages = client.get_paginator("describe_log_groups").paginate(logGroupNamePrefix="/aws-glue/")
    # /aws-glue/PREFIX/…, and those that Glue names after a role and a security configuration; SetupRole may no others
    of_ours = re.compile(
        rf"/aws-glue/({settings.prefix}/|jobs-{settings.project}JobRole-|crawlers-role/(.+/)?{settings.project}CrawlerRole-)"
    )
    groups = [group["logGroupName"] for page in pages for group in page["logGroups"]]
    ours = [group for group in groups if of_ours.search(group)]
    if _delete_notebook_logs(client, settings.prefix):
        ours.append(_NOTEBOOKS)
    for group in ours:
        client.delete_log_group(logGroupName=group)
    return len(ours)


def _delete_notebook_logs(client: Any, prefix: str) -> bool:
    """The notebook's log streams, in the group that all notebooks of the account share; whether that is empty now."""
    try:
        pages = list(client.get_paginator("describe_log_streams").paginate(logGroupName=_NOTEBOOKS))
    except client.exceptions.ResourceNotFoundException:
        return False
    streams = [stream["logStreamName"] for page in pages for stream in page["logStreams"]]
    ours = [stream for stream in streams if stream.startswith(f"{prefix}-")]
    for stream in ours:
        client.delete_log_stream(logGroupName=_NOTEBOOKS, logStreamName=stream)
    return bool(ours) and len(ours) == len(streams)
