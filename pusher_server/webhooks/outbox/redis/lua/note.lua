-- KEYS: a sorted set of apps. ARGV: apps, which are added with the present time.
local at = now()
for _, app in ipairs(ARGV) do
  redis.call('ZADD', KEYS[1], at, app)
end
