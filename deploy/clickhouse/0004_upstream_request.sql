-- The provider's own id of the request.
ALTER TABLE {database}.audit
    ADD COLUMN IF NOT EXISTS upstream_request String CODEC(ZSTD(1)) AFTER cached;
