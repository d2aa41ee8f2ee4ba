-- Append: waiting (the most that may wait), dead letters (the most that are kept), milliseconds for which an id
-- is remembered, then id, webhook and the packed entry for each. Stands after outbox.lua.
local waiting, letters, memory = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
redis.call('ZREMRANGEBYSCORE', KNOWN, '-inf', now - memory)
for i = 4, #ARGV, 3 do
  local id, webhook, packed = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  if redis.call('ZADD', KNOWN, 'NX', now, known_as(id, webhook)) == 1 then
    put(id, webhook, packed)
  end
end
local excess = redis.call('XLEN', PENDING) - waiting
if excess > 0 then
  for _, row in ipairs(redis.call('XRANGE', PENDING, '-', '+', 'COUNT', excess)) do
    bury(row, 'more than ' .. waiting .. ' events waited', now / 1000, letters)
  end
end
return 0
