-- Which model answered, what was tried to get there, and whether the answer was a cached one.
ALTER TABLE {database}.audit
    ADD COLUMN IF NOT EXISTS served String CODEC(ZSTD(1)) AFTER change,
    ADD COLUMN IF NOT EXISTS tries String CODEC(ZSTD(1)) AFTER served,
    ADD COLUMN IF NOT EXISTS cached Bool AFTER tries;
