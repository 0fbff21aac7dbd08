"""The whole solution, launched once on this machine and used as the guide says, with the AWS CLI where it says so.

Called by .ci/run, with tests/security.py, tests/faults.py and tests/permissions.py, not by `./setup.sh test` alone: it
takes minutes. The tests stand in the order in which a user would do these things, and each needs the ones before it.
"""

import json
import os
import re
from collections import Counter

import boto3
import nbclient
import nbformat
import pytest

from setup import local, names
from setup.stacks import Stack
from tests import solution
from tests.acceptance import DATA, published
from tests.solution import STACK, aws

pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="../shared/data is absent")


def test_launch(launched: boto3.Session) -> None:
    stacks = launched.client("cloudformation").describe_stacks()["Stacks"]
    assert {stack["StackName"]: stack["StackStatus"] for stack in stacks} == {
        STACK: "CREATE_COMPLETE",
        "GenomicsAnalysisZone": "CREATE_COMPLETE",
        "GenomicsAnalysisPipe": "CREATE_COMPLETE",
        "GenomicsAnalysisCode": "CREATE_COMPLETE",
    }


@pytest.mark.usefixtures("launched")
def test_crawlers_are_done() -> None:
    """Step 2 of the guide."""
    for name in ("variants", "clinvar", "sample"):
        crawler = aws("glue", "get-crawler", "--name", f"genomicsanalysis-{name}")["Crawler"]
        assert (crawler["State"], crawler["LastCrawl"]["Status"]) == ("READY", "SUCCEEDED")
    metrics = aws("glue", "get-crawler-metrics")["CrawlerMetricsList"]
    assert [metric["TablesCreated"] for metric in metrics] == [1, 1, 1]
    tables = aws("glue", "get-tables", "--database-name", "genomicsanalysis")["TableList"]
    assert sorted(table["Name"] for table in tables) == sorted([*names.TABLES, *names.ACCOUNTING])


@pytest.mark.usefixtures("launched")
def test_tables_carry_their_facts() -> None:
    tables = aws("glue", "get-tables", "--database-name", "genomicsanalysis")["TableList"]
    for table in tables:
        if table["Name"] in names.ACCOUNTING:
            continue
        facts = table["Parameters"]
        assert facts["coordinate_base"]
        assert facts["run_id"]
        assert facts["code_commit"]
        assert facts["hail_version"] == "0.2.139"
        assert re.search(r"\b[0-9a-f]{64}\b", facts["sources"])


def test_the_published_table(launched: boto3.Session) -> None:
    """Step 3 of the guide: our query, and the guide's own, in the deployed workgroup."""
    ours = solution.drug_rows(launched)
    assert solution.frequencies(ours) == published()
    assert len(ours) == 10
    assert sorted(local.lake_of(launched).ask(solution.guides_query()), key=repr) == sorted(ours, key=repr)


def test_the_notebook(launched: boto3.Session) -> None:
    """Step 3, option 1: every cell, where the instance's start script put it, as the instance's role."""
    (told,) = launched.client("sagemaker").list_notebook_instances()["NotebookInstances"]
    instance = solution.home() / "notebooks" / told["NotebookInstanceName"]
    folder = instance / "home" / "ec2-user" / "SageMaker"
    notebook = nbformat.read(folder / "runbook.ipynb", as_version=4)
    notebook.cells.append(nbformat.v4.new_code_cell("print(drugs.to_json(orient='values'))"))
    role = json.loads((instance / "environment.json").read_text())
    variables = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")} | role
    client = nbclient.NotebookClient(notebook, kernel_name="python3", resources={"metadata": {"path": str(folder)}})
    client.execute(env=variables | {"MPLBACKEND": "module://matplotlib_inline.backend_inline"})
    nbformat.write(notebook, names.BUILD / "runbook.ipynb")
    rows = [tuple(row) for row in json.loads(notebook.cells[-1].outputs[-1].text)]
    assert solution.frequencies(rows) == published()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert sum("image/png" in output.get("data", {}) for output in outputs) == 1


