"""The catalog's encryption: somebody else's is left alone; what stood before ours is recorded, and put back."""

import functools
import io
import json
import re
import time
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from botocore.client import BaseClient
from rich.console import Console

from setup import names, stacks, teardown
from setup.catalog import RECORD, Catalog, Encryption
from setup.errors import SetupError
from setup.rehearsal import process
from setup.settings import Settings
from setup.stacks import Stack
from tests import solution
from tests.test_preflight import settings
from tests.test_templates import parsed

pytestmark = pytest.mark.usefixtures("emulator", "off_before")

THEIRS = f"arn:aws:kms:us-east-1:{process.ACCOUNT}:key/11111111-1111-4111-8111-111111111111"
OFF: dict[str, Any] = {
    "EncryptionAtRest": {"CatalogEncryptionMode": "DISABLED"},
    "ConnectionPasswordEncryption": {"ReturnConnectionPasswordEncrypted": False},
}
PASSWORDS = OFF | {"ConnectionPasswordEncryption": {"ReturnConnectionPasswordEncrypted": True, "AwsKmsKeyId": THEIRS}}
AT_REST = OFF | {"EncryptionAtRest": {"CatalogEncryptionMode": "SSE-KMS", "SseAwsKmsKeyId": THEIRS}}
CODE = (names.ROOT / "code" / "code_cfn.yml").read_text()


