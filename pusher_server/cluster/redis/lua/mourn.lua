-- Mourn: address, key.
local address, key = unpack(ARGV)
local place = place_of(address, key)
if redis.call('HEXISTS', at('t:' .. address), key) == 1 then
  redis.call('HDEL', UNSURE, place)
elseif not redis.call('ZSCORE', LEAVING, place) and not redis.call('ZSCORE', SETTLED, place) then
  due_first(place, '')
end
return 0
