-- KEYS: a sorted set of apps. ARGV: seconds, apps. Removes those of the apps that were noted at least so long ago.
local before = now() - ARGV[1]
for index = 2, #ARGV do
  local noted = redis.call('ZSCORE', KEYS[1], ARGV[index])
  if noted and tonumber(noted) <= before then
    redis.call('ZREM', KEYS[1], ARGV[index])
  end
end
