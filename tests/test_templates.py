"""The templates: nothing in them is unused, no permission is wider than it says why; tests/lint.py has the linters."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pytest
from cfnlint.decode.cfn_yaml import load

from genomicslake import clustered, rejects
from genomicslake.publish import LOADS
from setup import names
from tests.lint import TEMPLATES

STAND_BY_THEMSELVES = {  # nothing has to refer to a resource of these kinds
    "AWS::Athena::NamedQuery",
    "AWS::Events::Rule",
    "AWS::Glue::DataCatalogEncryptionSettings",
    "AWS::Glue::Table",
    "AWS::KMS::Alias",
    "AWS::S3::BucketPolicy",
    "Custom::Setup",
}


def text(template: str) -> str:
    return (names.ROOT / template).read_text()


def parsed(template: str) -> dict[str, Any]:
    return dict(load(str(names.ROOT / template)))


def within(value: Any) -> Iterator[Any]:
    """A value and everything in it."""
    yield value
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for one in inside:
        yield from within(one)


def references(value: Any) -> set[str]:
    """The names that intrinsic functions in a value refer to."""
    found: set[str] = set()
    for one in within(value):
        if isinstance(one, dict):
            for key, told in one.items():
                if key in ("Ref", "Condition") and isinstance(told, str):
                    found.add(told)
                elif key == "Fn::GetAtt":
                    found.add(told.split(".")[0] if isinstance(told, str) else told[0])
                elif key in ("Fn::If", "Fn::FindInMap"):
                    found.add(told[0])
                elif key == "Fn::Sub":
                    given = told if isinstance(told, str) else told[0]
                    found |= {name.split(".")[0] for name in re.findall(r"\$\{([^!}]+)\}", given)}
                elif key == "DependsOn":
                    found |= {told} if isinstance(told, str) else set(told)
    return found


@pytest.mark.parametrize("template", TEMPLATES)
def test_everything_is_used(template: str) -> None:
    content = parsed(template)
    used = references({key: value for key, value in content.items() if key != "Metadata"})
    for section in ("Parameters", "Conditions", "Mappings"):
        assert set(content.get(section, {})) <= used, section
    for name, resource in content["Resources"].items():
        elsewhere = references({key: value for key, value in content["Resources"].items() if key != name})
        assert name in elsewhere | references(content["Outputs"]) or resource["Type"] in STAND_BY_THEMSELVES, name


@pytest.mark.parametrize("template", TEMPLATES[1:])
def test_every_output_is_read(template: str) -> None:
    """By the set-up, or by people: where things are, and which template made a stack."""
    code = "".join(path.read_text() for path in (names.ROOT / "setup").rglob("*.py"))
    unread = {name for name in parsed(template)["Outputs"] if f'"{name}"' not in code}
    assert unread <= {"TemplateVersion", "StackName", "BuildBucket", "ResourcesBucket"}


@pytest.mark.parametrize("template", TEMPLATES)
def test_parameters_explain_themselves(template: str) -> None:
    content = parsed(template)
    interface = content["Metadata"]["AWS::CloudFormation::Interface"]
    grouped = [name for group in interface["ParameterGroups"] for name in group["Parameters"]]
    assert sorted(grouped) == sorted(content["Parameters"]) == sorted(interface["ParameterLabels"])
    for name, parameter in content["Parameters"].items():
        assert len(parameter["Description"]) > 10, name
        if "AllowedPattern" in parameter:
            assert parameter["ConstraintDescription"].endswith("."), name
        allowed = parameter.get("AllowedPattern")
        if allowed and "Default" in parameter:
            assert re.search(allowed, str(parameter["Default"])), name


def statements(template: str) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Every policy statement, with the resource that it stands in."""
    for resource in parsed(template)["Resources"].values():
        for one in within(resource["Properties"]):
            if isinstance(one, dict) and "Effect" in one:
                yield resource, one


@pytest.mark.parametrize("template", TEMPLATES)
def test_no_permission_is_wider_than_it_says_why(template: str) -> None:
    for resource, statement in statements(template):
        actions = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
        wild = [action for action in actions if "*" in action]
        assert not wild or statement["Effect"] == "Deny"
        places = statement.get("Resource", [])
        if "*" in (places if isinstance(places, list) else [places]) or wild:
            reasons = resource["Metadata"]["wildcards"]
            assert all(len(reason["reason"]) > 20 for reason in reasons)


@pytest.mark.parametrize("template", TEMPLATES)
def test_arns_are_right_in_every_partition(template: str) -> None:
    assert not re.findall(r"arn:aws(?!\[)[^ ]*", text(template))


@pytest.mark.parametrize("template", TEMPLATES)
def test_roles_begin_with_the_projects_name(template: str) -> None:
    for resource in parsed(template)["Resources"].values():
        if resource["Type"] == "AWS::IAM::Role":
            assert resource["Properties"]["RoleName"]["Fn::Sub"].startswith("${Project}")


def test_versions_agree() -> None:
    for template in TEMPLATES:
        versions = [one["Version"] for one in within(parsed(template)["Mappings"]) if "Version" in (one or {})]
        assert versions == [names.VERSION], template


def test_named_queries_are_the_files() -> None:
    """The template's text is the file's, for this project and GRCh37, with the guide's cohort for the parameter."""
    queries = {
        resource["Properties"]["Name"]: resource["Properties"]["QueryString"]["Fn::Sub"]
        for resource in parsed("code/code_cfn.yml")["Resources"].values()
        if resource["Type"] == "AWS::Athena::NamedQuery"
    }
    tables = dict.fromkeys((path.stem for path in names.QUERIES.glob("*.sql")), names.VARIANTS_TABLE)
    of_cohort = [name for name in tables if "${variants}" in (names.QUERIES / f"{name}.sql").read_text()]
    tables |= {f"{name}_clustered": names.CLUSTERED_TABLE for name in of_cohort}
    assert set(queries) == set(tables)
    for name, query in queries.items():
        told = (names.QUERIES / f"{name.removesuffix('_clustered')}.sql").read_text()
        filled = told.replace("${database}", "${Prefix}").replace("${reference_genome}", "GRCh37")
        filled = filled.replace("${variants}", tables[name])
        assert query.rstrip("\n") == filled.replace("LIKE ?", "LIKE 'NA12%'").rstrip("\n")


@pytest.mark.parametrize(
    ("name", "schema"), [("LoadsTable", LOADS), ("RejectsTable", rejects.SCHEMA), ("ClusteredTable", clustered.SCHEMA)]
)
def test_tables_have_the_columns_of_their_files(name: str, schema: Any) -> None:
    table = parsed("code/code_cfn.yml")["Resources"][name]["Properties"]["TableInput"]
    columns = [(column["Name"], column["Type"]) for column in table["StorageDescriptor"]["Columns"]]
    assert columns == [(field.name, hive(field.type)) for field in schema]


def hive(kind: Any) -> str:
    """The catalog's name of an Arrow type."""
    if pa.types.is_list(kind):
        return f"array<{hive(kind.value_type)}>"
    if pa.types.is_struct(kind):
        return f"struct<{','.join(f'{field.name}:{hive(field.type)}' for field in kind)}>"
    return {pa.string(): "string", pa.int64(): "bigint", pa.int32(): "int"}[kind]


def test_crawlers_configurations_are_json() -> None:
    for resource in parsed("code/code_cfn.yml")["Resources"].values():
        if resource["Type"] == "AWS::Glue::Crawler":
            assert json.loads(resource["Properties"]["Configuration"])["Version"] == 1.0
