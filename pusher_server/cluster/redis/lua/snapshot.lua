-- Snapshot. ARGV: address, '1' to get the entries, too. Returns the entries as they are stored.
local address = ARGV[1]
local world = redis.call('HMGET', WORLD, 'epoch', 'floor')
if not world[1] then
  return fenced() -- emptied since this node has entered
end
local n = counter_in(redis.call('HGET', VERSIONS, address), counter_in(world[2], 0))
return {world[1], n, ARGV[2] == '1' and redis.call('HGETALL', at('t:' .. address)) or {}}