def test_the_other_queries(launched: boto3.Session) -> None:
    """Who carries what agrees with the published frequencies, the individual with a join in Python."""
    lake = local.lake_of(launched)
    carriers = {(row[2], row[8:10], row[0]) for row in lake.ask(lake.query("carriers", "GRCh37"), ["NA12%"])}
    counts = Counter((f"rs{rsid}", {(0, 1): "het", (1, 1): "hom_alt"}[genotype]) for rsid, genotype, _ in carriers)
    assert {which: round(count / 65, 6) for which, count in counts.items()} == {
        (rsid, kind): frequency for rsid, kinds in published().items() for kind, frequency in kinds.items()
    }
    alleles = ("chromosome", "referenceallele", "alternateallele")
    records = [
        record
        for record in solution.whole_table(launched, "clinvar")
        if record["assembly"] == "GRCh37" and "response" in (record["clinicalsignificance"] or "")
    ]
    expected = [
        (record["rsid"], row["startposition"], row["genotype0"], row["genotype1"], record["phenotypelist"])
        for row in solution.whole_table(launched, "sample")
        for record in records
        if 1 in (row["genotype0"], row["genotype1"])
        and all(row[name] == record[name] for name in alleles)
        and (row["startposition"] + 1, row["endposition"]) == (record["start"], record["stop"])
    ]
    found = lake.ask(lake.query("individual_drug_response", "GRCh37"))
    assert expected
    assert sorted((row[2], row[4], row[8], row[9], row[15]) for row in found) == sorted(expected)


@pytest.mark.parametrize("query", ["drug_response", "carriers"])
def test_both_tables_of_the_cohort_give_the_same_answer(query: str, launched: boto3.Session) -> None:
    lake = local.lake_of(launched)
    tables = (names.VARIANTS_TABLE, names.CLUSTERED_TABLE)
    one, other = (lake.ask(lake.query(query, "GRCh37", table), ["NA12%"]) for table in tables)
    assert one
    assert one == other


def test_the_loads_are_accounted_for(launched: boto3.Session) -> None:
    """The tables of loads and rejects stand in the catalog, also before anything is rejected."""
    lake = local.lake_of(launched)
    database = lake.database
    loads = lake.ask(f"SELECT dataset, mode, rows, genotypes FROM {database}.loads ORDER BY dataset")
    assert [(dataset, mode) for dataset, mode, *_ in loads] == [(table, "overwrite") for table in sorted(names.TABLES)]
    for dataset, _, rows, genotypes in loads:
        assert rows == lake.ask(f"SELECT count(*) FROM {database}.{dataset}")[0][0]
        assert (genotypes is None) == (dataset == "clinvar")
    sources = lake.ask(f"SELECT sources[1].records, sources[1].loaded, sources[1].rejected FROM {database}.loads")
    assert all(records == loaded + rejected for records, loaded, rejected in sources)
    assert lake.ask(lake.query("rejected", "GRCh37")) == []


def test_jobs_and_crawlers_make_the_same_tables(launched: boto3.Session) -> None:
    """Appendices D to H: the demonstration's tables are what the deployed jobs make of the files beside them."""
    before = {table: solution.whole_table(launched, table) for table in names.TABLES}
    assert all(before.values())
    bucket = local.lake_of(launched).bucket
    for table in names.TABLES:
        launched.resource("s3").Bucket(bucket).objects.filter(Prefix=f"tables/{table}/").delete()
    blocks = solution.appendix("DEFGH")
    assert "".join(blocks).count("start-job-run") == 3
    assert "".join(blocks).count("start-crawler") == 3
    for block in blocks:
        solution.shell(block, DATA_LAKE_BUCKET=bucket)
        for job in re.findall(r"start-job-run --job-name (\S+)", block):
            solution.job_done(launched, job)
        for crawler in re.findall(r"start-crawler --name (\S+)", block):
            solution.crawler_done(launched, crawler)
    assert {table: solution.whole_table(launched, table) for table in names.TABLES} == before


