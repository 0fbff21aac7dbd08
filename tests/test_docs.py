"""What the README and docs/ say is so: commands parse, queries parse, error texts are raised, links lead somewhere."""

import ast
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import boto3
import duckdb
import pytest
from botocore import xform_name

from benchmarks import results
from clinvar_to_parquet import clinvar_to_parquet
from genomicslake.errors import LakeError
from genomicslake.reasons import Reason
from setup import __main__ as verbs
from setup import names
from tests.iam.page import PAGE, written
from tests.solution import appendix
from vcf_to_parquet import vcf_to_parquet

PAGES = [names.ROOT / "README.md", *sorted((names.ROOT / "docs").glob("*.md"))]
JOBS = {"vcf_to_parquet.py": vcf_to_parquet, "clinvar_to_parquet.py": clinvar_to_parquet}


def fenced(language: str) -> list[str]:
    found = [
        re.findall(rf"^ *```{language}\n(.*?)^ *```", page.read_text(), re.MULTILINE | re.DOTALL) for page in PAGES
    ]
    return [block for blocks in found for block in blocks]


def commands() -> Iterator[list[str]]:
    """Those that nothing executes: tests/rehearsal.py and tests/faults.py run the appendices' own."""
    executed = appendix("CDEFGH")
    for block in fenced("bash"):
        if block in executed:
            continue
        for line in block.replace("\\\n", " ").splitlines():
            yield shlex.split(line)


def setup_verbs() -> set[str]:
    """The verbs that setup.sh's case statement knows."""
    case = (names.ROOT / "setup.sh").read_text().split("case $verb in")[1]
    return set(re.findall(r"\w+", " ".join(re.findall(r"^  ([a-z| -]+)\)$", case, re.MULTILINE)))) - {"h", "help"}


@pytest.mark.parametrize("command", list(commands()), ids=" ".join)
def test_commands_are_understood(command: list[str]) -> None:
    program, *arguments = command
    if program == "./setup.sh":
        assert arguments[0] in setup_verbs()
        if arguments[0] not in ("test", "lint", "lock"):
            verbs._parser().parse_args(arguments)
    elif program == "aws":
        understood_by_aws(arguments)
    else:
        assert program == ".venv/bin/python"
        script = names.ROOT / arguments[0]
        assert script.is_file()
        with pytest.raises(LakeError, match="no such file"):
            JOBS[script.name](arguments[1:])


def understood_by_aws(arguments: list[str]) -> None:
    """The AWS CLI takes a command's service, operation and options; where it is asked for, it isn't run."""
    service, operation, *options = arguments
    if operation == "wait":
        operation, *options = options
        model = boto3.Session().client(service, region_name="us-east-1").get_waiter(operation.replace("-", "_"))
        assert model
        return
    client = boto3.client(service, region_name="us-east-1")
    name = client.meta.method_to_api_mapping[operation.replace("-", "_")]
    shape = client.meta.service_model.operation_model(name).input_shape
    taken = {f"--{xform_name(member, '-')}" for member in shape.members}
    given = {option for option in options if re.fullmatch(r"--[a-z-]+", option)} - {"--query", "--max-results"}
    assert given <= taken
    assert {f"--{xform_name(member, '-')}" for member in shape.required_members} <= given


def test_help_names_every_verb() -> None:
    told = (names.ROOT / "setup.sh").read_text().split("<<'EOF'")[1].split("EOF")[0]
    assert set(re.findall(r"^  (\w+)  ", told, re.MULTILINE)) == setup_verbs()


@pytest.mark.parametrize("query", [*fenced("sql"), *(path.read_text() for path in names.QUERIES.glob("*.sql"))])
def test_queries_parse(query: str) -> None:
    plain = query.replace("${database}", names.DATABASE).replace("${reference_genome}", "GRCh37")
    plain = plain.replace("${variants}", names.VARIANTS_TABLE)
    assert len(duckdb.extract_statements(plain)) == 1


def texts() -> Iterator[str]:
    """Every text of the code as a regular expression, with what is filled in as `.+`."""
    for folder in ("code/resources", "setup"):
        for path in (names.ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Constant) and isinstance(node.value, str):
                    yield re.escape(node.value)
                elif isinstance(node, ast.JoinedStr):
                    yield "".join(
                        re.escape(str(part.value)) if isinstance(part, ast.Constant) else ".+" for part in node.values
                    )
    yield re.escape((names.ROOT / "setup.sh").read_text())


def headings() -> list[str]:
    return re.findall(r"^## (.+)$", (names.ROOT / "docs" / "troubleshooting.md").read_text(), re.MULTILINE)


@pytest.mark.parametrize("heading", headings())
def test_troubles_have_the_words_of_the_errors(heading: str) -> None:
    escaped = re.escape(heading)
    assert any(escaped in text or _begins_like(text, heading) for text in texts())


def _begins_like(text: str, heading: str) -> bool:
    """Whether the heading is the beginning of what the text says, up to the first thing that is filled in."""
    start, filled, _ = text.partition(".+")
    return bool(filled) and len(start) > 10 and re.fullmatch(start + r"\S+", heading) is not None


def test_the_roles_are_those_of_the_templates() -> None:
    page = PAGE.read_text()
    assert page == written(page), "run .venv/bin/python -m tests.iam.page"


def test_every_reason_is_described() -> None:
    told = (names.ROOT / "docs" / "rejects.md").read_text()
    described = re.findall(r"^\| `(\w+)` \|", told, re.MULTILINE)
    assert sorted(described) == sorted(str(reason) for reason in Reason)


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_has_a_case(reason: Reason) -> None:
    cases = (names.ROOT / "tests" / "cases").rglob("rejects.tsv")
    assert any(re.search(rf"^\d+\t{reason}\b", case.read_text(), re.MULTILINE) for case in cases)


def lake_errors() -> Iterator[tuple[str, list[str]]]:
    """Where a job raises an error, and what its text has apart from what is filled in."""
    for path in (names.ROOT / "code" / "resources").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "LakeError" and node.args:
                parts = [part.value for part in ast.walk(node.args[0]) if isinstance(part, ast.Constant)]
                if words := [part for part in parts if isinstance(part, str) and len(part) > 6]:
                    yield f"{path.name}:{node.lineno} {' … '.join(words)}", words


@pytest.mark.parametrize(
    ("text", "words"), list(lake_errors()), ids=lambda value: value if isinstance(value, str) else ""
)
def test_every_error_has_a_heading(text: str, words: list[str]) -> None:
    known = [heading.strip() for heading in headings()]
    assert any(heading in word or word.strip() in heading for heading in known for word in words), text


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
        if "://" not in link:
            assert (page.parent / link).exists(), link


def test_the_page_of_performance_has_the_results() -> None:
    page = results.PAGE.read_text(encoding="utf-8")
    assert {file.stem for file in results.FOLDER.glob("*.json")} <= set(re.findall(r"<!-- (\w+) -->", page))
    assert results.paged(page) == page
