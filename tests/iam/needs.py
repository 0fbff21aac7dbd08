"""What each role needs, and who says so: AWS's resource schemas for the roles that CloudFormation acts with, the calls
that a rehearsal recorded for all others, and reasons in a role's metadata for what neither of them shows.
"""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tests.iam import services
from tests.iam.account import GIVEN, KEY, PREFIX, PROJECT, Record, Resource
from tests.iam.policies import Request

RECORDED = Path(__file__).with_name("recorded_calls.json")
DEPLOYERS = {  # which role makes a template's resources
    "zone/zone_cfn.yml": "SetupRole",
    "pipe/pipe_cfn.yml": "SetupRole",
    "code/code_cfn.yml": "CloudFormationRole",
}
_BY_CLOUDFORMATION = {"aws:CalledVia": ["cloudformation.amazonaws.com"]}

# A property that is not set needs no permission; this says which permissions of a schema a property is for. (Of read
# handlers only what stands here is left out: they look at every property.)
FOR_PROPERTY: dict[str, dict[str, tuple[str, ...]]] = {
    "AWS::Athena::WorkGroup": {
        "WorkGroupConfiguration.ExecutionRole": ("iam:CreateServiceLinkedRole", "iam:PassRole"),
    },
    "AWS::CodeCommit::Repository": {
        "Code": ("codecommit:CreateCommit", "s3:GetObject", "s3:GetObjectVersion"),
        "KmsKeyId": ("codecommit:UpdateRepositoryEncryptionKey",),
        "Triggers": ("codecommit:PutRepositoryTriggers",),
    },
    "AWS::CodePipeline::Pipeline": {
        "DisableInboundStageTransitions": (
            *("codepipeline:DisableStageTransition", "codepipeline:EnableStageTransition"),
        ),
        "RestartExecutionOnUpdate": ("codepipeline:StartPipelineExecution",),
    },
    "AWS::Glue::DataCatalogEncryptionSettings": {
        "DataCatalogEncryptionSettings.EncryptionAtRest.CatalogEncryptionServiceRole": ("iam:PassRole",),
    },
    "AWS::Glue::Database": {
        "DatabaseInput.FederatedDatabase": (
            *("glue:CreateConnection", "glue:DeleteConnection", "glue:GetConnection", "glue:UpdateConnection"),
            "glue:PassConnection",
        ),
    },
    "AWS::Glue::Table": {
        "OpenTableFormatInput": ("iam:PassRole", "s3:GetObject", "s3:PutObject"),  # Iceberg's own files
        "TableInput.StorageDescriptor.SchemaReference": ("glue:GetSchemaVersion",),
        "TableInput.TargetTable": ("glue:PassConnection", "glue:UpdateDatabase"),
    },
    "AWS::IAM::Role": {
        "ManagedPolicyArns": ("iam:AttachRolePolicy", "iam:DetachRolePolicy"),
        "PermissionsBoundary": ("iam:PutRolePermissionsBoundary",),
    },
    "AWS::Logs::LogGroup": {
        "BearerTokenAuthenticationEnabled": ("logs:PutBearerTokenAuthentication",),
        "DataProtectionPolicy": (
            *("logs:PutDataProtectionPolicy", "logs:DeleteDataProtectionPolicy"),
            *("logs:CreateLogDelivery", "firehose:TagDeliveryStream"),
        ),
        "DeletionProtectionEnabled": ("logs:PutLogGroupDeletionProtection",),
        "FieldIndexPolicies": ("logs:PutIndexPolicy", "logs:DeleteIndexPolicy"),
        "KmsKeyId": ("logs:AssociateKmsKey", "logs:DisassociateKmsKey"),
        "ResourcePolicyDocument": ("logs:PutResourcePolicy", "logs:DeleteResourcePolicy"),
    },
    "AWS::S3::Bucket": {
        "AbacStatus": ("s3:PutBucketAbac",),
        "AccelerateConfiguration": ("s3:PutAccelerateConfiguration",),
        "AccessControl": ("s3:GetBucketAcl", "s3:PutBucketAcl", "s3:PutObjectAcl"),
        "AnalyticsConfigurations": ("s3:PutAnalyticsConfiguration",),
        "CorsConfiguration": ("s3:PutBucketCORS",),
        "IntelligentTieringConfigurations": ("s3:PutIntelligentTieringConfiguration",),
        "InventoryConfigurations": ("s3:PutInventoryConfiguration",),
        "LoggingConfiguration": ("s3:PutBucketLogging",),
        "MetadataConfiguration": (
            *("s3:CreateBucketMetadataTableConfiguration", "s3:DeleteBucketMetadataTableConfiguration"),
            *(
                "s3:UpdateBucketMetadataAnnotationTableConfiguration",
                "s3:UpdateBucketMetadataJournalTableConfiguration",
            ),
            "s3:UpdateBucketMetadataInventoryTableConfiguration",
            *("s3tables:CreateNamespace", "s3tables:CreateTable", "s3tables:CreateTableBucket", "s3tables:GetTable"),
            *("s3tables:GetTableMetadataLocation", "s3tables:UpdateTableMetadataLocation"),
            *("s3tables:PutTableBucketPolicy", "s3tables:PutTableEncryption", "s3tables:PutTablePolicy"),
        ),
        "MetricsConfigurations": ("s3:PutMetricsConfiguration",),
        "NotificationConfiguration": ("s3:PutBucketNotification",),
        "ObjectLockConfiguration": ("s3:PutBucketObjectLockConfiguration",),
        "ReplicationConfiguration": ("s3:PutReplicationConfiguration", "iam:PassRole"),
        "WebsiteConfiguration": ("s3:PutBucketWebsite", "s3:DeleteBucketWebsite"),
    },
    "AWS::SageMaker::NotebookInstance": {
        "KmsKeyId": ("kms:CreateGrant", "kms:Decrypt", "kms:DescribeKey"),
        "SubnetId": (
            *("ec2:CreateNetworkInterface", "ec2:CreateNetworkInterfacePermission", "ec2:DeleteNetworkInterface"),
            *("ec2:DeleteNetworkInterfacePermission", "ec2:DescribeDhcpOptions", "ec2:DescribeNetworkInterfaces"),
            *("ec2:DescribeSecurityGroups", "ec2:DescribeSubnets", "ec2:DescribeVpcs"),
        ),
    },
}
# What is needed only while a property is not set: to take away what stood before. (A boundary is not lifted.)
WITHOUT_PROPERTY = {"AWS::IAM::Role": {"PermissionsBoundary": ("iam:DeleteRolePermissionsBoundary",)}}
# Permissions of a schema that these templates never need, whatever their properties, and why.
NEVER: dict[tuple[str, str], str] = {
    (
        "AWS::CodeCommit::Repository",
        "codecommit:UpdateRepositoryName",
    ): "The name is the project's, which can't change.",
    ("AWS::CodePipeline::Pipeline", "codestar-connections:PassConnection"): "The source is CodeCommit, no connection.",
    ("AWS::Glue::Table", "lakeformation:GetDataAccess"): "The database is not one that Lake Formation has.",
    ("AWS::S3::Bucket", "s3:DeleteObject"): "CloudFormation deletes no objects: it fails where a bucket has some.",
}
NO_ACTIONS = {  # what schemas name and IAM doesn't know
    "lakeformation:CreateTable",
    "s3:DeleteBucketAnalyticsConfiguration",
    "s3:DeleteBucketCors",
    "s3:DeleteBucketEncryption",
    "s3:DeleteBucketLifecycle",
    "s3:DeleteBucketMetricsConfiguration",
    "s3:DeleteBucketReplication",
    "s3:PutBucketReplication",
    "s3:PutObjectLockConfiguration",
    "s3:REST.PUT.OBJECT",
}
# What a schema doesn't say, or a type that has none; with a property where only that needs it.
BESIDE: dict[str, tuple[tuple[str, str], ...]] = {
    "AWS::CodeBuild::Project": (
        *(("", f"codebuild:{action}") for action in ("CreateProject", "UpdateProject", "DeleteProject")),
        ("", "codebuild:BatchGetProjects"),
        ("ServiceRole", "iam:PassRole"),
    ),
    "AWS::Glue::Database": (  # in an encrypted catalog
        *(("", f"kms:{action}") for action in ("Decrypt", "Encrypt", "GenerateDataKey")),
    ),
}
_TAKERS = {  # the service that a role is passed to
    "AWS::CodeBuild::Project": "codebuild",
    "AWS::CodePipeline::Pipeline": "codepipeline",
    "AWS::Events::Rule": "events",
    "AWS::Glue::Crawler": "glue",
    "AWS::Glue::Job": "glue",
    "AWS::SageMaker::NotebookInstance": "sagemaker",
}


