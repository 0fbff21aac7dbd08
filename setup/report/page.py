"""index.html: one self-contained page, filled from page.html. Every value is escaped on its way in."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path
from string import Template
from typing import Any

from setup.report.plot import percent, plot
from setup.report.rows import DrugResponse, Facts, Variant, short_allele, variants

DBSNP = "https://www.ncbi.nlm.nih.gov/snp/rs{}"
CLINVAR = "https://www.ncbi.nlm.nih.gov/clinvar/?term=rs{}"
PHENOTYPES_SHOWN = 6
SOURCES_SHOWN = 10
EMPTY = '<p class="empty">No sample of this cohort carries a variant related to drug response.</p>'
NOTE = (
    '<p class="note">The position is 1-based, as in a VCF; under it the same interval as the tables have it, '
    "0-based and half-open. All of it on {}. The file <code>drug_response.csv</code> beside this page has "
    "the same rows, every digit.</p>"
)
DEMO = (
    "<strong>Demonstration data.</strong> The input of this report was generated; it describes no person. "
    "That it gives the ten rows of the published report is by construction, not a finding."
)
DIFFERS = "<strong>Not the published table.</strong> The rows differ from the ten that were published."
COUNTED_TWICE = (
    "<strong>Samples counted more than once: {}.</strong> ClinVar lists the variant more than once under the "
    "same phenotypes, and the query counts each sample once for each. The plot uses the lowest value."
)
NOT_COUNTED = (
    "<strong>{} of the cohort not counted:</strong> without a non-reference allele in the files, they have no "
    "row in the table, and the query's frequencies leave them out of the number of samples."
)
CUT_OFF = (
    "<strong>There may be more.</strong> The query ends at {}, and it gave that many: rarer genotypes may be "
    "missing here, in the plot too."
)
REJECTED = (
    "<strong>{:,} of {} rejected</strong> in {}: they are not in these numbers. "
    "Table <code>rejects</code> has each with its line and reason."
)
UNBALANCED = "<strong>Records do not add up</strong> in {}: {:,} in, {:,} loaded, {:,} rejected."


def page(rows: Sequence[DrugResponse], facts: Facts) -> str:
    """The whole page, as text."""
    found = variants(rows)
    template = Template(Path(__file__).with_name("page.html").read_text(encoding="utf-8"))
    return template.substitute(
        answer=_answer(found, facts),
        notices="".join(_notices(rows, found, facts)),
        headlines=_headlines(found, facts),
        figure=plot(found, facts.samples) if found else EMPTY,
        table=_table(rows, facts) if rows else EMPTY,
        cohort=_cohort(facts),
        loads="".join(_load(load) for load in facts.loads) or "<p>No load was recorded.</p>",
        versions=_definitions(facts.versions.items()),
        query=escape(facts.query.strip()),
    )


def _cohort(facts: Facts) -> str:
    return f"<code>sampleid LIKE '{escape(facts.samples_pattern)}'</code>"


def _answer(found: Sequence[Variant], facts: Facts) -> str:
    samples = f"<strong>{_many(facts.samples, 'sample')}</strong> ({_cohort(facts)})"
    if not found:
        return f"None was found in {samples}."
    top = found[0]
    share = f"{_of_samples(top.carriers, facts)}, {percent(top.carriers)}"
    return (
        f"<strong>{_many(len(found), 'variant')}</strong>, in {samples}. "
        f"The most common is <strong>{escape(top.name)}</strong>: {share}, carry it."
    )


def _headlines(found: Sequence[Variant], facts: Facts) -> str:
    headlines = [
        ("samples", f"{facts.samples:,}", _cohort(facts)),
        ("variants", f"{len(found):,}", "carried, and related to drug response"),
        ("reference genome", escape(facts.reference_genome), "positions and alleles refer to it"),
    ]
    if facts.guide_rows_agree is not None:
        published = "reproduced" if facts.guide_rows_agree else "not reproduced"
        why = "by construction of the demonstration data" if facts.is_demo else "compared row by row"
        headlines.append(("the ten published rows", published, why))
    return "".join(
        f"<div><dt>{name}</dt><dd><b>{value}</b><small>{note}</small></dd></div>" for name, value, note in headlines
    )


# What a reader must know before the numbers


def _notices(rows: Sequence[DrugResponse], found: Sequence[Variant], facts: Facts) -> Iterable[str]:
    if facts.is_demo:
        yield _notice("demo", DEMO)
    for load in facts.loads:
        for source in load.get("sources") or []:
            yield from (_notice("warning", text) for text in _losses(load, source))
    if facts.samples_without_rows:
        yield _notice("warning", NOT_COUNTED.format(_many(facts.samples_without_rows, "sample")))
    if facts.guide_rows_agree is False:
        yield _notice("warning", DIFFERS)
    names = ", ".join(escape(variant.name) for variant in found if not variant.is_counted_once)
    if names:
        yield _notice("warning", COUNTED_TWICE.format(names))
    limit = re.search(r"\bLIMIT\s+(\d+)\s*;?\s*$", facts.query, re.IGNORECASE)
    if limit and len(rows) >= int(limit[1]):
        yield _notice("warning", CUT_OFF.format(_many(int(limit[1]), "row")))


def _losses(load: dict[str, Any], source: dict[str, Any]) -> Iterable[str]:
    records, loaded, rejected = (_total([source], name) for name in ("records", "loaded", "rejected"))
    path, table = (escape(str(value)) for value in (source.get("path"), load.get("table")))
    where = f"<code>{path}</code> (table <code>{table}</code>)"
    if rejected:
        yield REJECTED.format(rejected, _many(records, "record"), where)
    if records != loaded + rejected:
        yield UNBALANCED.format(where, records, loaded, rejected)


def _notice(kind: str, html: str) -> str:
    role = ' role="alert"' if kind == "warning" else ""
    return f'<p class="notice {kind}"{role}>{html}</p>'


# The table


def _table(rows: Sequence[DrugResponse], facts: Facts) -> str:
    headings = ["Variant", "Position", "Alleles", "Genotype", "Frequency", "Phenotypes"]
    body = (_cells(headings, _row(row, facts)) for row in rows)
    caption = f"{_many(len(rows), 'row')}, in the order of the query; phenotypes as ClinVar names them"
    return _grid("responses", caption, headings, body) + NOTE.format(escape(facts.reference_genome))


def _row(row: DrugResponse, facts: Facts) -> list[str]:
    return [
        _links(row.rsid),
        f"<b>{escape(row.locus)}</b><small>{escape(_interval(row))}</small>",
        f'<span title="{escape(row.referenceallele)}&gt;{escape(row.alternateallele)}">'
        f"{_allele(row.referenceallele)}&gt;{_allele(row.alternateallele)}</span>",
        f"<b>{row.genotype}</b><small>{row.zygosity.label if row.zygosity else 'no alternate'}</small>",
        f"<b>{row.genotypefrequency:.6f}</b><small>{percent(row.genotypefrequency)}, "
        f"{_of_samples(row.genotypefrequency, facts)}</small>",
        _phenotypes(row.phenotypes),
    ]


def _links(rsid: int | None) -> str:
    if rsid is None:
        return "<b>no rsID</b>"
    return (
        f'<b>rs{rsid}</b><small><a href="{DBSNP.format(rsid)}">dbSNP</a> '
        f'<a href="{CLINVAR.format(rsid)}">ClinVar</a></small>'
    )


def _interval(row: DrugResponse) -> str:
    return f"[{row.startposition}, {row.endposition})"


def _allele(allele: str) -> str:
    return f"<b>{escape(short_allele(allele))}</b>"


def _phenotypes(names: Sequence[str]) -> str:
    if not names:
        return "<small>not stated</small>"
    rest = names[PHENOTYPES_SHOWN:]
    more = f"<details><summary>and {len(rest)} more</summary>{_list(rest)}</details>" if rest else ""
    return _list(names[:PHENOTYPES_SHOWN]) + more


def _list(names: Iterable[str]) -> str:
    return "<ul>" + "".join(f"<li>{escape(name)}</li>" for name in names) + "</ul>"


# Where each number came from


def _load(load: dict[str, Any]) -> str:
    sources = list(load.get("sources") or [])
    facts = [
        ("rows in the table", f"{load['rows']:,}" if load.get("rows") is not None else None),
        ("run", load.get("run_id")),
        ("loaded at", load.get("loaded_at")),
        ("reference genome", load.get("reference_genome")),
        ("coordinates", load.get("coordinate_base")),
        ("release date", load.get("release_date")),
        (
            "options",
            ", ".join(f"{name}={value}" for name, value in (load.get("options") or {}).items() if value is not None),
        ),
        ("Hail", load.get("hail_version")),
        ("Spark", load.get("spark_version")),
        ("code commit", load.get("code_commit")),
    ]
    return (
        f"<article><h3><code>{escape(str(load.get('table')))}</code></h3>{_definitions(facts)}"
        f"{_sources(sources)}</article>"
    )


def _sources(sources: Sequence[dict[str, Any]]) -> str:
    headings = ["File", "Records in", "Loaded", "Rejected", "Bytes"]
    body = (_cells(headings, _source(source)) for source in sources)
    records, loaded, rejected = (_total(sources, name) for name in ("records", "loaded", "rejected"))
    caption = f"{_many(len(sources), 'file')}, {_many(records, 'record')} in: {loaded:,} loaded, {rejected:,} rejected"
    if len(sources) <= SOURCES_SHOWN:
        return _grid("sources", caption, headings, body)
    grid = _grid("sources", "The files", headings, body)
    return f"<details><summary>{caption}</summary>{grid}</details>"


def _total(sources: Iterable[dict[str, Any]], name: str) -> int:
    return sum(source.get(name) or 0 for source in sources)


def _source(source: dict[str, Any]) -> list[str]:
    counts = [source.get(name) for name in ("records", "loaded", "rejected", "bytes")]
    return [
        f"<b>{escape(str(source.get('path')))}</b>"
        f'<small class="sha">SHA-256 {escape(str(source.get("sha256") or "not stated"))}</small>',
        *("not stated" if count is None else f"{count:,}" for count in counts),
    ]


# Shapes


def _definitions(items: Iterable[tuple[str, Any]]) -> str:
    pairs = "".join(
        f"<div><dt>{escape(name)}</dt><dd>{escape(str(value or 'not stated'))}</dd></div>" for name, value in items
    )
    return f'<dl class="facts">{pairs}</dl>'


def _grid(css: str, caption: str, headings: Iterable[str], body: Iterable[str]) -> str:
    """A table that becomes cards on a narrow screen; the roles keep it a table for a screen reader."""
    heads = "".join(f'<th role="columnheader" scope="col">{heading}</th>' for heading in headings)
    return (
        f'<table role="table" class="{css}"><caption>{caption}</caption>'
        f'<thead role="rowgroup"><tr role="row">{heads}</tr></thead>'
        f'<tbody role="rowgroup">{"".join(body)}</tbody></table>'
    )


def _cells(headings: Sequence[str], cells: Sequence[str]) -> str:
    first = f'<th role="rowheader" scope="row" data-label="{headings[0]}">{cells[0]}</th>'
    rest = "".join(
        f'<td role="cell" data-label="{heading}"><div>{cell}</div></td>'
        for heading, cell in zip(headings[1:], cells[1:], strict=True)
    )
    return f'<tr role="row">{first}{rest}</tr>'


def _of_samples(share: float, facts: Facts) -> str:
    return f"{round(share * facts.samples):,} of {facts.samples:,}"


def _many(count: int, noun: str) -> str:
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"
