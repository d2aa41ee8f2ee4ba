-- KEYS: bases. ARGV: worker.
for _, base in ipairs(KEYS) do
  if redis.call('GET', base .. ':claim') == ARGV[1] then
    redis.call('DEL', base .. ':claim')
  end
end
