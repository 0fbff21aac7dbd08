-- Which variants related to drug response does the individual of the table `sample` carry, and how sure is each call?
-- One row for each variant and ClinVar record.
--
-- The names of the database and of the variants' reference genome are filled in where the query is installed.
SELECT
    individual.sampleid,
    clinvar.genesymbol,
    clinvar.rsid,
    individual.chromosome,
    individual.startposition,
    individual.endposition,
    individual.referenceallele,
    individual.alternateallele,
    individual.genotype0,
    individual.genotype1,
    individual.qual,
    individual.filters,
    individual.dp,
    individual.gq,
    clinvar.clinicalsignificance,
    clinvar.phenotypelist
FROM ${database}.sample AS individual
JOIN ${database}.clinvar AS clinvar
    ON clinvar.chromosome = individual.chromosome
    AND clinvar.start = individual.startposition + 1 -- ClinVar counts from 1, the variants from 0
    AND clinvar.stop = individual.endposition
    AND clinvar.referenceallele = individual.referenceallele
    AND clinvar.alternateallele = individual.alternateallele
WHERE (individual.genotype0 = 1 OR individual.genotype1 = 1) -- the table has (0,0) and no calls, too
  AND clinvar.assembly = '${reference_genome}'
  AND clinvar.clinicalsignificance LIKE '%response%'
ORDER BY
    individual.sampleid,
    individual.chromosome,
    individual.startposition,
    individual.referenceallele,
    individual.alternateallele,
    clinvar.rsid,
    clinvar.clinicalsignificance,
    clinvar.phenotypelist
