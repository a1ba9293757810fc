-- The audit's rows, as every node writes them. `tollgate migrate` puts in the database's name.
-- Money is whole nano-dollars. boot and seq number a node's rows without a gap; prev_hash and row_hash chain them.
CREATE TABLE IF NOT EXISTS {database}.audit
(
    boot             UUID,
    seq              UInt64 CODEC(Delta, ZSTD(1)),
    prev_hash        FixedString(32) CODEC(NONE),
    row_hash         FixedString(32) CODEC(NONE),
    kind             LowCardinality(String),
    request          UUID,
    at               DateTime64(6, 'UTC') CODEC(Delta, ZSTD(1)),
    organisation     LowCardinality(String),
    team             LowCardinality(String),
    user             String CODEC(ZSTD(1)),
    key              String CODEC(ZSTD(1)),
    provider         LowCardinality(String),
    dialect          LowCardinality(String),
    endpoint         LowCardinality(String),
    model            String CODEC(ZSTD(1)),
    priced_as        LowCardinality(String),
    stream           Bool,
    decision         LowCardinality(String),
    code             LowCardinality(String),
    status           UInt64 CODEC(T64, ZSTD(1)),
    findings         String CODEC(ZSTD(1)),
    redactions       UInt64 CODEC(T64, ZSTD(1)),
    restorations     UInt64 CODEC(T64, ZSTD(1)),
    input            UInt64 CODEC(T64, ZSTD(1)),
    cache_read       UInt64 CODEC(T64, ZSTD(1)),
    cache_write_5m   UInt64 CODEC(T64, ZSTD(1)),
    cache_write_1h   UInt64 CODEC(T64, ZSTD(1)),
    output           UInt64 CODEC(T64, ZSTD(1)),
    reasoning        UInt64 CODEC(T64, ZSTD(1)),
    audio_input      UInt64 CODEC(T64, ZSTD(1)),
    audio_output     UInt64 CODEC(T64, ZSTD(1)),
    image_input      UInt64 CODEC(T64, ZSTD(1)),
    image_output     UInt64 CODEC(T64, ZSTD(1)),
    web_searches     UInt64 CODEC(T64, ZSTD(1)),
    tool_calls       UInt64 CODEC(T64, ZSTD(1)),
    tier             LowCardinality(String),
    provenance       LowCardinality(String),
    cost_nanos       UInt64 CODEC(T64, ZSTD(1)),
    reserved_nanos   UInt64 CODEC(T64, ZSTD(1)),
    price_revision   LowCardinality(String),
    charges          String CODEC(ZSTD(1)),
    latency_us       UInt64 CODEC(T64, ZSTD(1)),
    first_byte_us    Nullable(UInt64) CODEC(ZSTD(1)),
    overhead_us      UInt64 CODEC(T64, ZSTD(1)),
    bytes_in         UInt64 CODEC(T64, ZSTD(1)),
    bytes_out        UInt64 CODEC(T64, ZSTD(1)),
    client           String CODEC(ZSTD(1)),
    user_agent       String CODEC(ZSTD(1)),
    attempts         UInt64 CODEC(T64, ZSTD(1)),
    upstream         LowCardinality(String),
    actor            String CODEC(ZSTD(1)),
    action           LowCardinality(String),
    subject          String CODEC(ZSTD(1)),
    change           String CODEC(ZSTD(1)),
    categories       Array(LowCardinality(String)) MATERIALIZED arrayMap(part -> splitByChar(':', part)[1], arrayFilter(part -> part != '', splitByChar(',', findings))),
    INDEX by_request request TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX by_user user TYPE bloom_filter(0.01) GRANULARITY 4,
    INDEX by_key key TYPE bloom_filter(0.01) GRANULARITY 4,
    INDEX by_boot boot TYPE bloom_filter(0.01) GRANULARITY 4
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(at)
ORDER BY (organisation, team, toStartOfHour(at), at, request)
TTL toDateTime(at) + INTERVAL 13 MONTH DELETE
SETTINGS non_replicated_deduplication_window = 10000, ttl_only_drop_parts = 1;

-- Signed statements of how far a node's chain had come: `tollgate audit verify` finds a cut-off end by them.
CREATE TABLE IF NOT EXISTS {database}.seals
(
    boot       UUID,
    seq        UInt64,
    hash       FixedString(32) CODEC(NONE),
    at         DateTime64(6, 'UTC'),
    signature  FixedString(64) CODEC(NONE)
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(at)
ORDER BY (boot, seq, at)
SETTINGS non_replicated_deduplication_window = 10000;
