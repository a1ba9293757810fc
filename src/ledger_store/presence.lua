-- A node shows itself, and learns which process serves it, how many nodes live, and since when nothing is known to be lost.
-- KEYS[1] a sorted set of nodes by the time that they were last seen. KEYS[2] (not in a cluster) the server's hash of lease.lua.
-- ARGV: 1 node  2 how long a silent one counts, in ms
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
redis.call('ZADD', KEYS[1], now, ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - tonumber(ARGV[2]))
-- From before this server's clock was set back: whoever lives shows itself again.
redis.call('ZREMRANGEBYSCORE', KEYS[1], '(' .. now, '+inf')
redis.call('PEXPIRE', KEYS[1], ARGV[2] * 10)
local server = string.match(redis.call('INFO', 'server'), 'run_id:(%w+)') or '?'
local since = KEYS[2] and redis.call('HGET', KEYS[2], 'since') or ''
return { server, redis.call('ZCARD', KEYS[1]), since }
