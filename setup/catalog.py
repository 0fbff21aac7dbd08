"""The encryption of the account's data catalog. It is one setting for account and region, so somebody else's is left
alone, and what stood before ours is recorded in the zone stack and put back.
"""

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import boto3
from botocore.exceptions import ClientError

from setup import names
from setup.errors import SetupError
from setup.progress import Doing
from setup.settings import Settings
from setup.stacks import COURSES, Course, Stack

# The zone stack's parameter and output. Empty: the solution never encrypted the catalog. Otherwise the settings to put
# back, as JSON; {} where there are none: they were put back, or a version without the record had changed them.
RECORD = "CatalogEncryptionBefore"
NOTHING = "{}"
_RESOURCE = "CatalogEncryptionSettings"  # of the code stack
_AT_REST, _PASSWORDS = "EncryptionAtRest", "ConnectionPasswordEncryption"
_KEYS = {_AT_REST: "SseAwsKmsKeyId", _PASSWORDS: "AwsKmsKeyId"}
_OFF: dict[str, Any] = {
    _AT_REST: {"CatalogEncryptionMode": "DISABLED"},
    _PASSWORDS: {"ReturnConnectionPasswordEncrypted": False},
}


@dataclass(frozen=True)
class Encryption:
    """What a set-up does about the catalog's encryption."""

    choice: str  # Manage or LeaveAsIs
    key: str  # the ARN of somebody else's key that the catalog is encrypted with; empty if the roles need none
    before: str  # what the zone stack has to record
    warning: str = ""


