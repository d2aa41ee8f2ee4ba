-- Snapshot: address, whether the entries are wanted. They are told as they are stored.
local address = ARGV[1]
local world = redis.call('HMGET', WORLD, 'epoch', 'floor')
if not world[1] then
  return fenced() -- emptied since this node has entered
end
local n = redis.call('HGET', VERSIONS, address) or world[2] or 0
return {world[1], tonumber(n), ARGV[2] == '1' and redis.call('HGETALL', at('t:' .. address)) or {}}
