"""The names that everything else uses: project, tables, files. One place for each."""

from pathlib import Path

VERSION = "0.1.0"
PROJECT = "GenomicsAnalysis"
DATABASE = PROJECT.lower()

VARIANTS_TABLE = "onekg_chr22_by_sample"
SAMPLE_TABLE = "sample"
CLINVAR_TABLE = "clinvar"
TABLES = (VARIANTS_TABLE, CLINVAR_TABLE, SAMPLE_TABLE)

ROOT = Path(__file__).resolve().parents[1]
BUILD = ROOT / "build"
REPORT = BUILD / "report"
SCRIPTS = ROOT / "code" / "resources" / "scripts"
QUERIES = ROOT / "code" / "resources" / "queries"

SAMPLES = "NA12%"  # the guide's cohort: the ids of 65 of the 1000 Genomes samples begin so