def of_template(resources: list[Resource], parameters: Mapping[str, str]) -> Iterator[Request]:
    """What the role that deploys a template needs for its resources."""
    for resource in resources:
        for action, why in permissions_of(resource):
            for arn, context in _on(action, resource, parameters):
                yield Request(action, arn, _BY_CLOUDFORMATION | context, f"{resource.name}, {why}")


def permissions_of(resource: Resource) -> Iterator[tuple[str, str]]:
    """The permissions that a resource needs, and whether its creation or what else."""
    of_property = {
        permission: path
        for path, permissions in FOR_PROPERTY.get(resource.kind, {}).items()
        for permission in permissions
    }
    left_out = {
        permission
        for path, permissions in WITHOUT_PROPERTY.get(resource.kind, {}).items()
        for permission in permissions
        if _has(resource.properties, path)
    }
    told: dict[str, list[str]] = {}
    for handler, permissions in services.permissions(resource.kind).items():
        for permission in permissions:
            path = of_property.get(permission)
            if permission in left_out or (path is not None and not _has(resource.properties, path)):
                continue
            # schemas name operations, too, that are no actions of IAM
            if (resource.kind, permission) not in NEVER and services.is_action(permission):
                told.setdefault(permission, []).append(handler)
    for path, permission in BESIDE.get(resource.kind, ()):
        if not path or _has(resource.properties, path):
            told.setdefault(permission, []).append(path or "always")
    for permission, handlers in told.items():
        yield permission, ", ".join(handlers)


