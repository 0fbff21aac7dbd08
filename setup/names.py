"""The names that everything else uses: project, tables, files. One place for each."""

from pathlib import Path

VERSION = "0.1.0"
SOLUTION_ID = "SO0077"
TITLE = "genomics-tertiary-analysis-and-data-lakes"
TEMPLATE = f"{TITLE}-using-aws-glue-and-amazon-athena.template"
PROJECT = "GenomicsAnalysis"
DATABASE = PROJECT.lower()

VARIANTS_TABLE = "onekg_chr22_by_sample"
CLUSTERED_TABLE = "variants"  # the same rows in few files, which no crawler makes
SAMPLE_TABLE = "sample"
CLINVAR_TABLE = "clinvar"
TABLES = (VARIANTS_TABLE, CLUSTERED_TABLE, CLINVAR_TABLE, SAMPLE_TABLE)
ACCOUNTING = ("loads", "rejects")  # tables of what the loads did and left out
LOAD = "_load.json"  # in a table's folder: the record of the load that made it
_VARIANT = {"chromosome", "startposition", "endposition", "referenceallele", "alternateallele", "sampleid"}
COLUMNS = {  # those that the queries need
    VARIANTS_TABLE: _VARIANT | {"genotype0", "genotype1"},
    CLUSTERED_TABLE: _VARIANT | {"genotype0", "genotype1"},
    SAMPLE_TABLE: _VARIANT | {"genotype0", "genotype1", "rsid", "qual", "filters"},
    CLINVAR_TABLE: {
        *("assembly", "chromosome", "start", "stop", "referenceallele", "alternateallele"),
        *("rsid", "clinicalsignificance", "phenotypelist"),
    },
}
CRAWLERS = ("VariantsCrawler", "ClinvarCrawler", "SampleCrawler")  # outputs of the code stack

ROOT = Path(__file__).resolve().parents[1]
BUILD = ROOT / "build"
REPORT = BUILD / "report"
SCRIPTS = ROOT / "code" / "resources" / "scripts"
QUERIES = ROOT / "code" / "resources" / "queries"

SAMPLES = "NA12%"  # the guide's cohort: the ids of 65 of the 1000 Genomes samples begin so
