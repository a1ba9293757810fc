-- Sums of requests, kept up by the engine as rows come in. Ask them with sum(): parts merge later.

-- By hour, team and model.
CREATE TABLE IF NOT EXISTS {database}.spend_hour
(
    hour          DateTime('UTC'),
    organisation  LowCardinality(String),
    team          LowCardinality(String),
    model         LowCardinality(String),
    requests      UInt64,
    errors        UInt64,
    input_tokens  UInt64,
    output_tokens UInt64,
    cost_nanos    UInt64,
    latency_us    UInt64
)
ENGINE = SummingMergeTree
PARTITION BY toYYYYMM(hour)
ORDER BY (organisation, team, hour, model)
SETTINGS non_replicated_deduplication_window = 10000;

CREATE MATERIALIZED VIEW IF NOT EXISTS {database}.spend_hour_view TO {database}.spend_hour AS
SELECT toStartOfHour(a.at) AS hour, a.organisation AS organisation, a.team AS team,
       a.priced_as AS model,
       count() AS requests, countIf(a.status >= 400 OR a.decision = 'lost') AS errors,
       sum(a.input + a.cache_read + a.cache_write_5m + a.cache_write_1h + a.audio_input + a.image_input) AS input_tokens,
       sum(a.output + a.audio_output + a.image_output) AS output_tokens,
       sum(a.cost_nanos) AS cost_nanos, sum(a.latency_us) AS latency_us
FROM {database}.audit AS a
WHERE a.kind = 'request'
GROUP BY hour, organisation, team, model;

-- By day, team, user, key and model.
CREATE TABLE IF NOT EXISTS {database}.spend_day
(
    day           Date,
    organisation  LowCardinality(String),
    team          LowCardinality(String),
    user          String,
    key           String,
    model         LowCardinality(String),
    requests      UInt64,
    errors        UInt64,
    input_tokens  UInt64,
    output_tokens UInt64,
    cost_nanos    UInt64,
    latency_us    UInt64
)
ENGINE = SummingMergeTree
PARTITION BY toYYYYMM(day)
ORDER BY (organisation, team, day, user, key, model)
SETTINGS non_replicated_deduplication_window = 10000;

CREATE MATERIALIZED VIEW IF NOT EXISTS {database}.spend_day_view TO {database}.spend_day AS
SELECT toDate(a.at) AS day, a.organisation AS organisation, a.team AS team,
       a.user AS user, a.key AS key, a.priced_as AS model,
       count() AS requests, countIf(a.status >= 400 OR a.decision = 'lost') AS errors,
       sum(a.input + a.cache_read + a.cache_write_5m + a.cache_write_1h + a.audio_input + a.image_input) AS input_tokens,
       sum(a.output + a.audio_output + a.image_output) AS output_tokens,
       sum(a.cost_nanos) AS cost_nanos, sum(a.latency_us) AS latency_us
FROM {database}.audit AS a
WHERE a.kind = 'request'
GROUP BY day, organisation, team, user, key, model;

-- By day, team and size of the input: the context panel.
CREATE TABLE IF NOT EXISTS {database}.context_day
(
    day           Date,
    organisation  LowCardinality(String),
    team          LowCardinality(String),
    bucket        LowCardinality(String),
    requests      UInt64,
    errors        UInt64,
    input_tokens  UInt64,
    output_tokens UInt64,
    cost_nanos    UInt64,
    latency_us    UInt64
)
ENGINE = SummingMergeTree
PARTITION BY toYYYYMM(day)
ORDER BY (organisation, team, day, bucket)
SETTINGS non_replicated_deduplication_window = 10000;

CREATE MATERIALIZED VIEW IF NOT EXISTS {database}.context_day_view TO {database}.context_day AS
SELECT toDate(a.at) AS day, a.organisation AS organisation, a.team AS team,
       multiIf(a.input + a.cache_read + a.cache_write_5m + a.cache_write_1h + a.audio_input + a.image_input < 8000, 'below 8K',
               a.input + a.cache_read + a.cache_write_5m + a.cache_write_1h + a.audio_input + a.image_input < 32000, '8K to 32K',
               a.input + a.cache_read + a.cache_write_5m + a.cache_write_1h + a.audio_input + a.image_input < 100000, '32K to 100K',
               a.input + a.cache_read + a.cache_write_5m + a.cache_write_1h + a.audio_input + a.image_input < 500000, '100K to 500K',
               '500K and above') AS bucket,
       count() AS requests, countIf(a.status >= 400 OR a.decision = 'lost') AS errors,
       sum(a.input + a.cache_read + a.cache_write_5m + a.cache_write_1h + a.audio_input + a.image_input) AS input_tokens,
       sum(a.output + a.audio_output + a.image_output) AS output_tokens,
       sum(a.cost_nanos) AS cost_nanos, sum(a.latency_us) AS latency_us
FROM {database}.audit AS a
WHERE a.kind = 'request'
GROUP BY day, organisation, team, bucket;
