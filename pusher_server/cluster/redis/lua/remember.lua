-- Remember: address, body, cached, milliseconds.
local address, body, cached, ttl = unpack(ARGV)
redis.call('SET', at('c:' .. address), cached, 'PX', ttl)
redis.call(PUBLISH, at(address), body)
return 0
