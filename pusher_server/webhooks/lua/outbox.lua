-- What the scripts share. All keys of an app stand behind KEYS[1], whose hash tag keeps them in one slot:
--   pending   stream   number-0 -> id, webhook, entry (as JSON)
--   known     zset     id and webhook -> milliseconds of when it was appended, delivered or given up
--   dead      stream   number-0 -> id, webhook, entry, at, reason
--   number    string   the last number given
--   claim     string   who may deliver; with a time to live
local function at(name)
  return KEYS[1] .. ':' .. name
end

local PENDING, KNOWN, DEAD, NUMBER, CLAIM = at('pending'), at('known'), at('dead'), at('number'), at('claim')
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)

local function known_as(id, webhook)
  return #id .. ':' .. id .. webhook
end

local function put(id, webhook, entry)
  local number = redis.call('INCR', NUMBER)
  redis.call('XADD', PENDING, number .. '-0', 'id', id, 'webhook', webhook, 'entry', entry)
end

-- The fields of a stream's row by name.
local function fields_of(row)
  local found = {}
  for i = 1, #row[2], 2 do
    found[row[2][i]] = row[2][i + 1]
  end
  return found
end

local function bury(row, reason, moment, letters)
  local found = fields_of(row)
  local number = redis.call('INCR', NUMBER)
  redis.call('XADD', DEAD, number .. '-0', 'id', found.id, 'webhook', found.webhook, 'entry', found.entry,
    'at', string.format('%.3f', moment), 'reason', reason)
  redis.call('XTRIM', DEAD, 'MAXLEN', letters)
  redis.call('XDEL', PENDING, row[1])
  redis.call('ZADD', KNOWN, now, known_as(found.id, found.webhook))
end
