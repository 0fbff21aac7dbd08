"""`./setup.sh deploy`: zone, pipe, and through the pipeline code; data, crawlers. Every step looks before it acts, so
a run after a failure goes on from where that one stood.
"""

import json
from typing import Any

import boto3
from rich.console import Console

from setup import catalog, crawlers, data, metrics, names, pipeline, preflight
from setup.errors import SetupError
from setup.pipeline import Pipeline
from setup.progress import Steps
from setup.repositories import Repository, Seeded, files_of
from setup.settings import Settings
from setup.stacks import Stack

STEPS = 8


def run(session: boto3.Session, settings: Settings, console: Console) -> None:
    """Make all of it stand, and say what stands. Raises SetupError."""
    steps = Steps(console, STEPS)
    zone, pipe, code = (Stack(session, f"{settings.project}{part}") for part in ("Zone", "Pipe", "Code"))
    with steps.step("preflight") as step:
        encryption = preflight.check(session, settings, step.doing)
        step.made = f"nothing stands in the way in {session.region_name}"
    if encryption.warning:
        console.print(f"[yellow]warning:[/] {encryption.warning}", soft_wrap=True)
    with steps.step("landing zone") as step:
        common = {"Project": settings.project, "Prefix": settings.prefix, "OnDelete": settings.on_delete}
        template = (names.ROOT / "zone" / "zone_cfn.yml").read_text(encoding="utf-8")
        # a build that was started by hand leaves it as it is
        deployment = settings.deployment_id or (zone.outputs().get("DeploymentId", "") if zone.status() else "")
        # recorded before the code stack changes it
        of_zone = {
            "OwnKeyArn": settings.own_key_arn,
            "DeploymentId": deployment,
            catalog.RECORD: encryption.before,
        }
        changed = zone.deploy(template, common | of_zone, step.doing)
        step.made = _made(zone, changed)
    with steps.step("pipe repository") as step:
        pipe_repository = Repository(session, zone.outputs()["PipeRepositoryName"], settings.project)
        seeded = pipe_repository.seed(files_of(names.ROOT / "pipe"))
        step.made = seeded.told
    _tell_differences(seeded, console)
    with steps.step("pipeline") as step:
        parameters = common | {
            "DataKeyArn": zone.outputs()["DataKeyArn"],
            "CatalogEncryption": encryption.choice,
            "CatalogKeyArn": encryption.key,
            "PermissionsBoundary": settings.permissions_boundary,
            "GlueVersion": settings.glue_version,
            "HailFrom": settings.hail_from,
            "NotebookInstanceType": settings.notebook_instance_type,
        }
        pipe_changed = pipe.deploy(pipe_repository.file("pipe_cfn.yml"), parameters, step.doing)
        outputs = pipe.outputs()
        step.made = _made(pipe, pipe_changed)
    with steps.step("code repository") as step:
        seeded = Repository(session, outputs["CodeRepositoryName"], settings.project).seed(
            files_of(names.ROOT / "code")
        )
        step.made = seeded.told
    _tell_differences(seeded, console)
    with steps.step("code, by the pipeline") as step:
        line = Pipeline(session, outputs["PipelineName"])
        code.settle(step.doing)  # the pipeline can't update a stack whose creation failed
        anew = pipe_changed or pipeline.needs_deployment(line.parameters(), code.describe())
        line.bring(seeded.commit, step.doing, anew=anew)
        step.made = f"{code.name} {code.status()}, of commit {seeded.commit[:8]}"
        if encryption.choice == "LeaveAsIs":
            step.made += catalog.Catalog(session, settings).let_go(encryption.before, step.doing)
    with steps.step("demonstration data") as step:
        lake = outputs["DataLakeBucket"]
        step.made = data.copy(session, settings.solution_bucket, settings.solution_prefix, lake, step.doing)
    with steps.step("crawlers and tables") as step:
        in_code = code.outputs()
        crawlers.run(session, [in_code[crawler] for crawler in names.CRAWLERS], step.doing)
        checked = []
        for table in names.TABLES:
            columns = crawlers.check_table(session, settings.prefix, table)
            crawlers.describe_table(session, settings.prefix, table, load_of(session, lake, table))
            checked.append(f"{table} ({columns} columns)")
        step.made = ", ".join(checked)
    if settings.anonymous_metrics == "Yes":
        event = json.loads(settings.request or "{}").get("RequestType", "Update").lower()
        console.print(metrics.send(event, settings.deployment_id, session.region_name))
    _tell(outputs, in_code, settings, console)
    console.print(steps.time_line(), highlight=False, soft_wrap=True, markup=False)


def load_of(session: boto3.Session, lake: str, table: str) -> dict[str, Any]:
    """The record of the load that made a table. Raises SetupError where there is none."""
    client = session.client("s3")
    key = f"tables/{table}/{names.LOAD}"
    try:
        told: dict[str, Any] = json.loads(client.get_object(Bucket=lake, Key=key)["Body"].read())
    except client.exceptions.NoSuchKey as error:
        raise SetupError(f"s3://{lake}/{key}: no such object. Run the job that makes {table}.") from error
    return told


def _made(stack: Stack, changed: bool) -> str:
    return f"{stack.name} {stack.status() if changed else 'is up to date'}"


def _tell_differences(seeded: Seeded, console: Console) -> None:
    if seeded.differs:
        shown = ", ".join(seeded.differs[:10]) + (" …" if len(seeded.differs) > 10 else "")
        console.print(
            f"[yellow]warning:[/] {seeded.told}; this version ({names.VERSION}) has otherwise: {shown}. "
            "Compare with the solution's archive, and commit what you want of it.",
            soft_wrap=True,
        )


def _tell(pipe: dict[str, str], code: dict[str, str], settings: Settings, console: Console) -> None:
    """What stands, and what to do next."""
    lines = {
        "data lake": f"s3://{pipe['DataLakeBucket']}",
        "database, Athena workgroup": f"{code['Database']}, {code['WorkGroup']}",
        "notebook instance": code.get("NotebookInstance", "none"),
        "repositories": f"{settings.project}Pipe, {pipe['CodeRepositoryName']}",
        "next": f"ask Athena the named query drug_response in workgroup {code['WorkGroup']}, or run runbook.ipynb",
    }
    for what, where in lines.items():
        console.print(f"{what}: {where}", highlight=False, soft_wrap=True, markup=False)
