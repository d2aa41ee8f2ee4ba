-- KEYS: base. ARGV: webhook, attempt, most attempts, seconds for which the log outlives the last one.
local log, logs = KEYS[1] .. ':log:' .. ARGV[1], KEYS[1] .. ':logs'
redis.call('LPUSH', log, ARGV[2])
redis.call('LTRIM', log, 0, ARGV[3] - 1)
redis.call('EXPIRE', log, ARGV[4])
redis.call('SADD', logs, ARGV[1])
redis.call('EXPIRE', logs, ARGV[4])
