"""The demonstration data, read back with nothing but gzip and str.split."""

import gzip
import json
import os
import struct
import subprocess
import sys
import zlib
from collections import Counter, defaultdict
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pytest

from setup.demo import DemoFiles, make

ROOT = Path(__file__).resolve().parent.parent
SHARED = ROOT.parent / "shared" / "data"

# rsid: position in GRCh37, REF, ALT, then the published frequencies of (0,1) and (1,1) among the 65 NA12.
PUBLISHED = {
    "rs4680": (19951271, "G", "A", "0.553846", "0.153846"),
    "rs2298383": (24825511, "C", "T", "0.507692", "0.353846"),
    "rs3892097": (42524947, "C", "T", "0.369231", "0.030769"),
    "rs738409": (44324727, "C", "G", "0.292308", "0.046154"),
    "rs13306278": (19929027, "C", "T", "0.276923", "0.046154"),
}
GRCH38 = {
    "rs4680": 19963748,
    "rs2298383": 24429543,
    "rs3892097": 42128945,
    "rs738409": 43928847,
    "rs13306278": 19941504,
}
NOT_IN_NA12 = {
    "rs730882251": 42522749,
    "rs267608319": 42522751,
    "rs5030865": 42525035,
    "rs373000587": 42525172,
}
REAL_NAMES = {*PUBLISHED, *NOT_IN_NA12, "rs1065852"}
SUPER_POPULATIONS = ("EAS", "AMR", "AFR", "EUR", "SAS")


@dataclass
class Vcf:
    """A VCF split into strings: INFO is a dict, flags have the value ''; calls are sample: GT column."""

    meta: list[str]
    samples: list[str]
    records: list[dict[str, str]]
    infos: list[dict[str, str]]
    calls: list[list[str]]


def read_vcf(path: Path) -> Vcf:
    data = path.read_bytes()
    text = (gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data).decode()
    lines = text.splitlines()
    meta = [line for line in lines if line.startswith("##")]
    header, *rows = [line.split("\t") for line in lines[len(meta) :]]
    assert all(len(row) == len(header) for row in rows)
    records = [dict(zip([name.lstrip("#") for name in header[:9]], row[:9], strict=True)) for row in rows]
    infos = [
        {name: value for name, _, value in (part.partition("=") for part in record["INFO"].split(";"))}
        for record in records
    ]
    return Vcf(meta, header[9:], records, infos, [row[9:] for row in rows])


def minimal(position: int, reference: str, alternate: str) -> tuple[int, str, str]:
    """The shortest writing of one alternate, each allele one base or longer."""
    while min(len(reference), len(alternate)) > 1 and reference[-1] == alternate[-1]:
        reference, alternate = reference[:-1], alternate[:-1]
    while min(len(reference), len(alternate)) > 1 and reference[0] == alternate[0]:
        position, reference, alternate = position + 1, reference[1:], alternate[1:]
    return position, reference, alternate


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> DemoFiles:
    return make(tmp_path_factory.mktemp("demo"), seed=22)


@pytest.fixture(scope="module")
def cohort(files: DemoFiles) -> Vcf:
    return read_vcf(files.cohort)


@pytest.fixture(scope="module")
def individual(files: DemoFiles) -> Vcf:
    return read_vcf(files.individual)


@pytest.fixture(scope="module")
def clinvar(files: DemoFiles) -> list[dict[str, str]]:
    header, *rows = gzip.decompress(files.clinvar.read_bytes()).decode().splitlines()
    names = header.split("\t")
    return [dict(zip(names, row.split("\t"), strict=True)) for row in rows]


