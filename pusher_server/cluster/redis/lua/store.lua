-- What the scripts share. Python puts a shebang and the store's settings before it (`scripts.py`):
-- LEASE, UNDO (microseconds), SWEEP, WIRE, REMEMBERED, AT_ONCE, PUBLISH (the verb) and clock().
--
-- The keys, all behind KEYS[1], whose hash tag keeps a store in one slot:
--   world      hash     epoch, run (the server that made it), floor, heard, seq, tick
--   leases     zset     holder -> when its lease ends
--   i:HOLDER   zset     places that it holds, in the order of joining
--   t:ADDRESS  hash     key -> [order, value last given, {holder = value}]
--   versions   hash     address -> n, while the topic has keys
--   joining    zset     place -> its turn: the join is to be announced
--   joins      hash     place that is joining -> [node that caused it, version, unsure]; unsure: perhaps no
--                       news, not before `unsure_until` in world
--   leaving    zset     place -> when its leave is due
--   leaves     hash     place that is leaving -> [node that caused it, version]
--   settled    zset     place -> until when it is remembered that its leave was settled
--   given      hash     place whose join ("1") or leave ("0") is in a node's hands
--   due        hash     holder -> [batch, [address, key, held, version, ...]]: given to announce, not confirmed
--   tallies    hash     holder -> {name = number}
--   c:ADDRESS  string   what is remembered, with a time to live
-- A place is an address and a key in one string. Numbers stay below 2^53, so that Lua keeps them exact.

local function at(name)
  return KEYS[1] .. ':' .. name
end

local WORLD, LEASES, VERSIONS = at('world'), at('leases'), at('versions')
local LEAVING, SETTLED, DUE, TALLIES = at('leaving'), at('settled'), at('due'), at('tallies')
local JOINING, JOINS, LEAVES, GIVEN = at('joining'), at('joins'), at('leaves'), at('given')

local time = clock()
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])

local function place_of(address, key)
  return #address .. ':' .. address .. key
end

local function parts_of(place)
  local colon = string.find(place, ':', 1, true)
  local size = tonumber(string.sub(place, 1, colon - 1))
  return string.sub(place, colon + 1, colon + size), string.sub(place, colon + size + 1)
end

-- `a.3f.2` -> `a.3f`: the process whose incarnation it is.
local function node_of(holder)
  return string.match(holder, '^(.*)%.') or ''
end

local function is_live(holder)
  local ends = redis.call('ZSCORE', LEASES, holder)
  return ends and tonumber(ends) > now
end

local function fenced()
  return redis.error_reply('FENCED the lease has ended')
end

local epoch

-- The version n as it is called when another memory may follow.
local function version(n)
  epoch = epoch or redis.call('HGET', WORLD, 'epoch') or ''
  return epoch .. '.' .. string.format('%.0f', n)
end

local function tell(address, key, value, n, holder, held, first, returned, updated)
  epoch = epoch or redis.call('HGET', WORLD, 'epoch') or ''
  local body = cmsgpack.pack({WIRE, epoch, n, key, value, held, first, returned, holder, updated or false})
  redis.call(PUBLISH, at(address), body)
end

-- Whether there was a join that may be no news: forgotten now.
local function drop_unsure(place)
  local join = redis.call('HGET', JOINS, place)
  if not join or not cmsgpack.unpack(join)[3] then
    return false
  end
  redis.call('HDEL', JOINS, place)
  redis.call('ZREM', JOINING, place)
  return true
end
