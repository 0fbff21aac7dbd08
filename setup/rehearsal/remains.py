"""What stands in an account: one line a thing, to prove that a deleted lake left nothing."""

from collections.abc import Callable, Iterator
from typing import Any

import boto3


def things(session: boto3.Session) -> list[str]:
    """Every thing that the solution could have made, as `SERVICE KIND NAME`, sorted; keys that wait for their
    deletion and stacks that are deleted are gone.
    """
    return sorted(
        f"{service} {kind} {name}"
        for (service, kind), find in _FINDERS.items()
        for name in find(session.client(service))
    )


def _pages(operation: str, *path: str, **arguments: Any) -> Callable[[Any], Iterator[str]]:
    """Finds by a paged operation; `path` leads to the list, and then to the name in each of its items."""
    inside, name = path[0], path[1:]

    def find(client: Any) -> Iterator[str]:
        for page in client.get_paginator(operation).paginate(**arguments):
            for item in page[inside]:
                yield item[name[0]] if name else item

    return find


def _once(operation: str, *path: str) -> Callable[[Any], Iterator[str]]:
    """Finds by an operation without a paginator; a next page is an error rather than a thing that isn't seen."""

    def find(client: Any) -> Iterator[str]:
        answer = getattr(client, operation)()
        if answer.get("NextToken") or answer.get("nextToken"):
            raise RuntimeError(f"{operation} has more than one page")
        for item in answer[path[0]]:
            yield item[path[1]] if path[1:] else item

    return find


def _stacks(client: Any) -> Iterator[str]:
    for page in client.get_paginator("list_stacks").paginate():
        for stack in page["StackSummaries"]:
            if stack["StackStatus"] != "DELETE_COMPLETE":
                yield f"{stack['StackName']} ({stack['StackStatus']})"


def _tables(client: Any) -> Iterator[str]:
    for database in _pages("get_databases", "DatabaseList", "Name")(client):
        for page in client.get_paginator("get_tables").paginate(DatabaseName=database):
            for table in page["TableList"]:
                yield f"{database}.{table['Name']}"


def _catalog_encryption(client: Any) -> Iterator[str]:
    settings = client.get_data_catalog_encryption_settings()["DataCatalogEncryptionSettings"]
    if settings.get("EncryptionAtRest", {}).get("CatalogEncryptionMode", "DISABLED") != "DISABLED":
        yield settings["EncryptionAtRest"].get("SseAwsKmsKeyId", "with AWS's key")
    if settings.get("ConnectionPasswordEncryption", {}).get("ReturnConnectionPasswordEncrypted"):
        yield "connection passwords"


def _work_groups(client: Any) -> Iterator[str]:
    return (group["Name"] for group in client.list_work_groups()["WorkGroups"] if group["Name"] != "primary")


def _named_queries(client: Any) -> Iterator[str]:
    for group in client.list_work_groups()["WorkGroups"]:
        yield from _pages("list_named_queries", "NamedQueryIds", WorkGroup=group["Name"])(client)


def _keys(client: Any) -> Iterator[str]:
    for key in _pages("list_keys", "Keys", "KeyId")(client):
        metadata = client.describe_key(KeyId=key)["KeyMetadata"]
        if metadata["KeyState"] != "PendingDeletion" and metadata["KeyManager"] == "CUSTOMER":
            yield key


def _aliases(client: Any) -> Iterator[str]:
    found = _pages("list_aliases", "Aliases", "AliasName")(client)
    return (name for name in found if not name.startswith("alias/aws/"))


_FINDERS: dict[tuple[str, str], Callable[[Any], Iterator[str]]] = {
    ("cloudformation", "stack"): _stacks,
    ("codecommit", "repository"): _pages("list_repositories", "repositories", "repositoryName"),
    ("codepipeline", "pipeline"): _pages("list_pipelines", "pipelines", "name"),
    ("codebuild", "project"): _pages("list_projects", "projects"),
    ("lambda", "function"): _pages("list_functions", "Functions", "FunctionName"),
    ("events", "rule"): _once("list_rules", "Rules", "Name"),
    ("s3", "bucket"): _once("list_buckets", "Buckets", "Name"),
    ("glue", "database"): _pages("get_databases", "DatabaseList", "Name"),
    ("glue", "table"): _tables,
    ("glue", "job"): _pages("get_jobs", "Jobs", "Name"),
    ("glue", "crawler"): _pages("get_crawlers", "Crawlers", "Name"),
    ("glue", "security configuration"): _pages("get_security_configurations", "SecurityConfigurations", "Name"),
    ("glue", "catalog encryption"): _catalog_encryption,
    ("athena", "workgroup"): _work_groups,
    ("athena", "named query"): _named_queries,
    ("sagemaker", "notebook instance"): _pages("list_notebook_instances", "NotebookInstances", "NotebookInstanceName"),
    ("sagemaker", "lifecycle configuration"): _pages(
        "list_notebook_instance_lifecycle_configs",
        "NotebookInstanceLifecycleConfigs",
        "NotebookInstanceLifecycleConfigName",
    ),
    ("kms", "key"): _keys,
    ("kms", "alias"): _aliases,
    ("logs", "log group"): _pages("describe_log_groups", "logGroups", "logGroupName"),
    ("iam", "role"): _pages("list_roles", "Roles", "RoleName"),
    ("iam", "policy"): _pages("list_policies", "Policies", "PolicyName", Scope="Local"),
}
