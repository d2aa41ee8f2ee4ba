-- Snapshot: address. The entries are told as they are stored.
local address = ARGV[1]
local world = redis.call('HMGET', WORLD, 'epoch', 'floor')
local n = redis.call('HGET', VERSIONS, address) or world[2] or 0
return {world[1] or '', tonumber(n), redis.call('HGETALL', at('t:' .. address))}
