-- What was not loaded, and why? One row for each table, input file, reason and field, with the first line that has it.
--
-- A field tells that it alone was left out of its records; without one the records were. docs/rejects.md has the reasons.
SELECT
    dataset,
    source,
    run_id,
    reason,
    field,
    count(*) AS times,
    min(line) AS firstline
FROM ${database}.rejects
GROUP BY
    dataset,
    source,
    run_id,
    reason,
    field
ORDER BY
    dataset,
    run_id,
    source,
    times DESC,
    reason,
    field
