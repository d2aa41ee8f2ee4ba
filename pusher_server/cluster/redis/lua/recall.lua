-- Recall: address. Answers what is remembered and its remaining milliseconds.
local cached = at('c:' .. ARGV[1])
return {redis.call('GET', cached) or '', redis.call('PTTL', cached)}
