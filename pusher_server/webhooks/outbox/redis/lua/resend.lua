-- KEYS: base. ARGV: 'all', or 'some' and ids. Returns how many wait again.
local base, wanted, resent = KEYS[1], {}, 0
for index = 2, #ARGV do
  wanted[ARGV[index]] = true
end
bytes_of(base, 'waiting', 0)
for _, message in ipairs(redis.call('XRANGE', base .. ':dead', '-', '+')) do
  local entry = fields_of(message)
  if ARGV[1] == 'all' or wanted[entry.i] then
    -- An entry that was decided again waits already. One that was delivered meanwhile is sent again all the same.
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
