-- KEYS: bases. ARGV: worker.
for _, base in ipairs(KEYS) do
  if redis.call('GET', base .. ':claim') == ARGV[1] then
    redis.call('DEL', base .. ':claim')
  end
  if worker_of(redis.call('GET', base .. ':beat')) == ARGV[1] then
    redis.call('DEL', base .. ':beat', base .. ':left')
  end
end
