-- KEYS: base. ARGV: webhook, attempt, most attempts, seconds for which the log is kept after the last attempt, most
-- bytes of all logs of the app.
local base, webhook, most = KEYS[1], ARGV[1], tonumber(ARGV[5])
local logs, sizes, lines = base .. ':logs', base .. ':logs:bytes', base .. ':logs:lines'

-- Counts so many bytes and lines more. A log without lines is forgotten.
local function grow(name, size, count)
  redis.call('ZINCRBY', sizes, size, '')
  redis.call('ZINCRBY', sizes, size, name)
  if redis.call('HINCRBY', lines, name, count) < 1 then
    redis.call('ZREM', sizes, name)
    redis.call('HDEL', lines, name)
  end
end

-- Counts a log anew if it has expired, or if a release that does not count has changed it.
local function add_up(name)
  local counted = tonumber(redis.call('HGET', lines, name) or 0)
  if counted ~= redis.call('LLEN', base .. ':log:' .. name) then
    local size, attempts = 0, redis.call('LRANGE', base .. ':log:' .. name, 0, -1)
    for _, attempt in ipairs(attempts) do
      size = size + #attempt
    end
    grow(name, size - (redis.call('ZSCORE', sizes, name) or 0), #attempts - counted)
  end
end

local function push_out(name)
  grow(name, -#redis.call('RPOP', base .. ':log:' .. name), -1)
end

add_up(webhook)
redis.call('LPUSH', base .. ':log:' .. webhook, ARGV[2])
grow(webhook, #ARGV[2], 1)
-- Lowered bounds are reached within a few calls.
for _ = 1, math.min(20, redis.call('LLEN', base .. ':log:' .. webhook) - ARGV[3]) do
  push_out(webhook)
end
for _ = 1, 20 do
  if tonumber(redis.call('ZSCORE', sizes, '')) <= most then
    break
  end
  -- The oldest attempt of the largest log is removed.
  local largest = redis.call('ZREVRANGE', sizes, 0, 1)
  local name = largest[1] == '' and largest[2] or largest[1]
  if not name then
    redis.call('DEL', sizes, lines) -- Redis has evicted some of the keys: the bytes are counted anew
    break
  end
  add_up(name)
  if redis.call('HEXISTS', lines, name) == 1 then
    push_out(name)
  end
end
redis.call('SADD', logs, webhook)
for _, key in ipairs({base .. ':log:' .. webhook, logs, sizes, lines}) do
  redis.call('EXPIRE', key, ARGV[4])
end
