"""The templates as an account has them: parameters, conditions and names filled in, and the ARN of every resource."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cfnlint.decode.cfn_yaml import load

from setup import names

ACCOUNT, REGION, PARTITION = "123456789012", "us-east-1", "aws"
PROJECT = names.PROJECT
PREFIX = PROJECT.lower()
KEY = f"arn:{PARTITION}:kms:{REGION}:{ACCOUNT}:key/data"
CATALOG_KEY = f"arn:{PARTITION}:kms:{REGION}:{ACCOUNT}:key/catalog"
BOUNDARY = f"arn:{PARTITION}:iam::{ACCOUNT}:policy/Boundary"
STACKS = {  # each behind the project's name
    "templates/setup_cfn.yml": "-Setup",
    "zone/zone_cfn.yml": "Zone",
    "pipe/pipe_cfn.yml": "Pipe",
    "code/code_cfn.yml": "Code",
}
EVERYTHING = {"CatalogKeyArn": CATALOG_KEY, "PermissionsBoundary": BOUNDARY}  # what is optional
NO_VALUE = object()  # AWS::NoValue

Record = dict[str, Any]


def given(project: str) -> dict[str, str]:
    """The parameters of a project, to every template that has one of the name."""
    prefix = project.lower()
    return {
        "Project": project,
        "Prefix": prefix,
        "DataKeyArn": KEY if project == PROJECT else f"{KEY}-of-{prefix}",
        "DataLakeBucket": f"{prefix}pipe-datalakebucket-x",
        "ResourcesBucket": f"{prefix}pipe-resourcesbucket-x",
        "SolutionBucket": "genomics-solution",
        "SolutionPrefix": "genomics-tertiary-analysis-and-data-lakes/v0.1.0/",
    }


GIVEN = given(PROJECT)


def parsed() -> dict[str, Record]:
    """The four templates, by their paths."""
    return {template: load(str(names.ROOT / template)) for template in STACKS}


@dataclass(frozen=True)
class Resource:
    """A resource with its properties filled in."""

    template: str
    name: str  # its logical id
    kind: str
    properties: Record
    metadata: Record
    arn: str

    @property
    def physical(self) -> str:
        """The name or number that AWS knows it by."""
        return re.split(r"[:/]", self.arn)[-1]


def resources(template: str, content: Record, parameters: Mapping[str, str]) -> list[Resource]:
    """Those that a template makes with these parameters; what is not given has its default."""
    filled = _Template(template, content, parameters)
    found = []
    for name, resource in content["Resources"].items():
        if "Condition" not in resource or filled.condition(resource["Condition"]):
            properties = filled.value(resource.get("Properties", {}))
            arn = filled.arn(name)
            found.append(Resource(template, name, resource["Type"], properties, resource.get("Metadata", {}), arn))
    return found


class _Template:
    """Fills in what intrinsic functions stand for."""

    def __init__(self, path: str, content: Record, parameters: Mapping[str, str]) -> None:
        self._content, self._stack = content, parameters["Project"] + STACKS[path]
        defaults = {name: parameter.get("Default", "") for name, parameter in content["Parameters"].items()}
        self._parameters = defaults | {name: value for name, value in parameters.items() if name in defaults}
        self._pseudo = {
            "AWS::AccountId": ACCOUNT,
            "AWS::NoValue": NO_VALUE,
            "AWS::Partition": PARTITION,
            "AWS::Region": REGION,
            "AWS::StackName": self._stack,
        }

    def condition(self, name: str) -> bool:
        return bool(self.value(self._content["Conditions"][name]))

    def value(self, given: Any) -> Any:
        if isinstance(given, list):
            return [value for value in map(self.value, given) if value is not NO_VALUE]
        if not isinstance(given, dict):
            return given
        if len(given) == 1:
            ((function, argument),) = given.items()
            if function in ("Ref", "Condition") or function.startswith("Fn::"):
                return self._call(function, argument)
        filled = {key: self.value(value) for key, value in given.items()}
        return {key: value for key, value in filled.items() if value is not NO_VALUE}

    def _call(self, function: str, argument: Any) -> Any:
        match function:
            case "Ref":
                return self._reference(argument)
            case "Condition":
                return self.condition(argument)
            case "Fn::GetAtt":
                return self._attribute(*(argument.split(".") if isinstance(argument, str) else argument))
            case "Fn::Sub":
                return re.sub(r"\$\{([^}!]+)\}", lambda found: str(self._named(found[1])), argument)
            case "Fn::If":
                name, then, otherwise = argument
                return self.value(then if self.condition(name) else otherwise)
            case "Fn::FindInMap":
                mapping, first, second = argument
                return self._content["Mappings"][mapping][first][second]
        return _CALCULATED[function](*map(self.value, listed(argument)))

    def _named(self, name: str) -> Any:
        return self._attribute(*name.split(".")) if "." in name else self._reference(name)

    def _reference(self, name: str) -> Any:
        for known in (self._pseudo, self._parameters):
            if name in known:
                return known[name]
        is_policy = self._content["Resources"][name]["Type"] == "AWS::IAM::ManagedPolicy"
        return self.arn(name) if is_policy else self.physical(name)

    def _attribute(self, name: str, attribute: str) -> str:
        kind = self._content["Resources"][name]["Type"]
        if attribute == "Arn":
            return self.arn(name) + (":*" if kind == "AWS::Logs::LogGroup" else "")
        if kind == "Custom::Prefix":
            return str(self._parameters["Project"]).lower()
        return self.physical(name)  # the others that the templates use are names

    def physical(self, name: str) -> str:
        """The name of a resource, or the number that CloudFormation or the service makes."""
        resource = self._content["Resources"][name]
        properties, kind = resource.get("Properties", {}), resource["Type"]
        for key in ("Name", f"{kind.rpartition('::')[2]}Name", "AliasName"):
            if key in properties:
                return str(self.value(properties[key]))
        if kind in ("AWS::Glue::Database", "AWS::Glue::Table"):
            return str(self.value(properties[f"{kind.rpartition('::')[2]}Input"]["Name"]))
        if kind == "AWS::KMS::Key":
            return KEY.rpartition("/")[2]
        made = f"{self._stack}-{name}-x"
        return made.lower() if kind == "AWS::S3::Bucket" else made

    def arn(self, name: str) -> str:
        """The ARN of a resource; of one that has none, of what it belongs to."""
        resource = self._content["Resources"][name]
        properties, kind = resource.get("Properties", {}), resource["Type"]
        match kind:
            case "AWS::S3::BucketPolicy":
                return f"arn:{PARTITION}:s3:::{self.value(properties['Bucket'])}"
            case "AWS::S3::Bucket":
                return f"arn:{PARTITION}:s3:::{self.physical(name)}"
            case "AWS::IAM::Role" | "AWS::IAM::ManagedPolicy":
                path = ("role" if kind == "AWS::IAM::Role" else "policy") + self.value(properties.get("Path", "/"))
                return f"arn:{PARTITION}:iam::{ACCOUNT}:{path}{self.physical(name)}"
            case "AWS::Athena::NamedQuery":
                return _arn("athena", f"workgroup/{self.value(properties['WorkGroup'])}")
            case "AWS::Glue::DataCatalogEncryptionSettings":
                return _arn("glue", "catalog")
            case "AWS::Glue::Table":
                return _arn("glue", f"table/{self.value(properties['DatabaseName'])}/{self.physical(name)}")
        return _arn(*_ARNS[kind]) + self.physical(name) if kind in _ARNS else ""


_CALCULATED: dict[str, Any] = {
    "Fn::And": lambda *values: all(values),
    "Fn::Base64": lambda value: value,
    "Fn::Equals": lambda first, second: first == second,
    "Fn::Not": lambda value: not value,
}


def listed(value: Any) -> list[Any]:
    """A list, where a template may have nothing, one thing or a list of them."""
    return value if isinstance(value, list) else [] if value is None else [value]


def _arn(service: str, rest: str) -> str:
    return f"arn:{PARTITION}:{service}:{REGION}:{ACCOUNT}:{rest}"


_ARNS = {
    "AWS::Athena::WorkGroup": ("athena", "workgroup/"),
    "AWS::CodeBuild::Project": ("codebuild", "project/"),
    "AWS::CodeCommit::Repository": ("codecommit", ""),
    "AWS::CodePipeline::Pipeline": ("codepipeline", ""),
    "AWS::Events::Rule": ("events", "rule/"),
    "AWS::Glue::Crawler": ("glue", "crawler/"),
    "AWS::Glue::Database": ("glue", "database/"),
    "AWS::Glue::Job": ("glue", "job/"),
    "AWS::KMS::Alias": ("kms", ""),
    "AWS::KMS::Key": ("kms", "key/"),
    "AWS::Lambda::Function": ("lambda", "function:"),
    "AWS::Logs::LogGroup": ("logs", "log-group:"),
    "AWS::SageMaker::NotebookInstance": ("sagemaker", "notebook-instance/"),
    "AWS::SageMaker::NotebookInstanceLifecycleConfig": ("sagemaker", "notebook-instance-lifecycle-config/"),
}
