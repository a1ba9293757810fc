-- One call about one lease on one budget in one period: report what is spent, return what is not needed, ask for more.
--
-- Everything a node sends is cumulative per lease, and a lease belongs to one start of one node. So a message that is lost,
-- late, doubled or out of order does no harm: totals are merged with max(), and `seq` lets an ask be granted once only.
-- `used` = sum of (granted - returned) over all leases = spent + lent out. Nothing is ever given back because time passed:
-- what a silent lease has not reported stays in `used`.
--
-- KEYS[1] the budget's hash. Not in a cluster: KEYS[2] one hash per server: which process answers, and since when nothing is
-- known to be lost. KEYS[3] the budgets that have a hash, by when it expires: so one that is gone is no new one.
-- ARGV: 1 now, in ms (0: this server's clock)  2 lease  3 node  4 seq  5 granted  6 spent  7 returned  8 want  9 least
--      10 beat|close  11 limit  12 version of the limit  13 share  14 quarantine, in ms  15 expiry, in ms since 1970 (0: never)
--      16 liveness, in ms  17 spent by this node over all its leases  18 process id of the server (empty: asked here)
--      19 granted, 20 charged, 21 credited by operators at this node  22... percents of the cap to be told of
-- Amounts are whole micro-dollars below 2^53, where doubles are exact. Numbers are written with %.0f: `..` would write 1e+15.
-- Reply: status, granted, returned, used, cap, spent, short, what this node has spent beyond its leases, limit, granted,
-- charged and credited by operators at all nodes, and each percent that this lease shall report.

local key, id, node = KEYS[1], ARGV[2], ARGV[3]
local MOST = 9007199254740991

local function whole(text)
  if not text then return 0 end
  if type(text) ~= 'string' or not string.match(text, '^%d+$') or #text > 16 then return nil end
  local number = tonumber(text)
  if number > MOST then return nil end
  return number
end
local function show(number) return string.format('%.0f', number) end

local arg = {}
for i = 1, 21 do
  if i ~= 2 and i ~= 3 and i ~= 10 and i ~= 18 then
    arg[i] = whole(ARGV[i])
    if not arg[i] then return redis.error_reply('ERR tollgate: argument ' .. i .. ' is not a count') end
  end
end
local seq, G, S, R, want, least, share = arg[4], arg[5], arg[6], arg[7], arg[8], arg[9], math.max(arg[13], 1)
local now = arg[1]
if now == 0 then
  local time = redis.call('TIME')
  now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
end

local kind = redis.call('TYPE', key).ok
if kind ~= 'none' and kind ~= 'hash' then return { 'foreign' } end
local h = redis.call('HMGET', key, 'v', 'cap', 'limv', 'used', 'spent', 'warm', 'short', 'server',
  'g:' .. id, 's:' .. id, 'r:' .. id, 'q:' .. id, 'c:' .. id, 'n:' .. node, 'o:' .. node,
  'lim', 'mg', 'mc', 'mr', 'mg:' .. node, 'mc:' .. node, 'mr:' .. node)
local fresh = kind == 'none'
if not fresh and h[1] ~= '1' then return { 'foreign' } end
local field = {}
for i = 2, 22 do
  if i ~= 8 then
    field[i] = whole(h[i])
    if not field[i] then return { 'foreign' } end
  end
end
local cap, limv, used, spent, warm, short = field[2], field[3], field[4], field[5], field[6], field[7]
local g, sp, r, q, total, over = field[9], field[10], field[11], field[12], field[14], field[15]

-- A clock that was set back must not make anybody wait for the time by which it was wrong.
warm, short = math.min(warm, now + arg[14]), math.min(short, now)

-- The newest limit holds, whoever tells it (a hash of an older release has a cap only). What operators changed is added up
-- over the nodes, of each the most that it ever told.
local limit = h[16] and field[16] or cap
if fresh or arg[12] > limv then limit, limv = arg[11], arg[12] end
for i = 17, 19 do
  local more = arg[i + 2] - field[i + 3]
  if more > 0 then field[i] = field[i] + more; field[i + 3] = arg[i + 2] end
end
local granted, charged, credited = field[17], field[18], field[19]
cap = math.min(math.max(limit + granted + credited - charged, 0), MOST)
local function reply(status, short)
  return { status, show(g), show(r), show(used), show(cap), show(spent), short, show(over), show(limit), show(granted),
    show(charged), show(credited) }
end

-- A closed lease can never spend again; what it has left behind is booked.
if h[13] then
  return reply('closed', '0')
end

-- Which process are we? Another one than the hash was written by may lack the last writes: all nodes report before it lends.
local server = h[8]
if want > 0 or fresh then
  server = ARGV[18]
  if server == '' then server = string.match(redis.call('INFO', 'server'), 'run_id:(%w+)') or '?' end
  if not fresh and h[8] and h[8] ~= server then warm = now + arg[14] end
  if KEYS[2] then
    local seen = redis.call('HMGET', KEYS[2], 'server', 'since')
    local since = whole(seen[2])
    local known = redis.call('EXISTS', KEYS[3]) == 1
    if fresh then redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', '(' .. show(now)) end
    local lost = fresh and redis.call('ZSCORE', KEYS[3], key)
    -- Whoever shows itself sees the new time, and reports all its leases.
    if seen[1] ~= server or not since or since > now or not known or lost then
      since = now
      redis.call('HSET', KEYS[2], 'server', server, 'since', show(now))
    end
    if fresh then warm = math.max(warm, since + arg[14]) end
  elseif fresh then
    warm = now + arg[14]
  end
end

-- Heal: the node knows of more than we do, so we lost writes. Its lease is adopted again.
if G > g then used = used + (G - g); g = G; warm = now + arg[14] end
if S > sp then spent = spent + (S - sp); total = total + (S - sp); sp = S end
if R > r then r = math.min(R, g); used = used - (r - (field[11])) end
-- Overrun: an actual cost above the lease is booked, not lost; and remembered, as what the node has used of its grace.
local beyond = math.max(sp - (g - r), 0)
used = used + beyond; over = over + beyond; g = g + beyond
-- What former lives of this node spent, and we no longer know.
if arg[17] > total then
  used = used + (arg[17] - total); spent = spent + (arg[17] - total); total = arg[17]
  if not fresh then warm = now + arg[14] end
end

local status = 'ok'
if ARGV[10] == 'close' then
  used = used - (g - r - sp)
  r = g - sp
  status = 'closed'
elseif seq <= q then
  status = 'duplicate'
elseif want > 0 then
  local free = cap - used
  if now < warm then
    status = 'warming'
  elseif free <= 0 then
    status = 'exhausted'
    short = now
  else
    local grant = math.min(want, math.max(least, math.floor(free / share)), free)
    g = g + grant
    used = used + grant
    -- Slices have become smaller than what is asked for: whoever has more than it needs should return it.
    if grant < want and (free - grant) * 8 < cap then short = now end
  end
end
q = math.max(q, seq)
if math.max(used, spent, g, granted, charged, credited) > MOST then return { 'foreign' } end

redis.call('HSET', key, 'v', '1', 'cap', show(cap), 'lim', show(limit), 'limv', show(limv), 'used', show(used), 'spent', show(spent),
  'warm', show(warm), 'short', show(short), 'n:' .. node, show(total), 'o:' .. node, show(over))
if server then redis.call('HSET', key, 'server', server) end
if arg[19] + arg[20] + arg[21] > 0 then
  redis.call('HSET', key, 'mg', show(granted), 'mc', show(charged), 'mr', show(credited),
    'mg:' .. node, show(field[20]), 'mc:' .. node, show(field[21]), 'mr:' .. node, show(field[22]))
end
if status == 'closed' then
  redis.call('HDEL', key, 'g:' .. id, 's:' .. id, 'r:' .. id, 'q:' .. id, 'x:' .. id)
  redis.call('HSET', key, 'c:' .. id, show(sp))
else
  redis.call('HSET', key, 'g:' .. id, show(g), 's:' .. id, show(sp), 'r:' .. id, show(r), 'q:' .. id, show(q),
    'x:' .. id, show(now + arg[16]))
end
if arg[15] > 0 then redis.call('PEXPIREAT', key, show(arg[15])) end
if KEYS[3] then redis.call('ZADD', KEYS[3], 'NX', arg[15] > 0 and show(arg[15]) or '+inf', key) end

local answer = reply(status, now - short < 5000 and '1' or '0')
for i = 22, #ARGV do
  local percent = whole(ARGV[i])
  if percent and percent > 0 and spent * 100 >= cap * percent then
    redis.call('HSETNX', key, 'a:' .. ARGV[i], id)
    if redis.call('HGET', key, 'a:' .. ARGV[i]) == id then answer[#answer + 1] = ARGV[i] end
  end
end
return answer
