"""The tables of docs/security.md, made of the templates: `.venv/bin/python -m tests.iam.page` writes them."""

import re
from collections.abc import Iterator

from setup import names
from tests.iam import account
from tests.iam.account import Resource, listed
from tests.iam.policies import Statement, managed, statements

PAGE = names.ROOT / "docs" / "security.md"
BEGIN, END = "<!-- made of the templates: begin -->", "<!-- made of the templates: end -->"
_GIVEN = account.given("${Project}") | {
    "CatalogKeyArn": account.CATALOG_KEY,
    "DataKeyArn": account.KEY,
    "DataLakeBucket": "${DataLakeBucket}",
    "ResourcesBucket": "${ResourcesBucket}",
    "SolutionBucket": "${SolutionBucket}",
    "SolutionPrefix": "${SolutionPrefix}",
}
_BUCKETS = {"build": "BuildBucket", "resources": "ResourcesBucket", "datalake": "DataLakeBucket", "logs": "LogsBucket"}
_SHORTER = (
    (rf"^arn:aws:([\w-]+):(?:{account.REGION})?:(?:{account.ACCOUNT}|aws)?:", r"\1 "),
    (account.REGION, "${AWS::Region}"),
    (r"^kms key/data$", "the data key"),
    (r"^kms key/catalog$", "the catalog's key"),
    (r"^s3 \$\{project\}pipe-(\w+)bucket-x", lambda found: f"s3 ${{{_BUCKETS[found[1]]}}}"),
)


def written(page: str) -> str:
    """The page with its tables as the templates have them."""
    start, _, rest = page.partition(BEGIN)
    _, _, end = rest.partition(END)
    return f"{start}{BEGIN}\n\n{tables()}\n{END}{end}"


def tables() -> str:
    """One row a role; then, for each role, what its policies let it do."""
    found = {path: account.resources(path, content, _GIVEN) for path, content in account.parsed().items()}
    roles = [(path, one, made) for path, made in found.items() for one in made if one.kind == "AWS::IAM::Role"]
    lines = ["| role | in | who takes it | what for | what it can touch |", "|---|---|---|---|---|"]
    for path, role, made in roles:
        touched = ", ".join(dict.fromkeys(_touched(_all(role, made))))
        what_for = role.metadata["role"]["what_for"]
        lines.append(f"| [`{role.name}`](#{role.name.lower()}) | `{path}` | {_taker(role)} | {what_for} | {touched} |")
    for _, role, made in roles:
        lines += ["", f"### {role.name}", "", "| statement | may | on | if |", "|---|---|---|---|"]
        lines += [_row(statement) for statement in _all(role, made)]
        for owner in (role, *managed(role, made)):
            for told in owner.metadata.get("permissions", []):
                actions = ", ".join(f"`{action}`" for action in told["actions"])
                lines.append(f"\n{told['policy']}, {actions}: {told['reason']}")
            for told in owner.metadata.get("wildcards", []):
                lines.append(f"\n{', '.join(listed(told['statement']))}, on `*`: {told['reason']}")
    return "\n".join(lines) + "\n"


def _all(role: Resource, made: list[Resource]) -> list[Statement]:
    return [one for owner in (role, *managed(role, made)) for one in statements(owner)]


def _taker(role: Resource) -> str:
    (trust,) = role.properties["AssumeRolePolicyDocument"]["Statement"]
    service = trust["Principal"]["Service"]
    keys = {key: value for condition in trust.get("Condition", {}).values() for key, value in condition.items()}
    sources = [f"`{_short(one)}`" for one in listed(keys.get("aws:SourceArn", []))]
    return f"`{service}`" + (f", for {', '.join(sources)}" if sources else "")


def _touched(found: list[Statement]) -> Iterator[str]:
    """What a role may more than look at, without what is inside."""
    for statement in found:
        for resource in statement.resources:
            if resource != "*" and any(
                not re.search(r":(Get|List|Describe|BatchGet)", one) for one in statement.actions
            ):
                yield f"`{_short(resource)}`"


def _row(statement: Statement) -> str:
    actions = ", ".join(f"`{action}`" for action in statement.actions)
    places = ", ".join(f"`{_short(resource)}`" for resource in statement.resources)
    conditions = "; ".join(
        f"`{key}` is {' or '.join(f'`{_short(str(one))}`' for one in listed(value))}"
        + (", or not told" if operator.endswith("IfExists") else "")
        for operator, keys in statement.conditions.items()
        for key, value in keys.items()
    )
    return f"| {statement.policy} | {actions} | {places} | {conditions} |"


def _short(resource: str) -> str:
    for pattern, shorter in _SHORTER:
        resource = re.sub(pattern, shorter, resource)
    return resource


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
