-- Remember: address, body, cached, milliseconds, limit. As `last_events.LastEvents.keep` does it.
local address, body, cached, ttl, limit = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5])
local app = string.match(address, '^[^:]*:([^:]*):') or ''
local ORDER, SIZES = at('co:' .. app), at('cs:' .. app)
local total = number_in(redis.call('HGET', SIZES, 'bytes'), 0)
local gone = 0

-- Its bytes and its end; of what cannot be read, nothing is known.
local function kept(each)
  local row = unpacked(redis.call('HGET', SIZES, each))
  return count_in(row and row[1]), count_in(row and row[2])
end

local function drop(each, size)
  total = total - size
  redis.call('ZREM', ORDER, each)
  redis.call('HDEL', SIZES, each)
  redis.call('DEL', at('c:' .. each))
end

-- The oldest with its bytes and its end, or nil.
local function oldest()
  local each = redis.call('ZRANGE', ORDER, 0, 0)[1]
  if each then
    return each, kept(each)
  end
end

drop(address, (kept(address)))
for _ = 1, PAST_AT_ONCE do
  local each, size, ends = oldest()
  if not each or ends > now then
    break
  end
  drop(each, size)
end

local size = ENTRY_BYTES + #cached + 3 * #address
if limit > 0 and size > limit then
  gone = 1
else
  redis.call('SET', at('c:' .. address), cached, 'PX', ttl)
  local turn = counter_in(redis.call('HGET', SIZES, 'turn'), 0) + 1
  redis.call('ZADD', ORDER, turn, address)
  redis.call('HSET', SIZES, 'turn', turn, address, cmsgpack.pack({size, now + ttl * 1000}))
  total = total + size
end
for _ = 1, EVICTED_AT_ONCE do
  local each, its_size, ends = oldest()
  if limit == 0 or total <= limit or not each then
    break
  end
  gone = gone + (ends > now and 1 or 0)
  drop(each, its_size)
end

-- Both end with the last of what they tell of, so nothing of an app stays for ever.
redis.call('HSET', SIZES, 'bytes', math.max(0, total))
if redis.call('EXISTS', ORDER) == 0 then
  redis.call('DEL', SIZES)
else
  for _, each in ipairs({SIZES, ORDER}) do
    if redis.call('PTTL', each) < ttl then
      redis.call('PEXPIRE', each, ttl)
    end
  end
end
if gone > 0 then
  redis.call('HSET', EVICTED, app, number_in(redis.call('HGET', EVICTED, app), 0) + gone)
end
redis.call(PUBLISH, at(address), body)
return 0