class Catalog:
    """The data catalog, as a project's stacks stand to it."""

    def __init__(self, session: boto3.Session, settings: Settings) -> None:
        self._session, self._settings = session, settings
        self._glue = session.client("glue")
        self._zone, self._code = Stack(session, f"{settings.project}Zone"), Stack(session, f"{settings.project}Code")

    def look(self, doing: Doing) -> Encryption:
        """What a set-up does: ours stays ours, theirs stays theirs."""
        stands, managed, _ = self._seen(doing)
        choice, key, warning = self._settings.catalog_encryption, "", ""
        theirs = stands[_AT_REST]["CatalogEncryptionMode"] != "DISABLED" and not self._is_ours(stands, _AT_REST)
        if theirs:
            key = str(stands[_AT_REST].get(_KEYS[_AT_REST], ""))
        if theirs and choice == "Manage":
            warning = (
                f"The data catalog of this account and region is encrypted already, with {key or 'a key of AWS'}: "
                "it stays so. The project's roles may use that key; the key's own policy has to allow them, too."
            )
            # with the resource gone, CloudFormation would switch theirs off
            choice = "Manage" if managed else "LeaveAsIs"
        return Encryption(choice, self._arn(key), self.to_record(doing, manages=choice == "Manage"), warning)

    def recorded(self) -> str:
        """What the zone stack records; empty where there is no stack."""
        outputs = (self._zone.describe() or {}).get("Outputs", [])
        return next((str(one["OutputValue"]) for one in outputs if one["OutputKey"] == RECORD), "")

    def to_record(self, doing: Doing, *, manages: bool) -> str:
        """What has to be recorded before the code stack changes: what others set, never what we did.

        `manages` says that the code stack is going to encrypt the catalog.
        """
        stands, managed, whole = self._seen(doing)
        recorded = self.recorded()
        if not (manages or managed):
            return recorded
        before = json.loads(recorded or NOTHING)
        if before and _is_off(stands) and not (managed and whole):
            return recorded  # CloudFormation switched it off: in a rollback, or in a deletion that did not end
        kept = {part: before.get(part) if self._is_ours(stands, part) else stands[part] for part in stands}
        known = {part: told for part, told in kept.items() if told}
        if not known:
            doing("what the catalog's encryption was before is not recorded: without this solution it is off")
        return json.dumps(known, separators=(",", ":"))

    def record(self, before: str, doing: Doing) -> None:
        """Have the zone stack record it. Raises SetupError."""
        if before != self.recorded():
            doing(f"recording what the catalog's encryption was: {before}")
            self._change_zone({RECORD: before}, doing)

    def put_back(self, before: str) -> str:
        """Put back what was recorded, once the code stack does not encrypt the catalog any more; what to say about it.
        Raises SetupError.
        """
        wanted = json.loads(before or NOTHING)
        if not wanted:
            return ""
        stands = self._stands()
        if stands != _complete(wanted):
            if not _is_off(stands) and not any(self._is_ours(stands, part) for part in stands):
                return "; the catalog's encryption is left alone: somebody else set it meanwhile"
            try:
                self._glue.put_data_catalog_encryption_settings(DataCatalogEncryptionSettings=wanted)
            except ClientError as error:
                message = error.response["Error"]["Message"]
                raise SetupError(
                    f"What the catalog's encryption was before can't be put back: {message}. "
                    "Put it back with aws glue put-data-catalog-encryption-settings "
                    f"--data-catalog-encryption-settings '{before}', then run this again."
                ) from error
        return f"; the catalog's encryption is again {before}"

    def let_go(self, before: str, doing: Doing) -> str:
        """Put back what was recorded, and record that it was; what to say about it. Raises SetupError."""
        said = self.put_back(before)
        if said:
            self.record(NOTHING, doing)
        return said

    def keep_key(self, doing: Doing) -> str:
        """Have the zone stack's deletion keep the key, if it encrypts what others have in the catalog; what to say
        about that. Raises SetupError where the stack can't be told so any more.
        """
        status = self._zone.wait(doing)
        if status in (None, "DELETE_COMPLETE") or not self.recorded() or "DataKey" not in self._zone.resources():
            return ""  # nothing to delete, nothing that it encrypted, or a key that is not of the stack
        others = self._encrypted_of_others()
        if not others:
            return ""
        said = f"the key encrypts what others have in the data catalog: {', '.join(others)}"
        if self._zone.parameters().get("OnDelete") != "KeepData":
            if COURSES[status] is not Course.UPDATE:
                raise SetupError(
                    f"Stack {self._zone.name} is {status}, but {said}. Delete the stack without the key, with aws "
                    f"cloudformation delete-stack --stack-name {self._zone.name} --retain-resources DataKey, then run "
                    "this again."
                )
            self._change_zone({"OnDelete": "KeepData"}, doing)
        doing(f"{said}. It stays")  # told before the stack is gone that knows it
        return f"; {said}"

    def _change_zone(self, parameters: dict[str, str], doing: Doing) -> None:
        """Update the zone stack with other values of some parameters, if it can be updated."""
        self._zone.wait(doing)
        if COURSES[self._zone.status()] is Course.UPDATE:
            # the whole template: with the previous one, a DeletionPolicy would not follow its parameter
            template = (names.ROOT / "zone" / "zone_cfn.yml").read_text(encoding="utf-8")
            self._zone.deploy(template, self._zone.parameters() | parameters, doing)

    def _seen(self, doing: Doing) -> tuple[dict[str, Any], bool, bool]:
        """What stands, whether the code stack has its settings, and whether that stack is whole. Seen in this order:
        what CloudFormation switched off does not look as if somebody else had.
        """
        self._code.wait(doing)
        stands, managed = self._stands(), _RESOURCE in self._code.resources()
        return stands, managed, COURSES[self._code.status()] is Course.UPDATE

    def _stands(self) -> dict[str, Any]:
        return _complete(self._glue.get_data_catalog_encryption_settings()["DataCatalogEncryptionSettings"])

    def _is_ours(self, stands: dict[str, Any], part: str) -> bool:
        key = self._arn(str(stands[part].get(_KEYS[part], ""))).rpartition("/")[2]
        of_code = self._code.parameters().get("DataKeyArn", "").rpartition("/")[2]
        return bool(key) and key in (self._zone.resources().get("DataKey"), of_code)

    def _arn(self, key: str) -> str:
        """A key's ARN, also of an alias or id; nothing for AWS's own, which needs no permission."""
        if ":key/" in key or not key:
            return key
        try:
            told = self._session.client("kms").describe_key(KeyId=key)["KeyMetadata"]
        except ClientError:
            return ""
        return str(told["Arn"]) if told["KeyManager"] == "CUSTOMER" else ""

    def _encrypted_of_others(self) -> list[str]:
        """Databases of others that were made, or have tables that were made or changed, since there is the key; those
        that can't be looked at count.
        """
        since = (self._zone.describe() or {})["CreationTime"].replace(microsecond=0)
        try:
            pages = list(self._glue.get_paginator("get_databases").paginate())
        except ClientError as error:
            return [f"databases that can't be listed ({error.response['Error']['Message']})"]
        theirs = [one for page in pages for one in page["DatabaseList"] if one["Name"] != self._settings.prefix]
        return [
            one["Name"]
            for one in theirs
            # AWS makes the database default by itself
            if (one["Name"] != "default" and one.get("CreateTime", since) >= since)
            or self._has_tables_since(one["Name"], since)
        ]

    def _has_tables_since(self, database: str, since: datetime) -> bool:
        try:
            pages = list(self._glue.get_paginator("get_tables").paginate(DatabaseName=database))
        except self._glue.exceptions.EntityNotFoundException:
            return False  # deleted meanwhile
        except ClientError:
            return True
        tables = [table for page in pages for table in page["TableList"]]
        return any(max(table["CreateTime"], table.get("UpdateTime", table["CreateTime"])) >= since for table in tables)


def _complete(settings: dict[str, Any]) -> dict[str, Any]:
    """Settings with both parts: what is not told is off."""
    return {part: settings.get(part) or off for part, off in _OFF.items()}


def _is_off(settings: dict[str, Any]) -> bool:
    return (
        settings[_AT_REST]["CatalogEncryptionMode"] == "DISABLED"
        and not settings[_PASSWORDS]["ReturnConnectionPasswordEncrypted"]
    )
