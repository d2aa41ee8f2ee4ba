-- Remember. ARGV: address, body, cached, milliseconds, limit. It does the same as `last_events.LastEvents.keep`.
local address, body, cached, ttl, limit = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5])
local app = string.match(address, '^[^:]*:([^:]*):') or ''
local ORDER, SIZES = at('co:' .. app), at('cs:' .. app)
local total = number_in(redis.call('HGET', SIZES, 'bytes'), 0)
local gone = 0

-- Returns the bytes and the end of an address's event; 0 and 0 if the row cannot be read.
local function kept(name)
  local row = unpacked(redis.call('HGET', SIZES, name))
  return count_in(row and row[1]), count_in(row and row[2])
end

local function drop(name, size)
  total = total - size
  redis.call('ZREM', ORDER, name)
  redis.call('HDEL', SIZES, name)
  redis.call('DEL', at('c:' .. name))
end

-- Returns the address of the oldest event with its bytes and its end, or nil.
local function oldest()
  local name = redis.call('ZRANGE', ORDER, 0, 0)[1]
  if name then
    return name, kept(name)
  end
end

drop(address, (kept(address)))
for _ = 1, PAST_AT_ONCE do
  local name, size, ends = oldest()
  if not name or ends > now then
    break
  end
  drop(name, size)
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
  local name, its_size, ends = oldest()
  if limit == 0 or total <= limit or not name then
    break
  end
  gone = gone + (ends > now and 1 or 0)
  drop(name, its_size)
end

-- Both keys expire with the last event that they list, so nothing of an app stays for ever.
redis.call('HSET', SIZES, 'bytes', math.max(0, total))
if redis.call('EXISTS', ORDER) == 0 then
  redis.call('DEL', SIZES)
else
  for _, list in ipairs({SIZES, ORDER}) do
    if redis.call('PTTL', list) < ttl then
      redis.call('PEXPIRE', list, ttl)
    end
  end
end
if gone > 0 then
  redis.call('HSET', EVICTED, app, number_in(redis.call('HGET', EVICTED, app), 0) + gone)
end
redis.call(PUBLISH, at(address), body)
return 0
