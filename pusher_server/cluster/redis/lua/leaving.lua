-- Releases keys, and keeps the order of announcements. Stands after store.lua.

-- Returns now + wait, at a tick of its own for each leave, so that the leaves of one script keep their order.
local function after(wait)
  local tick = math.max(now, number_in(redis.call('HGET', WORLD, 'tick'), 0) + 1)
  redis.call('HSET', WORLD, 'tick', tick)
  return tick + wait
end

-- Returns the lowest score in a sorted set; `otherwise` when the set is empty.
local function first_score(set, otherwise)
  local first = redis.call('ZRANGE', set, 0, 0, 'WITHSCORES')
  return tonumber(first[2] or otherwise)
end

-- Makes a leave due at once, before those that are due already, unless the leave of this place is under way.
local function due_first(place, node, at_version)
  local moment = math.min(now, first_score(LEAVING, now + 1) - 1)
  if redis.call('ZADD', LEAVING, 'NX', moment, place) == 1 then
    redis.call('HSET', LEAVES, place, cmsgpack.pack({node, at_version}))
  end
end

-- Takes back a batch that a node did not announce. It goes from the last to the first; each is put before the rest.
local function give_back(due, node)
  for i = #due - 3, 1, -4 do
    local address, key, held, at_version = due[i], due[i + 1], due[i + 2], due[i + 3]
    local place = place_of(address, key)
    redis.call('HDEL', GIVEN, place)
    if held == 1 then
      redis.call('ZADD', JOINING, first_score(JOINING, 0) - 1, place)
      redis.call('HSET', JOINS, place, cmsgpack.pack({node, at_version, false}))
    elseif redis.call('HEXISTS', at('t:' .. address), key) == 1 then
      drop_unsure(place) -- a join has undone the leave, and neither was announced
    else
      due_first(place, node, at_version)
    end
  end
end

-- Forgets a batch that was announced.
local function confirm(due)
  for i = 1, #due, 4 do
    redis.call('HDEL', GIVEN, place_of(due[i], due[i + 1]))
  end
end

-- Releases a key. Returns n and the value, or 0 and '' when there was no transition.
local function let_go(holder, address, key)
  local place = place_of(address, key)
  redis.call('ZREM', at('i:' .. holder), place)
  local topic = at('t:' .. address)
  local packed = redis.call('HGET', topic, key)
  local entry = entry_in(packed)
  if packed and not entry then
    redis.call('HDEL', topic, key) -- unreadable, so nobody can hold it
  end
  if not entry or entry[3][holder] == nil then
    return 0, ''
  end
  entry[3][holder] = nil
  if next(entry[3]) ~= nil then
    redis.call('HSET', topic, key, cmsgpack.pack(entry))
    return 0, ''
  end
  redis.call('HDEL', topic, key)
  local floor = counter_in(redis.call('HGET', WORLD, 'floor'), 0)
  local n = counter_in(redis.call('HGET', VERSIONS, address), floor) + 1
  if redis.call('EXISTS', topic) == 1 then
    redis.call('HSET', VERSIONS, address, n)
  else
    redis.call('HDEL', VERSIONS, address)
    redis.call('HSET', WORLD, 'floor', math.max(floor, n))
  end
  if not drop_unsure(place) then -- a join that was perhaps not announced needs no leave
    redis.call('ZADD', LEAVING, after(UNDO), place)
    redis.call('HSET', LEAVES, place, cmsgpack.pack({node_of(holder), version(n)}))
  end
  publish(address, key, entry[2], n, holder, false, false, false)
  return n, entry[2]
end

-- Releases up to SWEEP keys of a holder whose lease has ended; without further keys the holder is forgotten.
-- Returns how many keys, and whether there are more.
local function release_some(holder)
  local index = at('i:' .. holder)
  local places = redis.call('ZRANGE', index, 0, SWEEP - 1)
  for _, place in ipairs(places) do
    local address, key = parts_of(place)
    if address then
      let_go(holder, address, key)
    else
      redis.call('ZREM', index, place)
    end
  end
  if redis.call('EXISTS', index) == 1 then
    return #places, true
  end
  local given = redis.call('HGET', DUE, holder)
  if given then
    local _, due = batch_in(given, 0)
    give_back(due, node_of(holder))
  end
  redis.call('HDEL', DUE, holder)
  redis.call('HDEL', TALLIES, holder)
  redis.call('ZREM', LEASES, holder)
  return #places, false
end

local function all_leases_anew()
  for _, holder in ipairs(redis.call('ZRANGE', LEASES, 0, -1)) do
    redis.call('ZADD', LEASES, now + LEASE, holder)
  end
end

-- Makes no leave due later than a leave of this moment.
local function leaves_by_this_clock()
  for _, place in ipairs(redis.call('ZRANGEBYSCORE', LEAVING, now + UNDO, '+inf')) do
    redis.call('ZADD', LEAVING, now + UNDO, place)
  end
end

-- Notes the time of a request. If none came for long, the store itself was away, and no lease ends for that.
-- A clock that was set forward looks the same. A clock that was set back would keep dead holders alive, and leaves
-- waiting, for as long as the step.
local function note_request()
  local last = number_in(redis.call('HGET', WORLD, 'heard'), 0)
  if now < last then
    all_leases_anew()
    leaves_by_this_clock()
    local unsure_until = number_in(redis.call('HGET', WORLD, 'unsure_until'), 0)
    redis.call('HSET', WORLD, 'tick', now, 'unsure_until', math.min(unsure_until, now + LEASE))
  elseif now - last > LEASE / 2 then
    all_leases_anew()
  end
  redis.call('HSET', WORLD, 'heard', now)
end
