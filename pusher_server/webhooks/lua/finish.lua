-- Finish: numbers of entries.
for _, number in ipairs(ARGV) do
  local row = redis.call('XRANGE', PENDING, number, number)[1]
  if row then
    local found = fields_of(row)
    redis.call('ZADD', KNOWN, now, known_as(found.id, found.webhook))
    redis.call('XDEL', PENDING, row[1])
  end
end
return 0
