-- Claim: worker, milliseconds. Answers 1 when it is ours and something waits.
if redis.call('XLEN', PENDING) == 0 then
  if redis.call('GET', CLAIM) == ARGV[1] then
    redis.call('DEL', CLAIM)
  end
  return 0
end
local owner = redis.call('GET', CLAIM)
if owner and owner ~= ARGV[1] then
  return 0
end
redis.call('SET', CLAIM, ARGV[1], 'PX', ARGV[2])
return 1
