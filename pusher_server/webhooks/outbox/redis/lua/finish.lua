-- KEYS: base. ARGV: positions.
local base, at = KEYS[1], now()
for _, position in ipairs(ARGV) do
  local message = redis.call('XRANGE', base .. ':waiting', position, position)[1]
  if message then
    remove(base, message, fields_of(message), at)
  end
end
keep_sums(base)
