-- KEYS: base. ARGV: when, why, most dead letters, then positions.
local base = KEYS[1]
for index = 4, #ARGV do
  local message = redis.call('XRANGE', base .. ':waiting', ARGV[index], ARGV[index])[1]
  if message then
    bury(base, message, ARGV[1], ARGV[2])
  end
end
redis.call('XTRIM', base .. ':dead', 'MAXLEN', ARGV[3])
