-- Retire. ARGV: holder, confirmed.
local holder, confirmed = ARGV[1], tonumber(ARGV[2])
if not redis.call('ZSCORE', LEASES, holder) then
  return 0
end
redis.call('ZADD', LEASES, now, holder) -- fenced from here on
local given = redis.call('HGET', DUE, holder)
if given then
  local batch, due = batch_in(given, 0)
  if batch > confirmed then
    give_back(due, node_of(holder))
  end
  confirm(due)
  redis.call('HDEL', DUE, holder)
end
local _, more = release_some(holder)
return more and 1 or 0