def _has(properties: Record, path: str) -> bool:
    value: Any = properties
    for key in path.split("."):
        if not isinstance(value, dict) or key not in value:
            return False
        value = value[key]
    return True


def _on(action: str, resource: Resource, parameters: Mapping[str, str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The ARNs that IAM asks about for an action on a resource, each with the condition keys that are there."""
    service = action.partition(":")[0]
    if action in ("iam:PassRole", "iam:GetRole") and resource.kind != "AWS::IAM::Role":
        yield from _on_roles(action, resource)
    elif action == "kms:CreateKey":
        yield "*", {"aws:RequestTag/Project": PROJECT}
    elif not services.has_resource_level(action):
        yield "*", {}
    elif service == "kms":
        yield from _on_keys(action, resource, parameters)
    elif service == "iam":
        boundary = resource.properties.get("PermissionsBoundary")
        yield resource.arn, {"iam:PermissionsBoundary": boundary} if boundary else {}
    else:
        yield from ((arn, {}) for arn in _arns(action, resource))


def _on_roles(action: str, resource: Resource) -> Iterator[tuple[str, dict[str, Any]]]:
    for role in _roles(resource.properties):
        taker = "cloudformation" if role.endswith("CloudFormationRole") else _TAKERS[resource.kind]
        yield role, {"iam:PassedToService": f"{taker}.amazonaws.com"} if action == "iam:PassRole" else {}


def _arns(action: str, resource: Resource) -> Iterator[str]:
    service, _, operation = action.partition(":")
    if resource.kind == "AWS::Athena::WorkGroup" and service == "s3":  # Athena tries the place of the results
        bucket = f"arn:aws:s3:::{GIVEN['DataLakeBucket']}"
        of_objects = operation in ("AbortMultipartUpload", "GetObject", "ListMultipartUploadParts", "PutObject")
        yield f"{bucket}/results/x" if of_objects else bucket
        return
    if resource.kind == "AWS::Glue::Table":
        start, _, database = resource.arn.rpartition("/")[0].partition("table/")
        yield f"{start}catalog"
        yield f"{start}database/{database}"
        if operation == "GetDatabase":
            return
    if resource.kind == "AWS::Glue::Database":
        start = resource.arn.rpartition("database/")[0]
        yield f"{start}catalog"
        if operation == "DeleteDatabase":  # and all that is in it
            yield f"{start}table/{resource.physical}/x"
            yield f"{start}userDefinedFunction/{resource.physical}/x"
    if resource.kind == "AWS::Logs::LogGroup":
        yield f"{resource.arn}:log-stream:"  # as CloudWatch Logs names a group in its refusals
    yield resource.arn


def _on_keys(action: str, resource: Resource, parameters: Mapping[str, str]) -> Iterator[tuple[str, dict[str, Any]]]:
    tagged = {"aws:ResourceTag/Project": PROJECT}
    if resource.kind in ("AWS::Glue::Database", "AWS::Glue::Table"):
        yield parameters.get("CatalogKeyArn") or KEY, {"kms:ViaService": "glue.us-east-1.amazonaws.com"}
    elif resource.kind == "AWS::KMS::Alias":
        yield resource.arn, {}
        yield KEY, {}  # KMS takes minutes to see the tag of a new key
        yield KEY, tagged
    elif action == "kms:TagResource":
        yield KEY, {"aws:RequestTag/Project": PROJECT}  # when it is made
        yield KEY, tagged  # when another tag changes
    elif resource.kind == "AWS::KMS::Key":
        yield KEY, {}
        yield KEY, tagged
    else:
        yield KEY, tagged


def _roles(value: Any) -> Iterator[str]:
    """The ARNs of roles in a resource's properties."""
    if isinstance(value, dict | list):
        for one in value.values() if isinstance(value, dict) else value:
            yield from _roles(one)
    elif re.fullmatch(r"arn:[\w-]+:iam::\d+:role/\S+", str(value)):
        yield str(value)


def recorded(calls: Mapping[str, list[str]], role: str, parameters: Mapping[str, str]) -> Iterator[Request]:
    """What a rehearsal recorded of a role, as `recorded_calls.json` has it: ACTION RESOURCE [KEY=VALUE …]. There the
    catalog's key is the project's own; with another, that one is asked for.
    """
    for call in calls.get(role, []):
        action, resource, *conditions = call.split(" ")
        context: dict[str, Any] = dict(condition.split("=", 1) for condition in conditions)
        if context.get("kms:viaservice", "").startswith("glue.") and parameters.get("CatalogKeyArn"):
            resource = parameters["CatalogKeyArn"]
        if resource == KEY:
            context["aws:ResourceTag/Project"] = PROJECT
        yield Request(action, resource, context, "recorded")


# Whether these are called depends on what runs at that moment; a role that may has its reason.
IN_TIME = {"codebuild:StopBuild", "codepipeline:StopPipelineExecution", "glue:BatchStopJobRun", "glue:StopCrawler"}
_OF_ROLE = re.compile(r"(\w+?)((?:Setup|Trigger|SourceEvent|CodePipeline|CodeBuild|Job|Crawler|Runbook)Role)$")


def normalized(lines: list[Record]) -> dict[str, list[str]]:
    """The calls of the projects' roles in a rehearsal's `calls.jsonl`, by role, as one project's, and without the
    numbers of one launch.
    """
    found: dict[str, set[str]] = {}
    for line in lines:
        of_role = _OF_ROLE.match(line["caller"])
        # some tests have a notebook's credentials
        if not line["allowed"] or not of_role or line["application"] == "launching-user" or line["action"] in IN_TIME:
            continue
        project, role = of_role.groups()
        resource = line["resource"].replace(project, PROJECT).replace(project.lower(), PREFIX)
        if line["action"] == "sts:GetCallerIdentity" or not services.is_action(line["action"]):
            continue  # needs no permission, or is none
        conditions = [f"{key}={value}" for key, value in sorted(line["conditions"].items())]
        found.setdefault(role, set()).add(" ".join([line["action"], _without_numbers(resource), *conditions]))
    return {role: sorted(calls) for role, calls in sorted(found.items())}


def _without_numbers(resource: str) -> str:
    resource = re.sub(rf":::({PREFIX}pipe-\w+bucket)-[0-9a-f]{{12}}", r":::\1-x", resource)
    resource = re.sub(r":key/[0-9a-f-]{36}$", f":key/{KEY.rpartition('/')[2]}", resource)
    return re.sub(rf"^(arn:aws:s3:::{GIVEN['SolutionBucket']}/).+$", rf"\g<1>{GIVEN['SolutionPrefix']}…", resource)


def load() -> dict[str, list[str]]:
    """The recorded calls."""
    found: dict[str, list[str]] = json.loads(RECORDED.read_text(encoding="utf-8"))
    return found