def test_a_push_adds_a_job_and_a_crawler(launched: boto3.Session) -> None:
    """As docs/developer-guide.md says: a copy of a job and of a crawler under other names, and a push."""
    template = solution.file_of(launched, "code_cfn.yml")
    added = ""
    for resource, old, new in (
        ("VcfToParquetJob", "${Prefix}-vcf-to-parquet", "${Prefix}-second-vcf-to-parquet"),
        ("SampleCrawler", "${Prefix}-sample", "${Prefix}-second-sample"),
    ):
        found = re.search(rf"^  {resource}:\n(?:(?:    .*)?\n)+", template, re.MULTILINE)
        assert found
        added += found[0].replace(f"  {resource}:", f"  Second{resource}:").replace(old, new, 1)
    changed = template.replace("\nResources:\n", f"\nResources:\n{added}", 1)
    commit = solution.push(launched, "A second job and crawler", {"code_cfn.yml": changed})
    assert solution.pipeline_of(launched, commit) == "Succeeded"
    assert "The libraries are there already" in solution.log_of(launched, "GenomicsAnalysisBuildHail")
    told = solution.log_of(launched, "GenomicsAnalysisCopyResources")
    assert "The scripts, queries and notebooks are there already" in told
    aws("glue", "start-job-run", "--job-name", "genomicsanalysis-second-vcf-to-parquet")
    solution.job_done(launched, "genomicsanalysis-second-vcf-to-parquet")
    aws("glue", "start-crawler", "--name", "genomicsanalysis-second-sample")
    solution.crawler_done(launched, "genomicsanalysis-second-sample")


def test_a_push_that_fails_its_tests_deploys_nothing(launched: boto3.Session) -> None:
    resources = Stack(launched, "GenomicsAnalysisPipe").outputs()["ResourcesBucket"]
    script, key = "resources/scripts/vcf_to_parquet.py", "scripts/vcf_to_parquet.py"
    before = solution.file_of(launched, script)
    s3 = launched.client("s3")
    etag = s3.head_object(Bucket=resources, Key=key)["ETag"]
    mistake = {script: before + "\nimport nothing_that_exists_and_is_unused\n"}
    assert solution.pipeline_of(launched, solution.push(launched, "A mistake", mistake)) == "Failed"
    assert s3.head_object(Bucket=resources, Key=key)["ETag"] == etag
    assert solution.pipeline_of(launched, solution.push(launched, "Mended", {script: before})) == "Succeeded"


def test_update_to_another_version(launched: boto3.Session) -> None:
    """The root stack's update reaches the stacks below it, and leaves the users' commits alone; with LeaveAsIs, the
    catalog's encryption is again what it was before the launch.
    """
    codecommit = launched.client("codecommit")
    head = codecommit.get_branch(repositoryName="GenomicsAnalysisCode", branchName="main")
    prefix = solution.PREFIX.replace(names.VERSION, "0.1.1")
    templates = ("templates/setup_cfn.yml", "zone/zone_cfn.yml", "pipe/pipe_cfn.yml", "code/code_cfn.yml")
    version = ("Version: 0.1.0\n", "Version: 0.1.1\n")
    solution.publish_changed(launched, prefix, dict.fromkeys(templates, version))
    aws(
        *("cloudformation", "update-stack", *solution.root(STACK, prefix), "--parameters"),
        *("ParameterKey=GlueVersion,ParameterValue=5.0", "ParameterKey=OnDelete,UsePreviousValue=true"),
        "ParameterKey=CatalogEncryption,ParameterValue=LeaveAsIs",
    )
    assert solution.ended(launched, STACK) == "UPDATE_COMPLETE", solution.reasons(launched, STACK)
    for stack in (STACK, "GenomicsAnalysisZone", "GenomicsAnalysisPipe"):
        assert Stack(launched, stack).outputs()["TemplateVersion"] == "0.1.1", stack
    job = aws("glue", "get-job", "--job-name", "genomicsanalysis-vcf-to-parquet")["Job"]
    assert job["GlueVersion"] == "5.0"
    after = codecommit.get_branch(repositoryName="GenomicsAnalysisCode", branchName="main")
    assert after["branch"] == head["branch"]
    assert solution.catalog_encryption(launched) == solution.PASSWORDS


