-- KEYS: bases. ARGV: worker, milliseconds of the claim, seconds for which delivered entries are remembered, a number
-- that differs in each call, then for each base the beat that has not changed for the duration of its claim, or ''.
-- Returns for each base 1 if the app is the worker's, 0 if it is another's or nothing waits, -1 if nothing waits and no
-- name is remembered; and the beat, '' if there is none.
local answers = {}

local function claim(base, silent)
  local holder, beat = redis.call('GET', base .. ':claim'), redis.call('GET', base .. ':beat')
  local beating = worker_of(beat)
  if holder and holder ~= ARGV[1] and beating ~= holder then
    return 0, '' -- the claim of a release without beats: it expires
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
