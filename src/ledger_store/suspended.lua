-- What silent leases of one budget hold: lent, not reported as spent, and not heard of for long. Reads only.
-- KEYS[1] the budget's hash.  ARGV: 1 now, in ms (0: this server's clock)
local now = tonumber(ARGV[1])
if now == 0 then
  local time = redis.call('TIME')
  now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
end
if redis.call('TYPE', KEYS[1]).ok ~= 'hash' then return '0' end
local fields = redis.call('HGETALL', KEYS[1])
local book = {}
for i = 1, #fields, 2 do book[fields[i]] = tonumber(fields[i + 1]) end
local silent = 0
for name, seen in pairs(book) do
  if string.sub(name, 1, 2) == 'x:' and seen < now then
    local id = string.sub(name, 3)
    local rest = (book['g:' .. id] or 0) - (book['r:' .. id] or 0) - (book['s:' .. id] or 0)
    if rest > 0 then silent = silent + rest end
  end
end
return string.format('%.0f', silent)
