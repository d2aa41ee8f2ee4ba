-- KEYS: a sorted set of apps. ARGV: apps. Each with the time of now.
local at = now()
for _, app in ipairs(ARGV) do
  redis.call('ZADD', KEYS[1], at, app)
end
