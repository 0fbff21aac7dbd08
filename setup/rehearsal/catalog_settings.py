"""Security configurations of Glue, the catalog's encryption settings, the ARNs that IAM checks Glue's actions on."""

from typing import Any

from setup.rehearsal import extend
from setup.rehearsal.extend import Request, ServiceError

_OFF: dict[str, Any] = {
    "EncryptionAtRest": {"CatalogEncryptionMode": "DISABLED"},
    "ConnectionPasswordEncryption": {"ReturnConnectionPasswordEncrypted": False},
}
_settings: dict[str, Any] = dict(_OFF)


def install() -> None:
    """Register both resource types, the operations, and the ARNs."""
    operations = {
        "GetDataCatalogEncryptionSettings": lambda _: {"DataCatalogEncryptionSettings": dict(_settings)},
        "PutDataCatalogEncryptionSettings": _put,
    }
    extend.add_operations("glue", operations, resource)
    extend.add_resource(
        "AWS::Glue::DataCatalogEncryptionSettings",
        lambda _, properties, __: _catalog(properties),
        lambda _, __, properties, ___: _catalog(properties),
        lambda _, __: _settings.update(_OFF),  # as CloudFormation does: encryption is off again
    )
    extend.add_resource("AWS::Glue::SecurityConfiguration", _create, _update, _delete)


def _put(request: Request) -> dict[str, Any]:
    """All of it is replaced: a part that is not given is off. Keys are not looked at, as on AWS."""
    given = request["DataCatalogEncryptionSettings"]
    passwords = given.get("ConnectionPasswordEncryption", {})
    if passwords.get("ReturnConnectionPasswordEncrypted") and "AwsKmsKeyId" not in passwords:
        given = given | {"ConnectionPasswordEncryption": passwords | {"AwsKmsKeyId": "alias/aws/glue"}}
    _settings.update(_OFF | given)
    return {}


def _catalog(properties: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """CloudFormation puts what the resource has, whatever stood before."""
    settings = dict(properties["DataCatalogEncryptionSettings"])
    if passwords := settings.get("ConnectionPasswordEncryption"):
        # the API's name for the key differs from CloudFormation's
        named = {"AwsKmsKeyId" if name == "KmsKeyId" else name: value for name, value in passwords.items()}
        settings["ConnectionPasswordEncryption"] = named
    _put({"DataCatalogEncryptionSettings": settings})
    return str(properties["CatalogId"]), {}


def _create(_: str, properties: dict[str, Any], __: str) -> tuple[str, dict[str, Any]]:
    extend.client("glue").create_security_configuration(
        Name=properties["Name"],
        EncryptionConfiguration={
            # the API's name for the list differs from CloudFormation's
            "S3Encryption" if key == "S3Encryptions" else key: value
            for key, value in properties["EncryptionConfiguration"].items()
        },
    )
    return str(properties["Name"]), {}


def _update(physical_id: str, old: dict[str, Any], new: dict[str, Any], stack: str) -> tuple[str, dict[str, Any]]:
    """Every change replaces it, so its name has to change too."""
    if old["Name"] == new["Name"]:
        message = f"A security configuration can't be changed: give {physical_id} another name"
        raise ServiceError("AlreadyExistsException", message)
    made = _create("", new, stack)
    _delete(physical_id, old)
    return made


def _delete(physical_id: str, _: dict[str, Any]) -> None:
    client = extend.client("glue")
    try:
        client.delete_security_configuration(Name=physical_id)
    except client.exceptions.EntityNotFoundException:
        return


def log_key(role: str, session: str, configuration: str) -> str:
    """The ARN of the key that a security configuration encrypts logs with, as a role reads it; empty for none."""
    if not configuration:
        return ""
    told = extend.client("glue", role, session).get_security_configuration(Name=configuration)
    encryption = told["SecurityConfiguration"]["EncryptionConfiguration"].get("CloudWatchEncryption", {})
    return str(encryption.get("KmsKeyArn", ""))


def key() -> str:
    """The ARN of the key that the catalog is encrypted with; empty for none."""
    at_rest = _settings["EncryptionAtRest"]
    return str(at_rest.get("SseAwsKmsKeyId", "")) if at_rest["CatalogEncryptionMode"] != "DISABLED" else ""


def arn(rest: str) -> str:
    """A Glue ARN of this account."""
    return f"arn:aws:glue:{extend.REGION}:{extend.ACCOUNT}:{rest}"


def resource(operation: str, request: Request) -> str | list[str]:
    """What IAM checks an operation of Glue on, as the service authorization reference has it."""
    if "SecurityConfiguration" in operation:
        return "*"
    if "DataCatalogEncryption" in operation:
        return arn("catalog")
    if operation in ("TagResource", "UntagResource", "GetTags"):
        return str(request["ResourceArn"])
    if "Crawler" in operation:
        name = request.get("Name") or request.get("CrawlerName")
        return arn(f"crawler/{name}") if name else "*"
    if "Job" in operation:
        name = request.get("JobName") or request.get("Name")
        return arn(f"job/{name}") if name else "*"
    return _of_catalog(operation, request)


def _of_catalog(operation: str, request: Request) -> str | list[str]:
    """An operation on tables and partitions is checked on the catalog, the database and the table."""
    if "Database" in operation:
        name = request.get("Name") or request.get("DatabaseInput", {}).get("Name")
        return [arn("catalog"), arn(f"database/{name}")] if name else arn("catalog")
    database = request.get("DatabaseName")
    if not database:
        return "*"
    given = request.get("TableName") or request.get("Name") or request.get("TableInput", {}).get("Name")
    tables = request.get("TablesToDelete") or [given or "*"]
    return [arn("catalog"), arn(f"database/{database}"), *(arn(f"table/{database}/{table}") for table in tables)]
