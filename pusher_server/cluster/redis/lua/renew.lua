-- Renew: holder, confirmed, then a name and a number for each tally.
local holder, confirmed = ARGV[1], tonumber(ARGV[2])
hear()
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

local given = redis.call('HGET', DUE, holder)
local batch, due = 0, {}
if given then
  given = cmsgpack.unpack(given)
  batch, due = given[1], given[2]
end
if confirmed >= batch then
  due = {}
end
if #due == 0 then
  for _, place in ipairs(redis.call('ZRANGEBYSCORE', LEAVING, '-inf', now)) do
    redis.call('ZADD', SETTLED, now + 2 * LEASE, place)
    local address, key = parts_of(place)
    due[#due + 1] = address
    due[#due + 1] = key
  end
  redis.call('ZREMRANGEBYSCORE', LEAVING, '-inf', now)
  redis.call('ZREMRANGEBYSCORE', SETTLED, '-inf', now)
  if #due > 0 then
    batch = batch + 1
  end
  if #due > 0 or given then
    redis.call('HSET', DUE, holder, cmsgpack.pack({batch, due}))
  end
end

local live = redis.call('ZRANGEBYSCORE', LEASES, '(' .. string.format('%.0f', now), '+inf')
local sums = {}
for i = 3, #ARGV, 2 do
  sums[(i - 1) / 2] = 0
end
for _, other in ipairs(live) do
  local theirs = other ~= holder and #sums > 0 and redis.call('HGET', TALLIES, other)
  if theirs then
    theirs = cmsgpack.unpack(theirs)
    for i = 3, #ARGV, 2 do
      sums[(i - 1) / 2] = sums[(i - 1) / 2] + (theirs[ARGV[i]] or 0)
    end
  end
end
epoch = epoch or redis.call('HGET', WORLD, 'epoch')
return {epoch, #due > 0 and batch or 0, due, #live, sums, swept, count, more and 1 or 0}
