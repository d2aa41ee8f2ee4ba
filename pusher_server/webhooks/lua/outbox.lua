-- Before each script. What is kept of an app is in the slot of its `base`:
--
--   base:waiting      stream of entries: e as JSON, d decided_at, i its id, m its name in `known`
--   base:known        sorted set of names (id and webhook): inf while it waits, then when it was delivered or
--                     given up
--   base:claim        the worker that delivers, as long as its claim runs
--   base:dead         stream, as `waiting`, and at, reason
--   base:log:WEBHOOK  list of attempts, the newest first; base:logs has the webhooks
--
-- Seconds are those of the epoch on this server.

local function now()
  local time = redis.call('TIME')
  return tonumber(time[1]) + tonumber(time[2]) / 1000000
end

local function fields_of(message)
  local found = {}
  for index = 1, #message[2], 2 do
    found[message[2][index]] = message[2][index + 1]
  end
  return found
end

-- From `waiting` to `dead`.
local function bury(base, message, at, reason)
  local entry = fields_of(message)
  redis.call('XADD', base .. ':dead', '*', 'e', entry.e, 'd', entry.d, 'i', entry.i, 'm', entry.m,
    'at', at, 'reason', reason)
  redis.call('ZADD', base .. ':known', now(), entry.m)
  redis.call('XDEL', base .. ':waiting', message[1])
end
