-- Release: worker.
if redis.call('GET', CLAIM) == ARGV[1] then
  redis.call('DEL', CLAIM)
end
return 0
