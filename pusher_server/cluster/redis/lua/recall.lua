-- Recall. ARGV: address. Returns the last event, '' if there is none, and its remaining milliseconds.
local cached = at('c:' .. ARGV[1])
return {redis.call('GET', cached) or '', redis.call('PTTL', cached)}