@pytest.fixture(scope="module")
def allele_rows(cohort: Vcf) -> Counter[tuple[int, str, str, str, int]]:
    """Among the NA12: how many have an allele (0-based start, REF, ALT, ID) how often (1 or 2)."""
    na12 = [index for index, name in enumerate(cohort.samples) if name.startswith("NA12")]
    found: Counter[tuple[int, str, str, str, int]] = Counter()
    for record, calls in zip(cohort.records, cohort.calls, strict=True):
        for number, alternate in enumerate(record["ALT"].split(","), start=1):
            position, *alleles = minimal(int(record["POS"]), record["REF"], alternate)
            for index in na12:
                if copies := calls[index].split("|").count(str(number)):
                    found[(position - 1, alleles[0], alleles[1], record["ID"], copies)] += 1
    return found


# --- the files


def test_make_writes_three_files_and_leaves_nothing_else(files: DemoFiles) -> None:
    folder = files.cohort.parent.parent
    written = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert written == {
        "variants/onekg_chr22.vcf.gz",
        "variants/example.vcf",
        "annotation/variant_summary.txt.gz",
    }
    assert {folder / name for name in written} == {files.cohort, files.individual, files.clinvar}


def test_same_seed_gives_same_bytes_in_another_process(files: DemoFiles, tmp_path: Path) -> None:
    code = "import sys, pathlib, setup.demo; setup.demo.make(pathlib.Path(sys.argv[1]), 22)"
    environment = {**os.environ, "PYTHONHASHSEED": "7", "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True, cwd=tmp_path, env=environment)
    for path in (files.cohort, files.individual, files.clinvar):
        assert (tmp_path / path.parent.name / path.name).read_bytes() == path.read_bytes(), path.name


def test_another_seed_gives_other_carriers_and_the_published_counts(cohort: Vcf, tmp_path: Path) -> None:
    other = read_vcf(make(tmp_path, seed=23).cohort)
    for name in PUBLISHED:
        first, second = (
            next(c for r, c in zip(vcf.records, vcf.calls, strict=True) if r["ID"] == name)[-65:]
            for vcf in (cohort, other)
        )
        assert first != second
        assert Counter(call.count("1") for call in first) == Counter(call.count("1") for call in second)


def test_cohort_is_bgzf_to_the_last_byte(files: DemoFiles) -> None:
    data = files.cohort.read_bytes()
    offset, sizes = 0, []
    while offset < len(data):
        magic, flags, extra, tag, length, size = struct.unpack_from("<3sB6xH2sHH", data, offset)
        assert (magic, flags, extra, tag, length) == (b"\x1f\x8b\x08", 4, 6, b"BC", 2)
        block = data[offset : offset + size + 1]
        plain = zlib.decompress(block[18:-8], wbits=-15)
        assert struct.unpack("<2I", block[-8:]) == (zlib.crc32(plain), len(plain))
        assert len(plain) <= 1 << 16
        sizes.append(len(plain))
        offset += size + 1
    assert offset == len(data)
    assert sizes[-1] == 0
    assert all(sizes[:-1])
    assert len(sizes) > 10
    assert data.endswith(bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000"))


def test_gzip_of_clinvar_has_no_time_stamp(files: DemoFiles) -> None:
    assert struct.unpack_from("<I", files.clinvar.read_bytes(), 4) == (0,)


def test_headers_say_that_the_data_are_generated(cohort: Vcf, individual: Vcf) -> None:
    for vcf in (cohort, individual):
        (source,) = [line for line in vcf.meta if line.startswith("##source=")]
        assert "Demonstration data, generated, seed 22" in source
        assert any("hs37d5" in line for line in vcf.meta if line.startswith("##reference="))
        assert any("ID=22," in line and "length=51304566" in line for line in vcf.meta)


def test_libraries_of_the_field_open_both_vcfs(files: DemoFiles, capfd: pytest.CaptureFixture[str]) -> None:
    cyvcf2 = pytest.importorskip("cyvcf2")
    for path, samples, records in ((files.cohort, 520, 4000), (files.individual, 1, 2000)):
        vcf = cyvcf2.VCF(str(path))
        assert len(vcf.samples) == samples
        assert sum(1 for _ in vcf) == records
    assert capfd.readouterr().err == ""


# --- the cohort


def test_samples_are_the_65_and_invented_others(cohort: Vcf) -> None:
    assert len(cohort.samples) == len(set(cohort.samples)) >= 500
    na12 = [name for name in cohort.samples if name.startswith("NA12")]
    assert len(na12) == 65
    assert all(name.startswith("DEMO") for name in cohort.samples if name not in na12)
    assert "NA12878" in na12


def test_the_65_ids_and_the_published_table_are_those_of_the_acceptance_data(cohort: Vcf) -> None:
    expected = SHARED / "expected" / "chr22_expected_counts.json"
    if not expected.exists():
        pytest.skip("shared/data/expected/chr22_expected_counts.json is not here")
    facts = json.loads(expected.read_text())
    assert sorted(name for name in cohort.samples if name.startswith("NA12")) == sorted(facts["NA12_samples"])
    table = facts["published_drug_response_table"]
    ours = {name: {"het": float(row[3]), "hom_alt": float(row[4])} for name, row in PUBLISHED.items()}
    assert ours == table


def test_records_are_sorted_at_distinct_positions_of_chromosome_22(cohort: Vcf, individual: Vcf) -> None:
    for vcf, least in ((cohort, 4000), (individual, 2000)):
        positions = [int(record["POS"]) for record in vcf.records]
        assert len(positions) >= least
        assert all(first < second for first, second in pairwise(positions))
        assert positions[0] > 0
        assert positions[-1] <= 51304566
        assert {record["CHROM"] for record in vcf.records} == {"22"}


def test_no_invented_allele_overlaps_another_site(cohort: Vcf) -> None:
    spans = [(int(r["POS"]), int(r["POS"]) + len(r["REF"])) for r in cohort.records]
    assert all(first[1] <= second[0] for first, second in pairwise(spans))


def test_counts_and_frequencies_are_those_of_the_genotypes(cohort: Vcf) -> None:
    for record, info, calls in zip(cohort.records, cohort.infos, cohort.calls, strict=True):
        alternates = record["ALT"].split(",")
        alleles = Counter("|".join(calls).split("|"))
        counts = [alleles[str(number)] for number in range(1, len(alternates) + 1)]
        assert set(alleles) <= {str(number) for number in range(len(alternates) + 1)}
        assert info["AC"] == ",".join(map(str, counts))
        assert info["AN"] == str(alleles.total()) == str(2 * len(cohort.samples))
        assert info["NS"] == str(len(cohort.samples))
        assert all(counts), record["ID"]
        frequencies = [float(value) for value in info["AF"].split(",")]
        assert frequencies == pytest.approx([count / alleles.total() for count in counts], rel=1e-5)
        there = [[float(v) for v in info[f"{name}_AF"].split(",")] for name in SUPER_POPULATIONS]
        # Super-populations are of one size, so their frequencies average to the whole cohort's.
        means = [sum(values) / 5 for values in zip(*there, strict=True)]
        assert means == pytest.approx(frequencies, rel=1e-3)


def test_genotypes_are_phased_both_ways(cohort: Vcf) -> None:
    for name in PUBLISHED:
        calls = next(c for r, c in zip(cohort.records, cohort.calls, strict=True) if r["ID"] == name)
        assert {"0|0", "0|1", "1|0", "1|1"} == set(calls)


@pytest.mark.parametrize("name", PUBLISHED)
def test_na12_have_the_published_frequencies(allele_rows: Counter[tuple[int, str, str, str, int]], name: str) -> None:
    position, reference, alternate, heterozygous, homozygous = PUBLISHED[name]
    key = (position - 1, reference, alternate, name)
    assert f"{allele_rows[(*key, 1)] / 65:.6f}" == heterozygous
    assert f"{allele_rows[(*key, 2)] / 65:.6f}" == homozygous


def test_rs1065852_has_its_counts(allele_rows: Counter[tuple[int, str, str, str, int]]) -> None:
    key = (42526693, "G", "A", "rs1065852")
    assert (allele_rows[(*key, 1)], allele_rows[(*key, 2)]) == (25, 2)


@pytest.mark.parametrize("name", NOT_IN_NA12)
def test_rare_real_sites_are_carried_by_a_few_others_only(cohort: Vcf, name: str) -> None:
    record, calls = next((r, c) for r, c in zip(cohort.records, cohort.calls, strict=True) if r["ID"] == name)
    assert int(record["POS"]) == NOT_IN_NA12[name]
    carriers = [s for s, call in zip(cohort.samples, calls, strict=True) if call != "0|0"]
    assert 1 <= len(carriers) <= 5
    assert not [sample for sample in carriers if sample.startswith("NA12")]


def test_most_variants_are_rare(cohort: Vcf) -> None:
    counts = Counter(int(info["AC"]) for info in cohort.infos if "," not in info["AC"])
    total = counts.total()
    rare = sum(number for count, number in counts.items() if count <= 52)  # 5 % of 1,040 alleles
    assert rare > total / 2
    assert max(counts) > 800
    assert counts[1] > counts[2] > counts[4]


def test_kinds_of_variants(cohort: Vcf) -> None:
    kinds: Counter[str] = Counter()
    trimmed = 0
    for record, info in zip(cohort.records, cohort.infos, strict=True):
        alternates = record["ALT"].split(",")
        assert len(set(alternates)) == len(alternates)
        assert record["REF"] not in alternates
        kinds[f"{len(alternates)} alternates"] += 1
        kinds[info["VT"]] += 1
        for alternate in alternates:
            if alternate.startswith("<"):
                kinds[alternate] += 1
                assert int(info["END"]) >= int(record["POS"])
                assert info["SVTYPE"] in {"DEL", "DUP", "CNV", "ALU"}
            elif minimal(int(record["POS"]), record["REF"], alternate)[1:] != (record["REF"], alternate):
                trimmed += 1
        assert ("MULTI_ALLELIC" in info) == (len(alternates) > 1 and not alternates[0].startswith("<"))
    assert all(kinds[kind] > 20 for kind in ("2 alternates", "3 alternates", "SNP", "INDEL", "SNP,INDEL", "SV"))
    assert all(kinds[kind] for kind in ("<CN0>", "<CN2>", "<DEL>", "<INS:ME:ALU>"))
    assert trimmed > 50


def test_invented_names_are_distinct_and_beyond_dbsnp(cohort: Vcf, individual: Vcf) -> None:
    names = [record["ID"] for record in cohort.records]
    assert len(set(names)) == len(names)
    every = {*names, *(record["ID"] for record in individual.records)} - {".", *REAL_NAMES}
    assert all(int(name.lstrip("rsev")) > 9_000_000_000 for name in every)
    assert set(names) >= REAL_NAMES


# --- the individual


def declared_numbers(vcf: Vcf, kind: str) -> dict[str, str]:
    lines = [line for line in vcf.meta if line.startswith(f"##{kind}=<")]
    return {line.split("ID=")[1].split(",")[0]: line.split("Number=")[1].split(",")[0] for line in lines}


@pytest.mark.parametrize("which", ["cohort", "individual"])
def test_every_field_is_declared_and_has_its_number_of_values(which: str, request: pytest.FixtureRequest) -> None:
    vcf: Vcf = request.getfixturevalue(which)
    infos, formats = declared_numbers(vcf, "INFO"), declared_numbers(vcf, "FORMAT")
    for record, info, calls in zip(vcf.records, vcf.infos, vcf.calls, strict=True):
        alleles = 1 + len(record["ALT"].split(","))
        lengths = {"A": alleles - 1, "R": alleles, "G": alleles * (alleles + 1) // 2, "0": 1, "1": 1, "2": 2}
        for name, value in info.items():
            assert infos[name] == "." or len(value.split(",")) == lengths[infos[name]], (record["ID"], name)
            assert (infos[name] == "0") == (value == "")
        for call in calls[:3]:
            for name, value in zip(record["FORMAT"].split(":"), call.split(":"), strict=True):
                assert value == "." or len(value.split(",")) == lengths[formats[name]], (record["ID"], name)


def test_individual_is_na12878_in_vcf_42(individual: Vcf) -> None:
    assert individual.samples == ["NA12878"]
    assert individual.meta[0] == "##fileformat=VCFv4.2"


def column(record: dict[str, str], call: str) -> dict[str, str]:
    return dict(zip(record["FORMAT"].split(":"), call.split(":"), strict=True))


def test_reads_likelihoods_and_genotype_agree(individual: Vcf) -> None:
    seen: Counter[str] = Counter()
    for record, info, (call,) in zip(individual.records, individual.infos, individual.calls, strict=True):
        values = column(record, call)
        depths = [int(depth) for depth in values["AD"].split(",")]
        assert sum(depths) <= int(values["DP"]) <= int(info["DP"])
        seen[values["GT"]] += 1
        if values["GT"] == "./.":
            assert (values["PL"], values["GQ"], info["AN"], record["QUAL"]) == (".", ".", "0", ".")
            continue
        first, second = sorted(map(int, values["GT"].split("/")))
        likelihoods = [int(value) for value in values["PL"].split(",")]
        called = second * (second + 1) // 2 + first
        assert [index for index, value in enumerate(likelihoods) if value == 0] == [called]
        assert int(values["GQ"]) == min(99, sorted(likelihoods)[1])
        assert all(depths[allele] > 0 for allele in (first, second))
        counts = [[first, second].count(number) for number in range(1, len(depths))]
        assert info["AC"] == ",".join(map(str, counts))
        assert [float(value) for value in info["AF"].split(",")] == [count / 2 for count in counts]
        assert info["AN"] == "2"
    assert all(seen[genotype] for genotype in ("0/0", "0/1", "1/1", "1/2", "./."))


def test_likelihoods_of_three_alleles_stand_in_vcf_order(individual: Vcf) -> None:
    """00, 01, 11, 02, 12, 22: with reads of both alternates and no reference, 1/1 fits better than 0/1."""
    three = [call for (call,) in individual.calls if call.startswith("1/2")]
    assert len(three) > 10
    for call in three:
        _, zero_one, one_one, zero_two, _, two_two = map(int, call.split(":")[-1].split(","))
        assert zero_one > one_one
        assert zero_two > two_two


def test_filters_and_missing_values_are_as_a_caller_leaves_them(individual: Vcf) -> None:
    filters = Counter(record["FILTER"] for record in individual.records)
    assert filters["PASS"] > 1500
    assert 0 < filters["LowQual"] < 200
    for record, info, (call,) in zip(individual.records, individual.infos, individual.calls, strict=True):
        genotype = column(record, call)["GT"]
        if record["QUAL"] == ".":
            assert record["FILTER"] == "."
            assert genotype in {"0/0", "./."}
        else:
            assert record["FILTER"] == ("LowQual" if float(record["QUAL"]) < 30 else "PASS")
        ranked = {"BaseQRankSum", "ClippingRankSum", "MQRankSum", "ReadPosRankSum"} & info.keys()
        assert len(ranked) == (4 if genotype == "0/1" else 0)
        assert ("DB" in info) == (record["ID"] != ".")


def test_phased_neighbours_share_their_block(individual: Vcf) -> None:
    blocks: defaultdict[str, list[str]] = defaultdict(list)
    for record, (call,) in zip(individual.records, individual.calls, strict=True):
        values = column(record, call)
        assert ("PGT" in values) == ("PID" in values)
        if "PID" in values:
            assert values["GT"] == "0/1"
            blocks[values["PID"]].append(f"{record['POS']}_{record['REF']}_{record['ALT']}")
    assert len(blocks) > 10
    assert all(len(members) > 1 and members[0] == block for block, members in blocks.items())


def test_individual_has_its_genotypes_of_the_cohort(cohort: Vcf, individual: Vcf) -> None:
    index = cohort.samples.index("NA12878")

    def carried(vcf: Vcf, which: int, separator: str) -> dict[tuple[str, int, str, str], int]:
        found = {}
        for record, calls in zip(vcf.records, vcf.calls, strict=True):
            genotype = calls[which].split(":")[0].split(separator)
            for number, alternate in enumerate(record["ALT"].split(","), start=1):
                if not alternate.startswith("<"):
                    key = (record["ID"], *minimal(int(record["POS"]), record["REF"], alternate))
                    found[key] = genotype.count(str(number))
        return found

    there, here = carried(cohort, index, "|"), carried(individual, 0, "/")
    assert {name for name, *_ in here} >= REAL_NAMES
    expected = {key: copies for key, copies in there.items() if copies or key[0] in REAL_NAMES}
    assert {key: copies for key, copies in here.items() if key in there} == expected


# --- ClinVar


def test_clinvar_has_43_columns_in_every_row(files: DemoFiles) -> None:
    lines = gzip.decompress(files.clinvar.read_bytes()).decode().split("\n")
    assert lines.pop() == ""
    assert {line.count("\t") for line in lines} == {42}
    assert len(lines) > 3000
    assert lines[0].startswith("#AlleleID\tType\tName\t")
    assert all(all(line.split("\t")) for line in lines)


def test_clinvar_header_is_that_of_ncbi(files: DemoFiles) -> None:
    real = SHARED / "clinvar" / "variant_summary.43col.2026-06.head.txt"
    if not real.exists():
        pytest.skip("shared/data/clinvar/variant_summary.43col.2026-06.head.txt is not here")
    header = gzip.decompress(files.clinvar.read_bytes()).decode().split("\n", 1)[0]
    assert header == real.read_text().split("\n", 1)[0]


def test_clinvar_alleles_stand_in_the_vcf_columns(clinvar: list[dict[str, str]]) -> None:
    types: Counter[str] = Counter()
    for row in clinvar:
        assert (row["ReferenceAllele"], row["AlternateAllele"]) == ("na", "na")
        start, stop, position = int(row["Start"]), int(row["Stop"]), int(row["PositionVCF"])
        reference, alternate = row["ReferenceAlleleVCF"], row["AlternateAlleleVCF"]
        types[row["Type"]] += 1
        if position == -1:
            assert (reference, alternate) == ("na", "na")
        elif row["Type"] == "Deletion":
            assert (start, stop) == (position + 1, position + len(reference) - 1)
            assert reference[0] == alternate
        elif row["Type"] == "Insertion":
            assert (start, stop) == (position, position + 1)
            assert alternate[0] == reference
        else:
            assert (start, stop) == (position, position)
            assert {len(reference), len(alternate)} == {1}
    assert all(types[kind] > 100 for kind in ("single nucleotide variant", "Deletion", "Insertion"))


def test_clinvar_has_each_located_variant_in_both_assemblies(clinvar: list[dict[str, str]]) -> None:
    assemblies: defaultdict[str, list[str]] = defaultdict(list)
    for row in clinvar:
        assemblies[row["Name"] + row["#AlleleID"]].append(row["Assembly"])
    assert {tuple(found) for found in assemblies.values()} == {("GRCh37", "GRCh38"), ("na",)}
    accessions = {row["Assembly"]: row["ChromosomeAccession"] for row in clinvar if row["Chromosome"] == "22"}
    assert accessions == {"GRCh37": "NC_000022.10", "GRCh38": "NC_000022.11"}


def test_clinvar_rows_without_location(clinvar: list[dict[str, str]]) -> None:
    rows = [row for row in clinvar if row["Assembly"] == "na"]
    assert {row["Chromosome"] for row in rows} == {"na", "Un"}
    assert {(row["Start"], row["Stop"], row["PositionVCF"]) for row in rows} == {("-1", "-1", "-1")}


def test_only_real_variants_are_drug_responses(clinvar: list[dict[str, str]]) -> None:
    drug = [row for row in clinvar if "response" in row["ClinicalSignificance"]]
    assert {row["ClinicalSignificance"] for row in drug} == {"drug response"}
    in_grch37 = {f"rs{row['RS# (dbSNP)']}": int(row["PositionVCF"]) for row in drug if row["Assembly"] == "GRCh37"}
    assert in_grch37 == {name: row[0] for name, row in PUBLISHED.items()} | NOT_IN_NA12
    in_grch38 = {f"rs{row['RS# (dbSNP)']}": int(row["PositionVCF"]) for row in drug if row["Assembly"] == "GRCh38"}
    assert in_grch38 == GRCH38 | {name: position - 396002 for name, position in NOT_IN_NA12.items()}


def test_invented_rows_say_so_and_name_no_real_variant(clinvar: list[dict[str, str]]) -> None:
    invented = [row for row in clinvar if row["ClinicalSignificance"] != "drug response"]
    real_positions = {row[0] for row in PUBLISHED.values()} | set(NOT_IN_NA12.values()) | {42526694}
    for row in invented:
        assert int(row["#AlleleID"]) == int(row["VariationID"]) >= 900_000_001
        assert "demonstration" in row["Name"]
        assert "Demonstration" in row["PhenotypeList"]
        assert "response" not in "\t".join(row.values())
        assert row["RS# (dbSNP)"] == "-1" or int(row["RS# (dbSNP)"]) > 9_000_000_000
        assert row["Chromosome"] != "22" or int(row["Start"]) not in real_positions
    assert {"Benign", "Likely benign", "Uncertain significance", "Pathogenic"} <= {
        row["ClinicalSignificance"] for row in invented
    }


def test_invented_rows_meet_the_cohort_in_grch37_only(cohort: Vcf, clinvar: list[dict[str, str]]) -> None:
    alleles = {
        minimal(int(record["POS"]), record["REF"], alternate)
        for record in cohort.records
        for alternate in record["ALT"].split(",")
    }
    positions = {position for position, *_ in alleles}
    met: Counter[str] = Counter()
    for row in clinvar:
        key = (int(row["PositionVCF"]), row["ReferenceAlleleVCF"], row["AlternateAlleleVCF"])
        if row["Chromosome"] == "22" and key in alleles:
            met[f"{row['Assembly']} {row['Type']}"] += 1
        assert row["Assembly"] != "GRCh38" or row["Chromosome"] != "22" or key[0] not in positions
    assert met["GRCh37 single nucleotide variant"] > 500
    assert met["GRCh37 Deletion"] > 20
    assert met["GRCh37 Insertion"] > 20


def test_the_guides_question_gets_the_ten_published_rows(
    allele_rows: Counter[tuple[int, str, str, str, int]], clinvar: list[dict[str, str]]
) -> None:
    """Filter NA12, count by allele and genotype, join drug responses of GRCh37: these ten rows."""
    drug = {
        (int(row["PositionVCF"]) - 1, row["ReferenceAlleleVCF"], row["AlternateAlleleVCF"]): row
        for row in clinvar
        if row["Assembly"] == "GRCh37" and "response" in row["ClinicalSignificance"]
    }
    report = {
        (f"rs{drug[key[:3]]['RS# (dbSNP)']}", key[4], f"{count / 65:.6f}")
        for key, count in allele_rows.items()
        if key[:3] in drug
    }
    expected = {(name, copies, row[2 + copies]) for name, row in PUBLISHED.items() for copies in (1, 2)}
    assert report == expected
