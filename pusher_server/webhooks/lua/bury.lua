-- Bury: reason, seconds of the epoch, the most dead letters that are kept, then numbers of entries.
for i = 4, #ARGV do
  local row = redis.call('XRANGE', PENDING, ARGV[i], ARGV[i])[1]
  if row then
    bury(row, ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]))
  end
end
return 0
