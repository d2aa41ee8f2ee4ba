-- KEYS: base. ARGV: 'all', or 'some' and ids. Answers how many wait again.
local base, wanted, resent = KEYS[1], {}, 0
for index = 2, #ARGV do
  wanted[ARGV[index]] = true
end
bytes_of(base, 'waiting', 0)
for _, message in ipairs(redis.call('XRANGE', base .. ':dead', '-', '+')) do
  local entry = fields_of(message)
  if ARGV[1] == 'all' or wanted[entry.i] then
    -- Unless it waits: it may have been decided again. That it was delivered meanwhile is no reason.
    if redis.call('ZSCORE', base .. ':known', entry.m) ~= 'inf' then
      redis.call('ZADD', base .. ':known', '+inf', entry.m)
      local id = redis.call('XADD', base .. ':waiting', '*', 'e', entry.e, 'd', entry.d, 'i', entry.i, 'm', entry.m)
      count(base, 'waiting', id, letter_size(entry), 1)
    end
    drop_letter(base, message)
    resent = resent + 1
  end
end
keep_sums(base)
return resent
