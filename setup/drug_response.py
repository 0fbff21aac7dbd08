"""The drug-response report of a lake that stands: the query asked through PyAthena, and where its rows come from."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from string import Template
from typing import Any

import boto3
import pyathena

from setup import names
from setup.demo import samples, sites
from setup.deploy import load_of
from setup.errors import SetupError
from setup.report import DrugResponse, Facts

Rows = list[tuple[Any, ...]]


@dataclass(frozen=True)
class Lake:
    """Where a lake is: its bucket, database and workgroup, and the session to ask it with."""

    session: boto3.Session
    bucket: str
    database: str
    workgroup: str

    def ask(self, sql: str, parameters: Sequence[str] = ()) -> Rows:
        """The rows that a query gives in the workgroup; parameters are texts. Raises SetupError."""
        try:
            with (
                pyathena.connect(
                    session=self.session, region_name=self.session.region_name, work_group=self.workgroup
                ) as connection,
                connection.cursor() as cursor,
            ):
                quoted = [_quoted(parameter) for parameter in parameters]
                return list(cursor.execute(sql, quoted or None, paramstyle="qmark").fetchall())
        except pyathena.Error as error:
            raise SetupError(f"Athena, workgroup {self.workgroup}: {error}\nThe query was:\n{sql}") from error

    def query(self, name: str, reference_genome: str, variants: str = names.VARIANTS_TABLE) -> str:
        """The text of a query of code/resources/queries, for this lake's database, a reference genome and the table of
        the cohort.
        """
        text = (names.QUERIES / f"{name}.sql").read_text(encoding="utf-8")
        filled = {"database": self.database, "reference_genome": reference_genome, "variants": variants}
        return Template(text).substitute(filled)


def ask(
    lake: Lake, pattern: str, tables: Sequence[str], versions: dict[str, str], *, is_demo: bool
) -> tuple[list[DrugResponse], Facts]:
    """The drug-response query, for the samples of a LIKE pattern; the facts are about `tables`."""
    loads = [_load(lake, table) for table in tables]
    variants = next(load for load in loads if load["table"] == names.VARIANTS_TABLE)
    in_files = {name for source in variants["sources"] for name in source["samples"] if _is_like(name, pattern)}
    if not in_files:
        raise SetupError(f"No sample of the cohort is like {pattern!r}. --samples is a pattern of ids: NA12%, or %.")
    # only our own names are filled in; the pattern is a parameter
    counted = f"SELECT count(DISTINCT sampleid) FROM {lake.database}.{names.VARIANTS_TABLE} WHERE sampleid LIKE ?"  # noqa: S608
    with_rows = int(lake.ask(counted, [pattern])[0][0])
    text = lake.query("drug_response", variants["reference_genome"])
    rows = [DrugResponse(*row) for row in lake.ask(text, [pattern])]
    facts = Facts(
        samples_pattern=pattern,
        samples=with_rows,
        samples_without_rows=len(in_files) - with_rows,
        reference_genome=variants["reference_genome"],
        query=text,
        guide_rows_agree=_published(rows) if is_demo and pattern == names.SAMPLES else None,
        versions={
            **versions,
            "Hail": variants["hail_version"],
            "Spark": variants["spark_version"],
            "PyAthena": pyathena.__version__,
        },
        loads=loads,
        is_demo=is_demo,
    )
    return rows, facts


def _load(lake: Lake, table: str) -> dict[str, Any]:
    load = load_of(lake.session, lake.bucket, table)
    return load | {"table": load["dataset"], "options": json.loads(load["options"])}


def _published(rows: Sequence[DrugResponse]) -> bool:
    """Whether the rows are the ten of the published report, to six decimals."""
    cohort = len(samples.NA12_IDS)
    published = {
        (int(site.rsid.removeprefix("rs")), genotype): round(count / cohort, 6)
        for site in sites.DRUG_SITES
        for genotype, count in (("0/1", site.heterozygotes), ("1/1", site.homozygotes))
        if site.phenotypes and count
    }
    found = {(row.rsid, row.genotype): round(row.genotypefrequency, 6) for row in rows}
    return found == published and len(rows) == len(published)


def _is_like(text: str, pattern: str) -> bool:
    """SQL's LIKE without an escape character."""
    wanted = "".join({"%": ".*", "_": "."}.get(character, re.escape(character)) for character in pattern)
    return re.fullmatch(wanted, text, re.DOTALL) is not None


def _quoted(text: str) -> str:
    """A text as SQL's literal, which is what Athena takes for a parameter."""
    return "'" + text.replace("'", "''") + "'"
