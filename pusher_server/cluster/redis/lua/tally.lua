-- Tally. ARGV: name, a holder whose node does not count. Returns the sum of the live nodes' numbers.
local sum = 0
for _, holder in ipairs(redis.call('ZRANGEBYSCORE', LEASES, '(' .. string.format('%.0f', now), '+inf')) do
  local theirs = node_of(holder) ~= node_of(ARGV[2]) and redis.call('HGET', TALLIES, holder)
  local row = theirs and unpacked(theirs) or {}
  sum = sum + count_in(row[ARGV[1]])
end
return sum
