-- Which variants related to drug response does a cohort carry, and how frequent is each genotype in it?
--
-- Its one parameter is the cohort: a LIKE pattern of sample ids, such as 'NA12%'. The names of the database, of the
-- cohort's table (by sample, or clustered) and of its reference genome are filled in where the query is installed.
WITH cohort AS (
    SELECT sampleid, chromosome, startposition, endposition, referenceallele, alternateallele, genotype0, genotype1
    FROM ${database}.${variants}
    WHERE sampleid LIKE ?
),
size AS (
    SELECT count(DISTINCT sampleid) AS samples
    FROM cohort
),
response AS (
    SELECT rsid, phenotypelist, clinicalsignificance, chromosome, start, stop, referenceallele, alternateallele
    FROM ${database}.clinvar
    WHERE assembly = '${reference_genome}'
      AND clinicalsignificance LIKE '%response%'
)
SELECT
    count(*) / CAST(size.samples AS DOUBLE) AS genotypefrequency,
    response.rsid,
    response.phenotypelist,
    cohort.chromosome,
    cohort.startposition,
    cohort.endposition,
    cohort.referenceallele,
    cohort.alternateallele,
    cohort.genotype0,
    cohort.genotype1
FROM cohort
CROSS JOIN size
JOIN response
    ON response.chromosome = cohort.chromosome
    AND response.start = cohort.startposition + 1 -- ClinVar counts from 1, the variants from 0
    AND response.stop = cohort.endposition
    AND response.referenceallele = cohort.referenceallele
    AND response.alternateallele = cohort.alternateallele
GROUP BY
    size.samples,
    response.rsid,
    response.phenotypelist,
    response.clinicalsignificance,
    cohort.chromosome,
    cohort.startposition,
    cohort.endposition,
    cohort.referenceallele,
    cohort.alternateallele,
    cohort.genotype0,
    cohort.genotype1
ORDER BY
    genotypefrequency DESC,
    -- equal frequencies always in the same order
    cohort.chromosome,
    cohort.startposition,
    cohort.referenceallele,
    cohort.alternateallele,
    cohort.genotype0,
    cohort.genotype1,
    response.rsid,
    response.clinicalsignificance,
    response.phenotypelist
LIMIT 50
