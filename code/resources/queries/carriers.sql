-- Who in a cohort carries which variant related to drug response? One row for each sample, variant and ClinVar record.
--
-- Its one parameter is the cohort: a LIKE pattern of sample ids, such as 'NA12%'. The names of the database, of the
-- cohort's table (by sample, or clustered) and of its reference genome are filled in where the query is installed.
SELECT
    cohort.sampleid,
    clinvar.genesymbol,
    clinvar.rsid,
    cohort.chromosome,
    cohort.startposition,
    cohort.endposition,
    cohort.referenceallele,
    cohort.alternateallele,
    cohort.genotype0,
    cohort.genotype1,
    clinvar.clinicalsignificance,
    clinvar.phenotypelist
FROM ${database}.${variants} AS cohort
JOIN ${database}.clinvar AS clinvar
    ON clinvar.chromosome = cohort.chromosome
    AND clinvar.start = cohort.startposition + 1 -- ClinVar counts from 1, the variants from 0
    AND clinvar.stop = cohort.endposition
    AND clinvar.referenceallele = cohort.referenceallele
    AND clinvar.alternateallele = cohort.alternateallele
WHERE cohort.sampleid LIKE ?
  AND clinvar.assembly = '${reference_genome}'
  AND clinvar.clinicalsignificance LIKE '%response%'
ORDER BY
    cohort.sampleid,
    cohort.chromosome,
    cohort.startposition,
    cohort.referenceallele,
    cohort.alternateallele,
    clinvar.rsid,
    clinvar.clinicalsignificance,
    clinvar.phenotypelist
