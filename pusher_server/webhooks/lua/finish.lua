-- KEYS: base. ARGV: positions.
local base, at = KEYS[1], now()
for _, position in ipairs(ARGV) do
  local message = redis.call('XRANGE', base .. ':waiting', position, position)[1]
  if message then
    redis.call('ZADD', base .. ':known', at, fields_of(message).m)
    redis.call('XDEL', base .. ':waiting', position)
  end
end
