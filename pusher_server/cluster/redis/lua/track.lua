-- Track. ARGV: holder, address, key, value, limit, again ('1' or ''), '1' to publish a changed value, too.
local holder, address, key, value, limit, again, publishes = unpack(ARGV)
if not is_live(holder) then
  return fenced()
end

-- Returns 1 while the announcement of the join is not confirmed, else 0.
local function unsure(place)
  local is_waiting = redis.call('HEXISTS', JOINS, place) == 1 or redis.call('HGET', GIVEN, place) == '1'
  return is_waiting and 1 or 0
end

local topic = at('t:' .. address)
local packed = redis.call('HGET', topic, key)
local index, place = at('i:' .. holder), place_of(address, key)

local entry = entry_in(packed)
if packed and not entry then
  redis.call('HDEL', topic, key) -- unreadable, so nobody can hold it, and the key is new
end
if entry then
  if entry[3][holder] == nil then
    redis.call('ZADD', index, 'NX', next_turn(), place)
  end
  local is_news = publishes == '1' and entry[2] ~= value
  entry[2], entry[3][holder] = value, value
  redis.call('HSET', topic, key, cmsgpack.pack(entry))
  if is_news then
    local n = counter_in(redis.call('HGET', VERSIONS, address), 0) + 1
    redis.call('HSET', VERSIONS, address, n)
    publish(address, key, value, n, holder, true, false, false, true)
  end
  if again == '1' then
    drop_unsure(place)
  end
  return {counter_in(redis.call('HGET', VERSIONS, address), 0), 0, 0, unsure(place)}
end

local held = redis.call('HLEN', topic)
limit = tonumber(limit)
if limit > 0 and held >= limit then
  return redis.error_reply('FULL the topic holds as many keys as the caller allows')
end
local floor = counter_in(redis.call('HGET', WORLD, 'floor'), 0)
local n = counter_in(redis.call('HGET', VERSIONS, address), floor) + 1
redis.call('HSET', VERSIONS, address, n)
redis.call('HSET', topic, key, cmsgpack.pack({n, value, {[holder] = value}}))
local turn = next_turn()
redis.call('ZADD', index, turn, place)
local announced_gone = redis.call('ZREM', SETTLED, place) == 1
local returned = redis.call('ZREM', LEAVING, place) == 1
redis.call('HDEL', LEAVES, place)
returned = returned or (again == '1' and not announced_gone)
if not returned then
  local maybe_no_news = redis.call('HEXISTS', GIVEN, place) == 1
    or (not announced_gone and now < number_in(redis.call('HGET', WORLD, 'unsure_until'), 0))
  redis.call('ZADD', JOINING, turn, place)
  redis.call('HSET', JOINS, place, cmsgpack.pack({node_of(holder), version(n), maybe_no_news}))
end
publish(address, key, value, n, holder, true, held == 0, returned)
return {n, 1, returned and 1 or 0, unsure(place)}
