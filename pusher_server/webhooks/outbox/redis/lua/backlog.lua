-- KEYS: bases. Returns for each: the number of waiting entries, `decided_at` of the first ('' if none), dead letters.
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
