-- Retire: holder, confirmed.
local holder, confirmed = ARGV[1], tonumber(ARGV[2])
if not redis.call('ZSCORE', LEASES, holder) then
  return 0
end
redis.call('ZADD', LEASES, now, holder) -- fenced from here on
local given = redis.call('HGET', DUE, holder)
given = given and cmsgpack.unpack(given)
if given then
  if given[1] > confirmed then
    give_back(given[2], node_of(holder))
  end
  confirm(given[2])
  redis.call('HDEL', DUE, holder)
end
local _, more = release_some(holder)
return more and 1 or 0
