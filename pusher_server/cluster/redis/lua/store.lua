-- The part that all scripts share. `scripts.py` puts a shebang and the store's settings before it:
-- LEASE, UNDO (microseconds), SWEEP, WIRE, REMEMBERED, AT_ONCE, PUBLISH (the verb) and clock().
--
-- The keys, all behind KEYS[1], whose hash tag keeps a store in one slot:
--   world      hash     epoch, run (the server that made it), floor, heard, seq, tick
--   leases     zset     holder -> when its lease ends
--   i:HOLDER   zset     places that it holds, in the order of joining
--   t:ADDRESS  hash     key -> [order, value last given, {holder = value}]
--   versions   hash     address -> n, while the topic has keys
--   joining    zset     place -> its turn: the join is to be announced
--   joins      hash     place that is joining -> [node that caused it, version, unsure]; unsure: the join was
--                       perhaps announced before, so it waits until `unsure_until` in world
--   leaving    zset     place -> when its leave is due
--   leaves     hash     place that is leaving -> [node that caused it, version]
--   settled    zset     place -> until when it is remembered that its leave was settled
--   given      hash     place whose join ("1") or leave ("0") is in a node's hands
--   due        hash     holder -> [batch, [address, key, held, version, ...]]: given to announce, not confirmed
--   tallies    hash     holder -> {name = number}
--   c:ADDRESS  string   the last event of a cache channel, with a time to live
--   co:APP     zset     addresses of an app's last events, in the order of their publication
--   cs:APP     hash     address -> [its bytes, its end]; bytes: the sum; turn: of the last publication
--   evicted    hash     app -> how many events were evicted before their end and not yet reported to a node
-- A place is an address and a key in one string. Numbers stay below 2^53, so that Lua keeps them exact.

local function at(name)
  return KEYS[1] .. ':' .. name
end

local WORLD, LEASES, VERSIONS = at('world'), at('leases'), at('versions')
local LEAVING, SETTLED, DUE, TALLIES = at('leaving'), at('settled'), at('due'), at('tallies')
local EVICTED = at('evicted')
local JOINING, JOINS, LEAVES, GIVEN = at('joining'), at('joins'), at('leaves'), at('given')

local time = clock()
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])

local function place_of(address, key)
  return #address .. ':' .. address .. key
end

-- Returns address and key; nil if the text is no place.
local function parts_of(place)
  local colon = string.find(place, ':', 1, true)
  local size = colon and tonumber(string.sub(place, 1, colon - 1))
  if not size or size < 0 or size > #place - colon then
    return nil
  end
  return string.sub(place, colon + 1, colon + size), string.sub(place, colon + size + 1)
end

-- Returns the row, or nil if our scripts did not write it. Another program may write to our keys, and one bad row
-- must not make a script fail: it would fail again at each renewal of each node.
local function unpacked(packed)
  if not packed then
    return nil
  end
  local ok, row = pcall(cmsgpack.unpack, packed)
  return ok and type(row) == 'table' and row or nil
end

local function entry_in(packed)
  local row = unpacked(packed)
  local good = row and type(row[1]) == 'number' and type(row[2]) == 'string' and type(row[3]) == 'table'
  return good and row or nil
end

-- Returns the row of a join or a leave: the node that caused it, the version, whether it is unsure.
local function cause_in(packed)
  local row = unpacked(packed)
  local good = row and type(row[1]) == 'string' and type(row[2]) == 'string'
  return good and row or nil
end

-- Returns the number of a batch in DUE, and its parts. An unreadable batch is empty; bad parts are left out.
local function batch_in(packed, otherwise)
  local row, due = unpacked(packed), {}
  if not row or type(row[1]) ~= 'number' or type(row[2]) ~= 'table' then
    return otherwise, due
  end
  for i = 1, #row[2] - 3, 4 do
    local address, key, held, at_version = row[2][i], row[2][i + 1], row[2][i + 2], row[2][i + 3]
    if type(address) == 'string' and type(key) == 'string' and type(held) == 'number' and type(at_version) == 'string' then
      for _, part in ipairs({address, key, held, at_version}) do
        due[#due + 1] = part
      end
    end
  end
  return row[1], due
end

-- Returns a number that Lua keeps exact, else 0.
local function count_in(value)
  return type(value) == 'number' and math.abs(value) < 2^53 and value or 0
end

local function number_in(text, otherwise)
  local number = tonumber(text or otherwise)
  return number and math.abs(number) < 2^53 and number or otherwise
end

-- Returns a number that only rises. An unreadable one is replaced by the time, which is above any value that it can
-- have had: nodes see that they have missed transitions, and request a snapshot.
local function counter_in(text, otherwise)
  return text and number_in(text, now) or otherwise
end

-- Returns a new number for a join, above those of all earlier ones.
local function next_turn()
  local turn = redis.pcall('HINCRBY', WORLD, 'seq', 1)
  if type(turn) ~= 'number' or math.abs(turn) >= 2^53 then
    turn = now -- the stored value is not ours; the time is above any value that it can have had
    redis.call('HSET', WORLD, 'seq', string.format('%.0f', turn))
  end
  return turn
end

-- `a.3f.2` -> `a.3f`: the process of this incarnation.
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

-- Returns the version n with the epoch, because Redis may lose its data and count again.
local function version(n)
  epoch = epoch or redis.call('HGET', WORLD, 'epoch') or ''
  return epoch .. '.' .. string.format('%.0f', n)
end

local function publish(address, key, value, n, holder, held, first, returned, updated)
  epoch = epoch or redis.call('HGET', WORLD, 'epoch') or ''
  local body = cmsgpack.pack({WIRE, epoch, n, key, value, held, first, returned, holder, updated or false})
  redis.call(PUBLISH, at(address), body)
end

-- Forgets an unsure join. Returns whether there was one.
local function drop_unsure(place)
  local packed = redis.call('HGET', JOINS, place)
  local join = cause_in(packed)
  if not packed or (join and not join[3]) then
    return false
  end
  redis.call('HDEL', JOINS, place)
  redis.call('ZREM', JOINING, place)
  return true
end
