-- Enter. ARGV: holder, succeeds, confirmed, the epoch that the node knew, the server's run id, a new epoch in
-- case one is needed.
local holder, succeeds, confirmed, known, run, fresh = unpack(ARGV)
local world = redis.call('HMGET', WORLD, 'epoch', 'run')
epoch = world[1]
if not epoch or world[2] ~= run then
  -- Redis is empty, was restarted, or is another server after a failover. The data may be older than what nodes
  -- have seen, and times by another server's clock mean nothing by ours.
  epoch = fresh
  redis.call('HSET', WORLD, 'epoch', epoch, 'run', run, 'tick', now, 'heard', now, 'unsure_until', now + LEASE)
  -- A join may have followed an announced leave, and be missing here because the replica had not received it.
  -- The holders of the key know it, and declare the key again.
  redis.call('DEL', SETTLED)
  all_leases_anew()
  leaves_by_this_clock()
end
note_request()

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
