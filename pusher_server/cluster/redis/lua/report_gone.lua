-- ReportGone. ARGV: address, key.
local address, key = unpack(ARGV)
local place = place_of(address, key)
if redis.call('HEXISTS', at('t:' .. address), key) == 1 then
  drop_unsure(place)
elseif not redis.call('ZSCORE', LEAVING, place) and not redis.call('ZSCORE', SETTLED, place) then
  -- During a rebuild other nodes may still declare the key again, which undoes the leave.
  local unsure_until = number_in(redis.call('HGET', WORLD, 'unsure_until'), 0)
  if now < unsure_until then
    redis.call('ZADD', LEAVING, unsure_until, place)
    redis.call('HSET', LEAVES, place, cmsgpack.pack({'', ''}))
  else
    due_first(place, '', '')
  end
end
return 0
