-- KEYS: base. ARGV: webhook, '' for all; most attempts of each. Returns the attempts, webhook by webhook.
local webhooks, attempts = {ARGV[1]}, {}
if ARGV[1] == '' then
  webhooks = redis.call('SMEMBERS', KEYS[1] .. ':logs')
end
for _, webhook in ipairs(webhooks) do
  for _, attempt in ipairs(redis.call('LRANGE', KEYS[1] .. ':log:' .. webhook, 0, ARGV[2] - 1)) do
    attempts[#attempts + 1] = attempt
  end
end
return attempts
