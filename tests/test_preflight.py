"""What stands in the way of a set-up is told before anything is made."""

import io
import json

import boto3
import pytest
from rich.console import Console

from setup import names, preflight, teardown
from setup.catalog import Encryption
from setup.errors import SetupError
from setup.rehearsal import process
from setup.settings import Settings
from setup.stacks import Stack

pytestmark = pytest.mark.usefixtures("emulator")


def settings(
    project: str, catalog_encryption: str = "Manage", deployment_id: str = "", own_key_arn: str = ""
) -> Settings:
    return Settings(
        project=project,
        solution_bucket="b",
        solution_prefix="",
        on_delete="DeleteData",
        catalog_encryption=catalog_encryption,
        glue_version="5.1",
        notebook_instance_type="none",
        hail_from="Wheel",
        own_key_arn=own_key_arn,
        permissions_boundary="",
        anonymous_metrics="No",
        deployment_id=deployment_id,
        request="",
    )


def check(given: Settings) -> Encryption:
    return preflight.check(boto3.Session(), given, print)


def test_an_empty_account() -> None:
    assert check(settings("Free")).choice == "Manage"


@pytest.mark.parametrize("part", ["Pipe", "Code"])
def test_a_repository_of_somebody_else(part: str) -> None:
    boto3.client("codecommit").create_repository(repositoryName=f"Taken{part}{part}")
    with pytest.raises(SetupError, match=f"repository Taken{part}{part}, which is not of this solution"):
        check(settings(f"Taken{part}"))


def test_a_database_of_somebody_else() -> None:
    boto3.client("glue").create_database(DatabaseInput={"Name": "takendatabase"})
    with pytest.raises(SetupError, match="database takendatabase in the data catalog"):
        check(settings("TakenDatabase"))


def test_a_service_that_is_refused() -> None:
    """As an account to which CodeCommit is not open: the error names the service, the region, and what to do."""
    iam, sts = boto3.client("iam"), boto3.client("sts")
    user = f"arn:aws:iam::{process.ACCOUNT}:root"
    trust = '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"AWS": "%s"}, "Action": "*"}]}'
    role = iam.create_role(RoleName="NoCodeCommit", AssumeRolePolicyDocument=trust % user)["Role"]
    everything = '{"Effect": "Allow", "Action": "*", "Resource": "*"}'
    nothing = '{"Effect": "Deny", "Action": "codecommit:*", "Resource": "*"}'
    policy = f'{{"Version": "2012-10-17", "Statement": [{everything}, {nothing}]}}'
    iam.put_role_policy(RoleName="NoCodeCommit", PolicyName="P", PolicyDocument=policy)
    told = sts.assume_role(RoleArn=role["Arn"], RoleSessionName="test")["Credentials"]
    session = boto3.Session(told["AccessKeyId"], told["SecretAccessKey"], told["SessionToken"])
    with pytest.raises(SetupError, match=r"codecommit can't be used in us-east-1 .*CodeCommit is not open to every"):
        preflight.check(session, settings("Refused"), print)


def test_what_another_launch_made_is_left_alone() -> None:
    """A second root stack of the same project: its launch is refused, and the deletion that follows deletes nothing."""
    group = {"Group": {"Type": "AWS::Logs::LogGroup", "Properties": {"LogGroupName": "/twice"}}}
    template = json.dumps({"Resources": group, "Outputs": {"DeploymentId": {"Value": "first"}}})
    zone = Stack(boto3.Session(), "TwiceZone")
    zone.deploy(template, {}, print)
    with pytest.raises(SetupError, match="Stack TwiceZone and those after it are of deployment first"):
        check(settings("Twice", deployment_id="second"))
    told = io.StringIO()
    teardown.run(boto3.Session(), settings("Twice", deployment_id="second"), Console(file=told))
    assert "not of this one: left alone" in " ".join(told.getvalue().split())
    assert zone.status() == "CREATE_COMPLETE"
    teardown.run(boto3.Session(), settings("Twice", deployment_id="first"), Console(file=told))
    assert zone.status() in (None, "DELETE_COMPLETE")


# A key of one's own


def own_key(project: str) -> str:
    tags = [{"TagKey": "Project", "TagValue": project}]
    return str(boto3.client("kms").create_key(Tags=tags)["KeyMetadata"]["Arn"])


def test_a_key_of_ones_own() -> None:
    assert check(settings("OwnKey", own_key_arn=own_key("OwnKey"))).choice == "Manage"


def test_a_key_that_is_not_there() -> None:
    arn = own_key("NoKey")[:-36] + "00000000-0000-4000-8000-000000000000"
    with pytest.raises(SetupError, match=r"OwnKeyArn arn:\S+ can't be used \(NotFoundException"):
        check(settings("NoKey", own_key_arn=arn))


def test_a_key_that_is_switched_off() -> None:
    arn = own_key("OffKey")
    boto3.client("kms").disable_key(KeyId=arn)
    with pytest.raises(SetupError, match=r"and Disabled\. It has to be symmetric"):
        check(settings("OffKey", own_key_arn=arn))


def test_a_key_of_another_kind() -> None:
    tags = [{"TagKey": "Project", "TagValue": "SignsKey"}]
    made = boto3.client("kms").create_key(KeySpec="RSA_2048", KeyUsage="SIGN_VERIFY", Tags=tags)["KeyMetadata"]
    with pytest.raises(SetupError, match="is a key of RSA_2048"):
        check(settings("SignsKey", own_key_arn=made["Arn"]))


def test_a_key_without_the_tag() -> None:
    arn = own_key("Somebodys")
    with pytest.raises(SetupError, match="lacks the tag Project with UntaggedKey"):
        check(settings("UntaggedKey", own_key_arn=arn))


def test_the_key_of_a_lake_does_not_change() -> None:
    """Neither from one's own to another or to none, nor from the one that was made."""
    first, second = own_key("KeyStays"), own_key("KeyStays")
    template = (names.ROOT / "zone" / "zone_cfn.yml").read_text()
    zone = Stack(boto3.Session(), "KeyStaysZone")
    zone.deploy(template, {"Project": "KeyStays", "Prefix": "keystays", "OwnKeyArn": first}, print)
    assert zone.outputs()["DataKeyArn"] == first
    assert not {"DataKey", "DataKeyAlias"} & set(zone.resources())
    assert check(settings("KeyStays", own_key_arn=first)).choice == "Manage"
    for other in (second, ""):
        with pytest.raises(SetupError, match=rf"The lake is encrypted with {first}, which can't be changed"):
            check(settings("KeyStays", own_key_arn=other))
    made = Stack(boto3.Session(), "KeyMadeZone")
    made.deploy(template, {"Project": "KeyMade", "Prefix": "keymade"}, print)
    assert check(settings("KeyMade")).choice == "Manage"
    with pytest.raises(SetupError, match=f"which can't be changed to {second}"):
        check(settings("KeyMade", own_key_arn=second))
