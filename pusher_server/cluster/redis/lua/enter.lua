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
  leaves_by_this_clock()
end
hear()

local given = succeeds ~= '' and redis.call('HGET', DUE, succeeds)
if given then
  local batch, due = batch_in(given, 0)
  if batch > tonumber(confirmed) then
    give_back(due, node_of(succeeds))
  end
  confirm(due)
  redis.call('HSET', DUE, succeeds, cmsgpack.pack({batch, {}}))
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
