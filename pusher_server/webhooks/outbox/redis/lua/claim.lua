-- KEYS: bases. ARGV: worker, milliseconds, seconds for which delivered ones are remembered, a number that is another
-- one in each call, then of each base the beat that has not changed for as long as it said, or ''.
-- Answers for each whether it is the worker's (1), or another's, or nothing waits (0), or nor is anything remembered (-1);
-- and the beat, '' if there is none.
local answers = {}

local function claim(base, silent)
  local holder, beat = redis.call('GET', base .. ':claim'), redis.call('GET', base .. ':beat')
  local beating = worker_of(beat)
  if holder and holder ~= ARGV[1] and beating ~= holder then
    return 0, '' -- of a release whose claims just expire
  end
  if beating and beating ~= ARGV[1] and beat ~= silent then
    return 0, beat
  end
  if beating ~= ARGV[1] then
    redis.call('DEL', base .. ':left')
  end
  beat = ARGV[1] .. ' ' .. ARGV[4] .. ' ' .. ARGV[2]
  redis.call('SET', base .. ':claim', ARGV[1], 'PX', ARGV[2])
  redis.call('SET', base .. ':beat', beat)
  return 1, beat
end

for number, base in ipairs(KEYS) do
  local answer, beat = 0, ''
  if redis.call('XLEN', base .. ':waiting') == 0 then
    remember(base, now(), ARGV[3])
    if redis.call('EXISTS', base .. ':known') == 0 then
      for _, group in ipairs(redis.call('ZRANGE', base .. ':kinds', 0, -1)) do
        redis.call('DEL', base .. ':channels:' .. group, base .. ':ages:' .. group, base .. ':bytes:' .. group)
      end
      redis.call('DEL', base .. ':waiting', base .. ':beat', base .. ':left', base .. ':kinds', base .. ':index',
        base .. ':bytes')
      redis.call('HDEL', base .. ':sums', 'waiting', 'waiting:n', 'waiting:upto', 'waiting:last')
      answer = -1
    end
  else
    answer, beat = claim(base, ARGV[4 + number])
  end
  answers[number] = {answer, beat}
end
return answers
