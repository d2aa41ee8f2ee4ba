-- KEYS: base. ARGV: seconds for which delivered ones are remembered, most entries that wait, most dead letters,
-- why one is crowded out, then of each entry its name, id, decided_at and JSON.
-- Answers how many were crowded out.
local base, at = KEYS[1], now()
redis.call('ZREMRANGEBYSCORE', base .. ':known', '-inf', at - ARGV[1])
for index = 5, #ARGV, 4 do
  local name, id, decided_at, entry = unpack(ARGV, index, index + 3)
  if not redis.call('ZSCORE', base .. ':known', name) then
    redis.call('ZADD', base .. ':known', '+inf', name)
    redis.call('XADD', base .. ':waiting', '*', 'e', entry, 'd', decided_at, 'i', id, 'm', name)
  end
end
local excess = redis.call('XLEN', base .. ':waiting') - ARGV[2]
if excess <= 0 then
  return 0
end
for _, message in ipairs(redis.call('XRANGE', base .. ':waiting', '-', '+', 'COUNT', excess)) do
  bury(base, message, at, ARGV[4])
end
redis.call('XTRIM', base .. ':dead', 'MAXLEN', ARGV[3])
return excess
