-- KEYS: bases. ARGV: worker, milliseconds, seconds for which delivered ones are remembered.
-- Answers for each 1: it is the worker's, 0: another's, -1: nothing waits.
local answers = {}
for index, base in ipairs(KEYS) do
  if redis.call('XLEN', base .. ':waiting') == 0 then
    redis.call('ZREMRANGEBYSCORE', base .. ':known', '-inf', now() - ARGV[3])
    if redis.call('EXISTS', base .. ':known') == 0 then
      redis.call('DEL', base .. ':waiting')
    end
    answers[index] = -1
  else
    local holder = redis.call('GET', base .. ':claim')
    if holder and holder ~= ARGV[1] then
      answers[index] = 0
    else
      redis.call('SET', base .. ':claim', ARGV[1], 'PX', ARGV[2])
      answers[index] = 1
    end
  end
end
return answers
