-- KEYS: bases. ARGV: worker, milliseconds, seconds for which delivered ones are remembered.
-- Answers for each 1: it is the worker's, 0: another's, or nothing waits, -1: nor is anything remembered.
local answers = {}
for index, base in ipairs(KEYS) do
  if redis.call('XLEN', base .. ':waiting') == 0 then
    redis.call('ZREMRANGEBYSCORE', base .. ':known', '-inf', now() - ARGV[3])
    answers[index] = 0
    if redis.call('EXISTS', base .. ':known') == 0 then
      redis.call('DEL', base .. ':waiting')
      answers[index] = -1
    end
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
