-- Retire: holder.
local holder = ARGV[1]
if not redis.call('ZSCORE', LEASES, holder) then
  return 0
end
redis.call('ZADD', LEASES, now, holder) -- fenced from here on
local _, more = release_some(holder)
return more and 1 or 0