@pytest.fixture
def off_before(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Nobody encrypts the catalog, and nobody has anything in it."""
    monkeypatch.setattr(stacks, "POLL", 0.05)
    put(OFF)
    yield
    glue = session().client("glue")
    for database in glue.get_databases()["DatabaseList"]:
        glue.delete_database(Name=database["Name"])


@functools.cache
def session() -> boto3.Session:
    """One for all tests: it keeps what it read of AWS's operations."""
    return boto3.Session()


def put(told: dict[str, Any]) -> None:
    session().client("glue").put_data_catalog_encryption_settings(DataCatalogEncryptionSettings=told)


def stands() -> dict[str, Any]:
    told = session().client("glue").get_data_catalog_encryption_settings()["DataCatalogEncryptionSettings"]
    return dict(told)


def code_template(*, bad: bool = False) -> str:
    """The code stack's part of it, as the real template has it; `bad` has a resource that fails after it."""
    resource = CODE[CODE.index("  CatalogEncryptionSettings:\n") : CODE.index("  SecurityConfiguration:\n")]
    failing = (
        "  Bad:\n    Type: AWS::S3::Bucket\n    DependsOn: CatalogEncryptionSettings\n"
        "    Properties:\n      BucketName: Not_A_Bucket\n"
    )
    return (
        "Parameters:\n  CatalogEncryption:\n    Type: String\n  DataKeyArn:\n    Type: String\n"
        "Conditions:\n  ManagesCatalogEncryption: !Equals\n    - !Ref CatalogEncryption\n    - Manage\n"
        f"Resources:\n  Group:\n    Type: AWS::Logs::LogGroup\n{resource}{failing if bad else ''}"
    )


class Solution:
    """Those stacks of a project that have to do with the catalog, and what the set-up does with them."""

    def __init__(self, project: str) -> None:
        self.project = project
        self.session = session()
        self.zone, self.code = Stack(self.session, f"{project}Zone"), Stack(self.session, f"{project}Code")
        self.said: list[str] = []

    def settings(self, choice: str = "Manage") -> Settings:
        return settings(self.project, choice)

    def set_up(self, choice: str = "Manage", *, bad: bool = False) -> Encryption:
        """As setup/deploy.py does it."""
        catalog = Catalog(self.session, self.settings(choice))
        found = catalog.look(self.said.append)
        template = (names.ROOT / "zone" / "zone_cfn.yml").read_text()
        own = {"Project": self.project, "Prefix": self.project.lower(), RECORD: found.before}
        self.zone.deploy(template, own, self.said.append)
        told = {"CatalogEncryption": found.choice, "DataKeyArn": self.key}
        self.code.settle(self.said.append)
        self.code.deploy(code_template(bad=bad), told, self.said.append)
        if found.choice == "LeaveAsIs":
            self.said.append(catalog.let_go(found.before, self.said.append))
        return found

    def uninstall(self) -> str:
        """What teardown says, on one line."""
        told = io.StringIO()
        teardown.run(self.session, self.settings(), Console(file=told, width=1000))
        return " ".join(told.getvalue().split())

    @property
    def key(self) -> str:
        return self.zone.outputs()["DataKeyArn"]

    @property
    def recorded(self) -> dict[str, Any]:
        return dict(json.loads(self.zone.outputs()[RECORD]))

    def encrypts(self) -> bool:
        return bool(stands()["EncryptionAtRest"].get("SseAwsKmsKeyId") == self.key)


def is_to_go(key: str) -> bool:
    """Whether a key waits for its deletion."""
    return bool(session().client("kms").describe_key(KeyId=key)["KeyMetadata"]["KeyState"] == "PendingDeletion")


@pytest.mark.parametrize("before", [OFF, PASSWORDS], ids=["off", "passwords"])
def test_what_stood_before_is_recorded_once_and_put_back(before: dict[str, Any]) -> None:
    put(before)
    lake = Solution("Once")
    lake.set_up()
    assert lake.encrypts()
    assert lake.recorded == before
    assert lake.set_up().choice == "Manage"
    assert lake.encrypts()
    assert lake.recorded == before
    key = lake.key
    assert "the catalog's encryption is again" in lake.uninstall()
    assert stands() == before
    assert is_to_go(key)
    assert "again" not in lake.uninstall()
    assert stands() == before


def test_what_somebody_else_encrypts_is_left_alone() -> None:
    put(AT_REST)
    lake = Solution("Alone")
    for _ in range(2):
        found = lake.set_up()
        assert (found.choice, found.key, found.before) == ("LeaveAsIs", THEIRS, "")
        assert f"encrypted already, with {THEIRS}: it stays so. The project's roles may use" in found.warning
        assert stands() == AT_REST
    session().client("glue").create_database(DatabaseInput={"Name": "ofothers"})
    key = lake.key
    lake.uninstall()
    assert stands() == AT_REST
    assert is_to_go(key)


def test_a_key_that_is_told_by_its_alias() -> None:
    kms = session().client("kms")
    theirs = kms.create_key()["KeyMetadata"]["Arn"]
    kms.create_alias(AliasName="alias/theirs", TargetKeyId=theirs)
    put(OFF | {"EncryptionAtRest": {"CatalogEncryptionMode": "SSE-KMS", "SseAwsKmsKeyId": "alias/theirs"}})
    lake = Solution("Alias")
    assert lake.set_up().key == theirs
    put(OFF | {"EncryptionAtRest": {"CatalogEncryptionMode": "SSE-KMS", "SseAwsKmsKeyId": "alias/aws/glue"}})
    found = lake.set_up()
    assert (found.key, "alias/aws/glue" in found.warning) == ("", True)
    lake.uninstall()


def test_asked_to_leave_it_as_it_is() -> None:
    put(AT_REST)
    lake = Solution("AsIs")
    assert lake.set_up("LeaveAsIs") == Encryption("LeaveAsIs", THEIRS, "")
    put(OFF)
    assert lake.set_up("LeaveAsIs") == Encryption("LeaveAsIs", "", "")
    put(PASSWORDS)
    lake.uninstall()
    assert stands() == PASSWORDS


def test_what_others_set_in_place_of_ours_is_put_back() -> None:
    put(PASSWORDS)
    lake = Solution("Instead")
    lake.set_up()
    put(AT_REST)
    found = lake.set_up()  # ours stays ours: without the resource, CloudFormation would switch theirs off
    assert (found.choice, found.key) == ("Manage", THEIRS)
    assert stands() == AT_REST
    both = AT_REST | {"ConnectionPasswordEncryption": PASSWORDS["ConnectionPasswordEncryption"]}
    put(both)
    assert json.dumps(both, separators=(",", ":")) in lake.uninstall()
    assert stands() == both


def test_others_switched_it_off(monkeypatch: pytest.MonkeyPatch) -> None:
    put(PASSWORDS)
    lake = Solution("Switched")
    lake.set_up()
    put(OFF)
    catalog = Catalog(lake.session, lake.settings())
    with monkeypatch.context() as patched:
        seems(patched, "UPDATE_IN_PROGRESS")
        assert json.loads(catalog.to_record(print, manages=False)) == OFF
    with monkeypatch.context() as patched:
        seems(patched, *["DELETE_FAILED"] * 2)  # then CloudFormation may have switched it off
        assert json.loads(catalog.to_record(print, manages=False)) == PASSWORDS
    lake.uninstall()
    assert stands() == OFF


def test_others_took_one_part_over() -> None:
    """Our key is never put back: the other part is what stood before."""
    put(PASSWORDS)
    lake = Solution("Part")
    lake.set_up()
    put(stands() | {"EncryptionAtRest": AT_REST["EncryptionAtRest"]})
    lake.uninstall()
    assert stands() == PASSWORDS | {"EncryptionAtRest": AT_REST["EncryptionAtRest"]}


def test_an_update_to_leave_it_as_it_is_and_back() -> None:
    put(PASSWORDS)
    lake = Solution("Back")
    lake.set_up()
    lake.set_up("LeaveAsIs")
    assert stands() == PASSWORDS
    assert lake.recorded == {}
    put(OFF)
    lake.set_up("LeaveAsIs")
    assert stands() == OFF
    lake.set_up()
    assert lake.recorded == OFF
    lake.uninstall()
    assert stands() == OFF


def test_a_launch_that_is_rolled_back() -> None:
    """CloudFormation's rollback switches off what stood before; that is not what is recorded."""
    put(PASSWORDS)
    lake = Solution("Rolled")
    for _ in range(2):
        with pytest.raises(SetupError, match="Bad"):
            lake.set_up(bad=True)
        assert stands() == OFF
        assert lake.recorded == PASSWORDS
    lake.uninstall()
    assert stands() == PASSWORDS


def test_an_older_version_recorded_nothing() -> None:
    lake = Solution("Older")
    lake.set_up()
    template = (names.ROOT / "zone" / "zone_cfn.yml").read_text()
    without = template.replace(f"  {RECORD}:\n    Description", f"  Old{RECORD}:\n    Description")
    lake.zone.deploy(without, lake.zone.parameters() | {RECORD: ""}, print)
    assert RECORD not in lake.zone.outputs()
    assert "is not recorded: without this solution it is off" in lake.uninstall()
    assert stands() == OFF


def test_the_code_stack_is_gone_already() -> None:
    """Deleted by hand, and then somebody encrypts the catalog, or nobody."""
    put(PASSWORDS)
    for name, now, then in (("GoneOff", OFF, PASSWORDS), ("GoneTheirs", AT_REST, AT_REST)):
        put(PASSWORDS)
        lake = Solution(name)
        lake.set_up()
        lake.code.delete(print)
        put(now)
        lake.uninstall()
        assert stands() == then


def test_what_cannot_be_put_back_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    put(PASSWORDS)
    lake = Solution("Refused")
    lake.set_up()
    with monkeypatch.context() as patched:
        patched.setattr(BaseClient, "_make_api_call", refusing("PutDataCatalogEncryptionSettings"))
        with pytest.raises(SetupError, match=r"aws glue put-data-catalog-encryption-settings .*'.*then run this again"):
            lake.uninstall()
    assert lake.recorded == PASSWORDS
    lake.uninstall()
    assert stands() == PASSWORDS


def refusing(operation: str) -> Callable[..., Any]:
    original: Callable[..., Any] = BaseClient._make_api_call

    def call(self: BaseClient, name: str, arguments: dict[str, Any]) -> Any:
        if name == operation:
            error = {"Error": {"Code": "AccessDeniedException", "Message": "not authorized"}}
            raise self.exceptions.from_code("AccessDeniedException")(error, name)
        return original(self, name, arguments)

    return call


# Killed


class Killed(BaseException):
    """As SIGKILL: nothing catches it."""


class Killer:
    """Kills before or after one of the calls that change something."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, at: int, *, before: bool) -> None:
        self.calls: list[str] = []
        original: Callable[..., Any] = BaseClient._make_api_call

        def call(client: BaseClient, name: str, arguments: dict[str, Any]) -> Any:
            changes = not name.startswith(("Get", "List", "Describe"))
            if changes:
                self.calls.append(name)
            now = changes and len(self.calls) == at
            if now and before:
                raise Killed
            answer = original(client, name, arguments)
            if now:
                raise Killed
            return answer

        monkeypatch.setattr(BaseClient, "_make_api_call", call)


def kills(
    monkeypatch: pytest.MonkeyPatch, do: Callable[..., object], *given: str, before: bool, at: int
) -> list[str] | None:
    """Do it and be killed at a call; what was called if there were fewer."""
    with monkeypatch.context() as patched:
        killer = Killer(patched, at, before=before)
        try:
            do(*given)
        except Killed:
            return None
        return killer.calls


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
@pytest.mark.parametrize("meanwhile", [None, AT_REST, OFF], ids=["ours", "theirs", "off"])
def test_a_teardown_that_is_killed(
    monkeypatch: pytest.MonkeyPatch, meanwhile: dict[str, Any] | None, before: bool
) -> None:
    """At each call that changes something; run again, it ends as without the kill, also for the key."""
    stays = meanwhile is None  # for a database of others
    for at in range(1, 20):
        put(PASSWORDS)
        lake = Solution(f"Killed{at}")
        lake.set_up()
        if stays:
            session().client("glue").create_database(DatabaseInput={"Name": f"others{at}"})
        if meanwhile:
            put(meanwhile)
        key = lake.key
        calls = kills(monkeypatch, lake.uninstall, before=before, at=at)
        lake.uninstall()
        assert stands() == (meanwhile or PASSWORDS), at
        assert is_to_go(key) == (not stays), at
        assert lake.zone.status() in (None, "DELETE_COMPLETE")
        if calls:
            break
    assert calls
    assert calls.count("DeleteStack") == 2
    assert calls.count("UpdateStack") == 1  # of what is recorded, or of what happens to the key
    assert ("PutDataCatalogEncryptionSettings" in calls) == (meanwhile is not OFF)


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
@pytest.mark.parametrize("choice", ["Manage", "LeaveAsIs"])
def test_a_set_up_that_is_killed(monkeypatch: pytest.MonkeyPatch, choice: str, before: bool) -> None:
    """The first one, and an update to LeaveAsIs."""
    for at in range(1, 20):
        put(PASSWORDS)
        lake = Solution(f"Begun{at}")
        if choice == "LeaveAsIs":
            lake.set_up()
        calls = kills(monkeypatch, lake.set_up, choice, before=before, at=at)
        lake.set_up(choice)
        assert (stands() == PASSWORDS) == (choice == "LeaveAsIs"), at
        assert lake.recorded == (PASSWORDS if choice == "Manage" else {}), at
        lake.uninstall()
        assert stands() == PASSWORDS, at
        if calls:
            break
    assert calls


# The key


def test_the_key_stays_for_what_others_have_in_the_catalog() -> None:
    glue = session().client("glue")
    lake = Solution("Stays")
    lake.set_up()
    glue.create_database(DatabaseInput={"Name": "default"})
    glue.create_database(DatabaseInput={"Name": "ofothers"})
    key = lake.key
    told = lake.uninstall()
    assert f"kept, as OnDelete says: KMS key {key}; the key encrypts what others have in the data catalog: of" in told
    assert "catalog: ofothers (" in told  # and not default, which is empty
    assert not is_to_go(key)
    assert lake.zone.status() in (None, "DELETE_COMPLETE")


def test_the_key_stays_for_tables_in_a_database_of_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the teardown is killed before it deletes the stack, and where the catalog was let go."""
    glue = session().client("glue")
    glue.create_database(DatabaseInput={"Name": "default"})
    lake = Solution("Tables")
    lake.set_up()
    glue.create_table(DatabaseName="default", TableInput={"Name": "theirs"})
    lake.set_up("LeaveAsIs")
    key = lake.key
    kills(monkeypatch, lake.uninstall, before=True, at=3)
    assert lake.zone.parameters()["OnDelete"] == "KeepData"
    assert "in the data catalog: default" in lake.uninstall()
    assert not is_to_go(key)


def test_the_set_ups_role_may_do_all_of_it() -> None:
    """Also what no launch of the tests comes to: a look at the tables of others."""
    put(PASSWORDS)
    lake = Solution("ByRole")
    lake.set_up()
    glue = session().client("glue")
    glue.create_database(DatabaseInput={"Name": "ofothers"})
    glue.create_database(DatabaseInput={"Name": "default"})  # one that can't be looked at would count
    lake.session = as_set_up(lake.project)
    key = lake.key
    assert "in the data catalog: ofothers (" in lake.uninstall()
    assert stands() == PASSWORDS
    assert not is_to_go(key)


def as_set_up(project: str) -> boto3.Session:
    """With a role that has the policies of the root template's SetupRole."""
    iam = session().client("iam")
    user = f"arn:aws:iam::{process.ACCOUNT}:root"
    trust = {"Effect": "Allow", "Principal": {"AWS": user}, "Action": "sts:AssumeRole"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    role = iam.create_role(RoleName=f"{project}SetupRole", AssumeRolePolicyDocument=document)["Role"]
    values = {
        "AWS::Partition": "aws",
        "AWS::Region": process.REGION,
        "AWS::AccountId": process.ACCOUNT,
        "Project": project,
        "Prefix.Value": project.lower(),
    }
    for policy in parsed("templates/setup_cfn.yml")["Resources"]["SetupRole"]["Properties"]["Policies"]:
        text = json.dumps(policy["PolicyDocument"])
        for name, value in values.items():
            text = text.replace(f"${{{name}}}", value)
        plain = re.sub(r'\{"Fn::(?:Sub|GetAtt)": ("[^"]*"|\[[^]]*\])\}', lambda found: found[1], text)
        iam.put_role_policy(RoleName=role["RoleName"], PolicyName=policy["PolicyName"], PolicyDocument=plain)
    told = session().client("sts").assume_role(RoleArn=role["Arn"], RoleSessionName="test")["Credentials"]
    return boto3.Session(told["AccessKeyId"], told["SecretAccessKey"], told["SessionToken"])


def test_a_stack_that_cannot_be_told_to_keep_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that is under way can, once that has ended."""
    lake = Solution("Untold")
    lake.set_up()
    session().client("glue").create_database(DatabaseInput={"Name": "ofothers"})
    catalog = Catalog(lake.session, lake.settings())
    with monkeypatch.context() as patched:
        seems(patched, *["DELETE_FAILED"] * 3)
        with pytest.raises(SetupError, match=r"UntoldZone is DELETE_FAILED, but .*: ofothers\. .*-resources DataKey"):
            catalog.keep_key(print)
    with monkeypatch.context() as patched:
        seems(patched, "UPDATE_IN_PROGRESS")
        assert catalog.keep_key(print).endswith(": ofothers")
    lake.uninstall()


def seems(monkeypatch: pytest.MonkeyPatch, *statuses: str) -> None:
    """Stacks have these statuses when they are asked first."""
    told, status = iter(statuses), Stack.status
    monkeypatch.setattr(Stack, "status", lambda stack: next(told, None) or status(stack))


def test_what_is_older_than_the_key_does_not_hold_it() -> None:
    glue = session().client("glue")
    glue.create_database(DatabaseInput={"Name": "older"})
    glue.create_table(DatabaseName="older", TableInput={"Name": "theirs"})
    time.sleep(1.1)  # the catalog's times are in seconds
    lake = Solution("Young")
    lake.set_up()
    key = lake.key
    lake.uninstall()
    assert is_to_go(key)


def test_by_hand() -> None:
    """Appendix C's commands, where the code stack is deleted by hand."""
    put(PASSWORDS)
    lake = Solution("ByHand")
    lake.set_up()
    pipe = json.dumps({"Resources": {"Group": {"Type": "AWS::Logs::LogGroup"}}})
    Stack(lake.session, "ByHandPipe").deploy(pipe, {}, print)
    solution.shell(solution.appendix("C")[1].replace(names.PROJECT, lake.project))
    assert stands() == PASSWORDS
    assert lake.zone.status() in (None, "DELETE_COMPLETE")
