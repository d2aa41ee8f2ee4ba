-- KEYS: base. ARGV: 'all', or 'some' and ids. Answers how many wait again.
local base, wanted, count = KEYS[1], {}, 0
for index = 2, #ARGV do
  wanted[ARGV[index]] = true
end
for _, message in ipairs(redis.call('XRANGE', base .. ':dead', '-', '+')) do
  local entry = fields_of(message)
  if ARGV[1] == 'all' or wanted[entry.i] then
    -- Unless it waits: it may have been decided again. That it was delivered meanwhile is no reason.
    if redis.call('ZSCORE', base .. ':known', entry.m) ~= 'inf' then
      redis.call('ZADD', base .. ':known', '+inf', entry.m)
      redis.call('XADD', base .. ':waiting', '*', 'e', entry.e, 'd', entry.d, 'i', entry.i, 'm', entry.m)
    end
    redis.call('XDEL', base .. ':dead', message[1])
    count = count + 1
  end
end
return count
