-- Mourn: address, key.
local address, key = unpack(ARGV)
local place = place_of(address, key)
if
  not redis.call('ZSCORE', LEAVING, place)
  and not redis.call('ZSCORE', SETTLED, place)
  and redis.call('HEXISTS', at('t:' .. address), key) == 0
then
  due_first(place)
end
return 0
