-- Before each script. What is kept of an app is in the slot of its `base`:
--
--   base:waiting      stream of entries: e as JSON, d decided_at, i its id, m its name in `known`
--   base:known        sorted set of names (id and webhook): inf while it waits, then when it was delivered or
--                     given up
--   base:claim        the worker that delivers; it expires with the claim, unless this server's time was set
--   base:beat         the same worker, a number that changes with each renewal, and the milliseconds of the claim
--   base:left         hash: by webhook the position beyond which the worker under '@' has read none of its entries
--   base:dead         stream, as `waiting`, and at, reason
--   base:log:WEBHOOK  list of attempts, the newest first; base:logs has the webhooks
--
-- When more than a few wait, further ones are indexed (p in `waiting`, their place: WEBHOOK KIND, channel and user,
-- each ended by a zero byte), so that what undoes one finds it, and so that it is known of what most wait:
--
--   base:index                   sorted set without scores: place and position of each
--   base:kinds                   sorted set: of each WEBHOOK KIND how many
--   base:channels:WEBHOOK KIND   sorted set: of each channel how many, and a fraction that is larger for older ones
--   base:ages:WEBHOOK KIND       sorted set without scores: position, channel's place
--
-- Seconds are those of the epoch on this server; they may be set back and forth, so no claim depends on them.

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

-- Of a stream's id, so that positions sort as text; and back.
local function position_of(id)
  local milliseconds, number = string.match(id, '^(%d+)-(%d+)$')
  return string.format('%015.0f-%010.0f', milliseconds, number)
end

local function id_of(position)
  local milliseconds, number = string.match(position, '^0*(%d+)-0*(%d+)$')
  return milliseconds .. '-' .. number
end

local function group_of(place)
  return string.match(place, '^(%Z*)%z')
end

local function channel_of(place)
  return string.match(place, '^%Z*%z(%Z*)%z')
end

local function index(base, place, id, at)
  local group, channel, position = group_of(place), channel_of(place), position_of(id)
  redis.call('ZADD', base .. ':index', 0, place .. position)
  redis.call('ZADD', base .. ':ages:' .. group, 0, position .. place)
  redis.call('ZINCRBY', base .. ':kinds', 1, group)
  redis.call('ZADD', base .. ':channels:' .. group, 'NX', 1 - at / 10000000000, channel)
  redis.call('ZINCRBY', base .. ':channels:' .. group, 1, channel)
end

local function unindex(base, place, position)
  local group, channel = group_of(place), channel_of(place)
  redis.call('ZREM', base .. ':ages:' .. group, position .. place)
  if redis.call('ZREM', base .. ':index', place .. position) == 0 then
    return
  end
  if tonumber(redis.call('ZINCRBY', base .. ':kinds', -1, group)) < 1 then
    redis.call('ZREM', base .. ':kinds', group)
  end
  if tonumber(redis.call('ZINCRBY', base .. ':channels:' .. group, -1, channel)) < 1 then
    redis.call('ZREM', base .. ':channels:' .. group, channel)
  end
end

-- From `waiting`; its name is remembered.
local function remove(base, message, entry, at)
  redis.call('ZADD', base .. ':known', at, entry.m)
  redis.call('XDEL', base .. ':waiting', message[1])
  if entry.p then
    unindex(base, entry.p, position_of(message[1]))
  end
end

local function worker_of(beat)
  return beat and string.match(beat, '^(.*) %S+ %d+$')
end

-- Whether the app is this worker's. Its claim may have expired, but nobody has taken it since.
local function is_of(base, worker)
  local holder = redis.call('GET', base .. ':claim')
  return (not holder or holder == worker) and worker_of(redis.call('GET', base .. ':beat')) == worker
end

-- From `waiting` to `dead`.
local function bury(base, message, at, reason)
  local entry = fields_of(message)
  redis.call('XADD', base .. ':dead', '*', 'e', entry.e, 'd', entry.d, 'i', entry.i, 'm', entry.m,
    'at', at, 'reason', reason)
  remove(base, message, entry, now())
end

local function webhook_of(place)
  return string.match(place, '^(%S+) ')
end

-- Names of what was delivered are forgotten after so many seconds. A time that is to come was set back since.
local function remember(base, at, seconds)
  redis.call('ZREMRANGEBYSCORE', base .. ':known', '-inf', at - seconds)
  local later = redis.call('ZRANGEBYSCORE', base .. ':known', '(' .. (at + 1), '(+inf', 'LIMIT', 0, 100)
  for _, name in ipairs(later) do
    redis.call('ZADD', base .. ':known', at, name)
  end
end

-- By webhook, the position beyond which nobody has read its entries.
local function left_out_of(base, waiting)
  if waiting == 0 then
    return {}
  end
  local found, fields = {}, redis.call('HGETALL', base .. ':left')
  for number = 1, #fields, 2 do
    found[fields[number]] = fields[number + 1]
  end
  if found['@'] and is_of(base, found['@']) then
    return found
  end
  return {}
end

-- What is indexed there; nil, and indexed no longer, if another release has taken it out.
local function message_at(base, place, position)
  local id = id_of(position)
  local message = redis.call('XRANGE', base .. ':waiting', id, id)[1]
  if not message then
    unindex(base, place, position)
  end
  return message
end

-- The oldest of the channel of which most wait, of the kind of which most wait. What a webhook's reader has read goes
-- last: it may be on its way. nil if nothing is indexed.
local function heaviest(base, left_out)
  while true do
    local group = redis.call('ZREVRANGE', base .. ':kinds', 0, 0)[1]
    if not group then
      return nil
    end
    local place, position
    local top = redis.call('ZREVRANGE', base .. ':channels:' .. group, 0, 0, 'WITHSCORES')
    if top[2] and tonumber(top[2]) >= 2 then
      local first = group .. '\0' .. top[1] .. '\0'
      local found = redis.call('ZRANGEBYLEX', base .. ':index', '[' .. first, '(' .. first .. '\255', 'LIMIT', 0, 1)[1]
      if found then
        place, position = string.sub(found, 1, -27), string.sub(found, -26)
      end
    end
    if not place then
      local found = redis.call('ZRANGE', base .. ':ages:' .. group, 0, 0)[1]
      if not found then
        redis.call('ZREM', base .. ':kinds', group)
        redis.call('DEL', base .. ':channels:' .. group)
      else
        place, position = string.sub(found, 27), string.sub(found, 1, 26)
      end
    end
    if place then
      local beyond = left_out[webhook_of(place)]
      if beyond and position <= beyond then
        unindex(base, place, position)
      else
        local message = message_at(base, place, position)
        if message then
          return message
        end
      end
    end
  end
end
