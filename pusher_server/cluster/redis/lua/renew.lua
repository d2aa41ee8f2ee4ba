-- Renew. ARGV: holder, confirmed, then a name and a number for each tally.
local holder, confirmed = ARGV[1], tonumber(ARGV[2])
note_request()
if not is_live(holder) then
  return fenced()
end
redis.call('ZADD', LEASES, now + LEASE, holder)

local tallies = {}
for i = 3, #ARGV, 2 do
  tallies[ARGV[i]] = tonumber(ARGV[i + 1])
end
if next(tallies) == nil then
  redis.call('HDEL', TALLIES, holder)
else
  redis.call('HSET', TALLIES, holder, cmsgpack.pack(tallies))
end

local swept, count, more = '', 0, false
local past = redis.call('ZRANGEBYSCORE', LEASES, '-inf', now, 'LIMIT', 0, 1)
if past[1] then
  swept = past[1]
  count, more = release_some(swept)
  more = more or redis.call('ZCOUNT', LEASES, '-inf', now) > 0
end

local live = redis.call('ZRANGEBYSCORE', LEASES, '(' .. string.format('%.0f', now), '+inf')
local node, alive = node_of(holder), {}
for _, other in ipairs(live) do
  alive[node_of(other)] = true
end

-- A node announces the transitions that it caused. Those that no live node caused go to any node.
local function is_ours(cause)
  return cause == node or not alive[cause]
end

local given = redis.call('HGET', DUE, holder)
local batch, due = 0, {}
if given then
  batch, due = batch_in(given, confirmed)
end
if confirmed >= batch then
  confirm(due)
  due = {}
end
if #due == 0 then
  local function hand_out(place, held, at_version)
    redis.call('HSET', GIVEN, place, held)
    local address, key = parts_of(place)
    for _, part in ipairs({address, key, held, at_version}) do
      due[#due + 1] = part
    end
  end
  local function is_given(place)
    return redis.call('HEXISTS', GIVEN, place) == 1
  end
  -- Transitions of other nodes stand between ours until those nodes take them, so a bounded number is looked at.
  local is_open = now < number_in(redis.call('HGET', WORLD, 'unsure_until'), 0)
  for _, place in ipairs(redis.call('ZRANGE', JOINING, 0, 2 * AT_ONCE - 1)) do
    local join = parts_of(place) and cause_in(redis.call('HGET', JOINS, place))
    if not join then
      redis.call('ZREM', JOINING, place)
      redis.call('HDEL', JOINS, place)
    elseif #due < 4 * AT_ONCE and is_ours(join[1]) and not is_given(place) and not (join[3] and is_open) then
      redis.call('ZREM', JOINING, place)
      redis.call('HDEL', JOINS, place)
      hand_out(place, 1, join[2])
    end
  end
  for _, place in ipairs(redis.call('ZRANGEBYSCORE', LEAVING, '-inf', now, 'LIMIT', 0, 2 * AT_ONCE)) do
    local leave = parts_of(place) and cause_in(redis.call('HGET', LEAVES, place))
    local waits = is_given(place) or redis.call('HEXISTS', JOINS, place) == 1
    if not leave then
      redis.call('ZREM', LEAVING, place)
      redis.call('HDEL', LEAVES, place)
    elseif #due < 4 * AT_ONCE and is_ours(leave[1]) and not waits then
      redis.call('ZREM', LEAVING, place)
      redis.call('HDEL', LEAVES, place)
      redis.call('ZADD', SETTLED, now + REMEMBERED * LEASE, place)
      hand_out(place, 0, leave[2])
    end
  end
  redis.call('ZREMRANGEBYSCORE', SETTLED, '-inf', now)
  if #due > 0 then
    batch = batch + 1
  end
  if #due > 0 or given then
    redis.call('HSET', DUE, holder, cmsgpack.pack({batch, due}))
  end
end

local sums, elsewhere = {}, {}
local nodes = 1
for _, other in ipairs(live) do
  local is_other = node_of(other) ~= node
  nodes = nodes + (is_other and 1 or 0)
  local theirs = is_other and redis.call('HGET', TALLIES, other)
  if theirs then
    for name, number in pairs(unpacked(theirs) or {}) do
      if type(name) == 'string' then
        sums[name] = (sums[name] or 0) + count_in(number)
      end
    end
  end
end
for name, sum in pairs(sums) do
  elsewhere[#elsewhere + 1], elsewhere[#elsewhere + 2] = name, sum
end
local evicted = redis.call('HGETALL', EVICTED)
if evicted[1] then
  redis.call('DEL', EVICTED)
end
epoch = epoch or redis.call('HGET', WORLD, 'epoch')
return {epoch, #due > 0 and batch or 0, due, nodes, elsewhere, swept, count, more and 1 or 0, evicted}
