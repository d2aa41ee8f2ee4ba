-- KEYS: base. ARGV: worker, webhook, the start of the range ('(' and an id, or '-'), most messages. Returns messages,
-- and moves the position in `base:left` behind them.
local base, worker, webhook, most = KEYS[1], ARGV[1], ARGV[2], tonumber(ARGV[4])
local page = redis.call('XRANGE', base .. ':waiting', ARGV[3], '+', 'COUNT', most)
if redis.call('HGET', base .. ':left', '@') == worker and is_of(base, worker) then
  local before = redis.call('HGET', base .. ':left', webhook)
  if #page < most then
    redis.call('HDEL', base .. ':left', webhook)
  elseif before and before < position_of(page[#page][1]) then
    redis.call('HSET', base .. ':left', webhook, position_of(page[#page][1]))
  end
end
return page
