-- KEYS: base. ARGV: the time, the reason, most dead letters, most bytes of them, then positions.
local base = KEYS[1]
bytes_of(base, 'dead', #ARGV)
local sum = sum_of(base, 'dead')
for index = 5, #ARGV do
  local message = redis.call('XRANGE', base .. ':waiting', ARGV[index], ARGV[index])[1]
  if message then
    bury(base, message, ARGV[1], ARGV[2])
  end
end
-- Lowered bounds are reached within a few calls.
local letters, steps = redis.call('XLEN', base .. ':dead'), 1000 + #ARGV
while letters > 0 and steps > 0 and (letters > tonumber(ARGV[3]) or sum.bytes > tonumber(ARGV[4])) do
  drop_letter(base, redis.call('XRANGE', base .. ':dead', '-', '+', 'COUNT', 1)[1])
  letters, steps = letters - 1, steps - 1
end
keep_sums(base)
