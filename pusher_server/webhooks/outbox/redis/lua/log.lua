-- KEYS: base. ARGV: webhook, '' for all; most attempts of each. Answers them, webhook by webhook.
local webhooks, found = {ARGV[1]}, {}
if ARGV[1] == '' then
  webhooks = redis.call('SMEMBERS', KEYS[1] .. ':logs')
end
for _, webhook in ipairs(webhooks) do
  for _, attempt in ipairs(redis.call('LRANGE', KEYS[1] .. ':log:' .. webhook, 0, ARGV[2] - 1)) do
    found[#found + 1] = attempt
  end
end
return found
