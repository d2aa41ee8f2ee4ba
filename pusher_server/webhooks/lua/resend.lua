-- Resend: "1" for all, or "0" and then ids. Answers how many wait again.
local wanted, moved = {}, 0
for i = 2, #ARGV do
  wanted[ARGV[i]] = true
end
for _, row in ipairs(redis.call('XRANGE', DEAD, '-', '+')) do
  local found = fields_of(row)
  if ARGV[1] == '1' or wanted[found.id] then
    put(found.id, found.webhook, found.entry)
    redis.call('XDEL', DEAD, row[1])
    moved = moved + 1
  end
end
return moved
