"""What would make a set-up fail half-way, looked at before anything is made."""

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from setup.catalog import Catalog, Encryption
from setup.errors import SetupError
from setup.progress import Doing
from setup.settings import Settings
from setup.stacks import Stack

# One call of each service that the solution uses; none of them changes or costs anything.
PROBES = (
    ("codecommit", "list_repositories"),
    ("codepipeline", "list_pipelines"),
    ("codebuild", "list_projects"),
    ("glue", "get_data_catalog_encryption_settings"),
    ("athena", "list_work_groups"),
)


def check(session: boto3.Session, settings: Settings, doing: Doing) -> Encryption:
    """What to do about the catalog's encryption. Raises SetupError for what stands in the way, and tells what to do
    about it.
    """
    for service, operation in PROBES:
        doing(f"{service} in {session.region_name}")
        _probe(session, service, operation)
    zone = Stack(session, f"{settings.project}Zone")
    if other := another_deployment(zone, settings):
        raise SetupError(
            f"Stack {zone.name} and those after it are of deployment {other}. "
            "Launch with another Project, or delete that one first."
        )
    _names_are_free(session, settings)
    _key_can_be_used(session, settings, zone)
    return Catalog(session, settings).look(doing)


def _key_can_be_used(session: boto3.Session, settings: Settings, zone: Stack) -> None:
    """The lake's key is chosen once: what is encrypted with another could not be read any more when that goes."""
    outputs = (zone.describe() or {}).get("Outputs", [])
    stands = next((str(one["OutputValue"]) for one in outputs if one["OutputKey"] == "DataKeyArn"), "")
    own = settings.own_key_arn
    if stands and own != stands and (own or "DataKey" not in zone.resources()):
        raise SetupError(
            f"The lake is encrypted with {stands}, which can't be changed to {own or 'a key that is made for it'}. "
            "Launch with OwnKeyArn as it was, or with another Project and copy the data."
        )
    if own:
        _own_key_can_be_used(session, settings)


def _own_key_can_be_used(session: boto3.Session, settings: Settings) -> None:
    own, client = settings.own_key_arn, session.client("kms")
    try:
        told = client.describe_key(KeyId=own)["KeyMetadata"]
        tags = {tag["TagKey"]: tag["TagValue"] for tag in client.list_resource_tags(KeyId=own)["Tags"]}
    except ClientError as error:
        code, message = error.response["Error"]["Code"], error.response["Error"]["Message"]
        raise SetupError(
            f"OwnKeyArn {own} can't be used ({code}: {message}). It has to be in this account and region, and its "
            "policy has to let the account's IAM policies decide."
        ) from error
    if told["KeyState"] != "Enabled" or told.get("KeySpec") != "SYMMETRIC_DEFAULT":
        raise SetupError(
            f"OwnKeyArn {own} is a key of {told.get('KeySpec')} and {told['KeyState']}. It has to be symmetric "
            "(SYMMETRIC_DEFAULT) and Enabled: enable it, or launch with another key."
        )
    if tags.get("Project") != settings.project:
        raise SetupError(
            f"OwnKeyArn {own} lacks the tag Project with {settings.project}, without which the set-up's role may not "
            f"use it. Tag it: aws kms tag-resource --key-id {own} --tags TagKey=Project,TagValue={settings.project}"
        )


def another_deployment(zone: Stack, settings: Settings) -> str:
    """The number of the deployment that a zone stack is of, if that is not this one; a root stack that takes over what
    another made would delete it when its launch fails.
    """
    outputs = (zone.describe() or {}).get("Outputs", [])
    made_by = [output["OutputValue"] for output in outputs if output["OutputKey"] == "DeploymentId"]
    return next((number for number in made_by if number and settings.deployment_id not in ("", number)), "")


def _probe(session: boto3.Session, service: str, operation: str) -> None:
    try:
        getattr(session.client(service), operation)()
    except ClientError as error:
        code, message = error.response["Error"]["Code"], error.response["Error"]["Message"]
        todo = (
            "CodeCommit is not open to every account: see its console, or ask AWS Support."
            if service == "codecommit"
            else "Give the set-up's role that permission, or launch in another region."
        )
        raise SetupError(f"{service} can't be used in {session.region_name} ({code}: {message}). {todo}") from error
    except BotoCoreError as error:
        raise SetupError(
            f"{service} does not answer in {session.region_name} ({error}). Launch in another region."
        ) from error


def _names_are_free(session: boto3.Session, settings: Settings) -> None:
    """What has the project's names has to be of the project's stacks."""
    codecommit, glue = session.client("codecommit"), session.client("glue")
    for part in ("Pipe", "Code"):
        owner = Stack(session, f"{settings.project}{'Zone' if part == 'Pipe' else 'Pipe'}")
        try:
            codecommit.get_repository(repositoryName=f"{settings.project}{part}")
        except codecommit.exceptions.RepositoryDoesNotExistException:
            continue
        if owner.status() in (None, "DELETE_COMPLETE"):
            raise SetupError(
                f"There is a repository {settings.project}{part}, which is not of this solution. "
                "Launch with another Project, or move it away."
            )
    try:
        glue.get_database(Name=settings.prefix)
    except glue.exceptions.EntityNotFoundException:
        return
    if Stack(session, f"{settings.project}Code").status() in (None, "DELETE_COMPLETE"):
        raise SetupError(
            f"There is a database {settings.prefix} in the data catalog, which is not of this solution. "
            "Launch with another Project, or rename it."
        )
