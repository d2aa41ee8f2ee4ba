-- Enter: holder, succeeds, confirmed, the epoch that the node knew, the server's run id, a new epoch in case
-- one is needed.
local holder, succeeds, confirmed, known, run, fresh = unpack(ARGV)
local world = redis.call('HMGET', WORLD, 'epoch', 'run')
epoch = world[1]
if not epoch or world[2] ~= run then
  -- Empty, restarted or another server after a failover: what we know may have gone back, and what was
  -- written by the other's clock means nothing by ours.
  epoch = fresh
  redis.call('HSET', WORLD, 'epoch', epoch, 'run', run, 'tick', now, 'heard', now, 'unsure_until', now + LEASE)
  -- Leaves that were announced may have been followed by joins that a replica had not got yet: who holds a key
  -- knows better.
  redis.call('DEL', SETTLED)
  all_leases_anew()
  for _, place in ipairs(redis.call('ZRANGEBYSCORE', LEAVING, now + UNDO, '+inf')) do
    redis.call('ZADD', LEAVING, now + UNDO, place)
  end
end
hear()

local given = succeeds ~= '' and redis.call('HGET', DUE, succeeds)
if given then
  given = cmsgpack.unpack(given)
  if given[1] > tonumber(confirmed) then
    give_back(given[2], node_of(succeeds))
  end
  confirm(given[2])
  redis.call('HSET', DUE, succeeds, cmsgpack.pack({given[1], {}}))
end
if known ~= '' and known ~= epoch then
  redis.call('HSET', WORLD, 'unsure_until', now + LEASE)
end
redis.call('ZADD', LEASES, now + LEASE, holder)

local rivals = {}
local id, node = string.match(holder, '^[^.]*'), node_of(holder)
for _, other in ipairs(redis.call('ZRANGEBYSCORE', LEASES, '(' .. string.format('%.0f', now), '+inf')) do
  if string.match(other, '^[^.]*') == id and node_of(other) ~= node then
    rivals[#rivals + 1] = other
  end
end
return {epoch, rivals}
