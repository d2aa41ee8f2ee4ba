-- KEYS: bases. Answers for each: how many wait, when the first of them was decided ('' if none), how many are dead.
local answers = {}
for index, base in ipairs(KEYS) do
  local first = redis.call('XRANGE', base .. ':waiting', '-', '+', 'COUNT', 1)[1]
  answers[index] = {
    redis.call('XLEN', base .. ':waiting'),
    first and fields_of(first).d or '',
    redis.call('XLEN', base .. ':dead'),
  }
end
return answers
