-- KEYS: base. ARGV: worker, then webhooks and positions, which replace the worker's earlier ones.
local base, worker = KEYS[1], ARGV[1]
if is_of(base, worker) then
  redis.call('DEL', base .. ':left')
  for number = 2, #ARGV, 2 do
    redis.call('HSET', base .. ':left', '@', worker, ARGV[number], ARGV[number + 1])
  end
end