def test_an_update_that_fails_is_rolled_back(launched: boto3.Session) -> None:
    """To the version before it, with the reason in the root stack's events. It would encrypt the catalog again."""
    before = {part: Stack(launched, f"GenomicsAnalysis{part}").describe() for part in ("Zone", "Pipe", "Code")}
    bad = "\n  Bad:\n    Type: AWS::S3::Bucket\n    Properties:\n      BucketName: Not_A_Bucket\n\nOutputs:\n"
    prefix = solution.PREFIX.replace(names.VERSION, "0.1.2")
    solution.publish_changed(launched, prefix, {"pipe/pipe_cfn.yml": ("\nOutputs:\n", bad)})
    same = [f"ParameterKey={name},UsePreviousValue=true" for name in ("GlueVersion", "OnDelete")]
    aws("cloudformation", "update-stack", *solution.root(STACK, prefix), "--parameters", *same)
    assert solution.ended(launched, STACK) == "UPDATE_ROLLBACK_COMPLETE"
    assert "Stack GenomicsAnalysisPipe ended UPDATE_ROLLBACK_COMPLETE: Bad" in solution.reasons(launched, STACK)
    for part, told in before.items():
        after = Stack(launched, f"GenomicsAnalysis{part}").describe()
        assert after
        assert told
        assert (after["Parameters"], after["Outputs"]) == (told["Parameters"], told["Outputs"])
    assert solution.catalog_encryption(launched) == solution.PASSWORDS


def test_a_push_to_the_pipe_repository(launched: boto3.Session) -> None:
    """As docs/developer-guide.md says: a push, then the set-up's build started by hand; here it also encrypts the
    catalog again.
    """
    template = solution.file_of(launched, "pipe_cfn.yml", solution.PIPE)
    changed = template.replace("Description: The jobs' libraries", "Description: All libraries")
    assert changed != template
    solution.push(launched, "Another description", {"pipe_cfn.yml": changed}, solution.PIPE)
    (command,) = re.findall(
        r"^```bash\n(aws codebuild .*)\n```", (names.ROOT / "docs" / "developer-guide.md").read_text(), re.MULTILINE
    )
    other = "--environment-variables-override name=CATALOG_ENCRYPTION,value=Manage"
    build = json.loads(solution.shell(f"{command} {other} --output json"))["build"]["id"]
    client = launched.client("codebuild")
    ended = solution.wait_for(
        lambda: client.batch_get_builds(ids=[build])["builds"][0], lambda told: told["buildStatus"] != "IN_PROGRESS"
    )
    assert ended["buildStatus"] == "SUCCEEDED", solution.log_of(launched, "GenomicsAnalysisSetup")
    (project,) = client.batch_get_projects(names=["GenomicsAnalysisBuildHail"])["projects"]
    assert project["description"].startswith("All libraries")
    key = Stack(launched, "GenomicsAnalysisZone").outputs()["DataKeyArn"]
    assert solution.catalog_encryption(launched)["EncryptionAtRest"]["SseAwsKmsKeyId"] == key


def test_the_queries_of_the_docs_run(launched: boto3.Session) -> None:
    queries = [
        query
        for page in (names.ROOT / "README.md", *(names.ROOT / "docs").glob("*.md"))
        for query in re.findall(r"^```sql\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)
    ]
    assert queries
    for query in queries:
        assert local.lake_of(launched).ask(query), query


def test_it_is_reproducible_after_all_that(launched: boto3.Session) -> None:
    assert solution.frequencies(solution.drug_rows(launched)) == published()
