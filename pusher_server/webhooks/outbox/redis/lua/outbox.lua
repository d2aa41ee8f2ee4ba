-- Before each script. What is kept of an app is in the slot of its `base`:
--
--   base:waiting      stream of entries: e as JSON, d decided_at, i its id, m its name in `known`
--   base:known        sorted set of names (id and webhook): inf while it waits, then when it was delivered or
--                     given up
--   base:claim        the worker that delivers; it expires with the claim, unless this server's time was set
--   base:beat         the same worker, a number that changes with each renewal, and the milliseconds of the claim
--   base:left         hash: by webhook the position beyond which the worker under '@' has read none of its entries
--   base:dead         stream, as `waiting`, and at, reason
--   base:sums         hash: the bytes that wait and are dead (`waiting`, `dead`), of how many entries that is the sum
--                     (with :n) and the id of the last one (:last), and while it is still added up, up to which
--                     position it is (:upto)
--   base:log:WEBHOOK  list of attempts, the newest first; base:logs has the webhooks
--   base:logs:bytes   sorted set: of each webhook how many bytes of attempts, and under '' of all
--   base:logs:lines   hash: of each webhook how many attempts these are
--
-- When more than a few wait, further ones are indexed (p in `waiting`, their place: WEBHOOK KIND, channel and user,
-- each ended by a zero byte), so that what undoes one finds it, and so that it is known of what most wait:
--
--   base:index                   sorted set without scores: place and position of each
--   base:kinds                   sorted set: of each WEBHOOK KIND how many
--   base:channels:WEBHOOK KIND   sorted set: of each channel how many, and a fraction that is larger for older ones
--   base:ages:WEBHOOK KIND       sorted set without scores: position, channel's place
--
-- When they also take more than a hundredth of the bytes that may wait, further ones are weighed (s in `waiting`):
--
--   base:bytes                   sorted set: of each WEBHOOK KIND how many bytes of those that are weighed
--   base:bytes:WEBHOOK KIND      sorted set: of each channel likewise
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

local function size_of(entry)
  return #entry.e + #entry.i + #entry.m + #(entry.p or '')
end

-- Of a dead letter, which has no place.
local function letter_size(entry)
  return #entry.e + #entry.i + #entry.m
end

-- The sums of an app as this script knows them, by the name of the stream; `keep_sums` writes them down.
local sums = {}

local function sum_of(base, name)
  local found = sums[name]
  if not found then
    local told = redis.call('HMGET', base .. ':sums', name, name .. ':n', name .. ':upto', name .. ':last')
    found = {bytes = tonumber(told[1]) or 0, count = tonumber(told[2]) or 0, upto = told[3], last = told[4] or ''}
    sums[name] = found
  end
  return found
end

-- One more entry of a stream (1), or one less (-1).
local function count(base, name, id, size, sign)
  local sum = sum_of(base, name)
  if not sum.upto or position_of(id) <= sum.upto then
    sum.bytes = sum.bytes + sign * size
    sum.count = sum.count + sign
  end
  if sign > 0 then
    sum.last = id
  end
end

-- Whether a release that does not know of sums has added or taken out any.
local function is_changed(stream, sum, length)
  if sum.count ~= length or sum.last == '' then
    return true
  end
  return #redis.call('XRANGE', stream, '(' .. sum.last, '+', 'COUNT', 1) > 0
end

-- The bytes of a stream; to be asked before any is added. A release that does not know of them may have changed it: then they are added up anew, in each
-- call (which adds so many `more`) a part that takes a few milliseconds, and until that is done the answer is less than
-- the truth.
local function bytes_of(base, name, more)
  local stream, sum = base .. ':' .. name, sum_of(base, name)
  local length = redis.call('XLEN', stream)
  if length == 0 then
    sum.bytes, sum.count, sum.upto, sum.last = 0, 0, false, ''
  elseif not sum.upto and is_changed(stream, sum, length) then
    sum.bytes, sum.count, sum.upto = 0, 0, ''
  end
  if sum.upto then
    local first = sum.upto == '' and '-' or '(' .. id_of(sum.upto)
    local step = 200 + 2 * more
    local page = redis.call('XRANGE', stream, first, '+', 'COUNT', step)
    for _, message in ipairs(page) do
      sum.bytes, sum.count = sum.bytes + size_of(fields_of(message)), sum.count + 1
      sum.upto, sum.last = position_of(message[1]), message[1]
    end
    if #page < step then
      sum.upto = false
    end
  end
  return sum.bytes
end

local function keep_sums(base)
  for name, sum in pairs(sums) do
    if sum.count == 0 and not sum.upto then
      redis.call('HDEL', base .. ':sums', name, name .. ':n', name .. ':upto', name .. ':last')
    else
      redis.call('HSET', base .. ':sums', name, string.format('%.0f', sum.bytes), name .. ':n', sum.count,
        name .. ':last', sum.last)
      if sum.upto then
        redis.call('HSET', base .. ':sums', name .. ':upto', sum.upto)
      else
        redis.call('HDEL', base .. ':sums', name .. ':upto')
      end
    end
  end
end

local function group_of(place)
  return string.match(place, '^(%Z*)%z')
end

local function channel_of(place)
  return string.match(place, '^%Z*%z(%Z*)%z')
end

-- `size`: of one that is weighed, else nil.
local function index(base, place, id, at, size)
  local group, channel, position = group_of(place), channel_of(place), position_of(id)
  redis.call('ZADD', base .. ':index', 0, place .. position)
  redis.call('ZADD', base .. ':ages:' .. group, 0, position .. place)
  redis.call('ZINCRBY', base .. ':kinds', 1, group)
  redis.call('ZADD', base .. ':channels:' .. group, 'NX', 1 - at / 10000000000, channel)
  redis.call('ZINCRBY', base .. ':channels:' .. group, 1, channel)
  if size then
    redis.call('ZINCRBY', base .. ':bytes', size, group)
    redis.call('ZINCRBY', base .. ':bytes:' .. group, size, channel)
  end
end

local function lighten(key, size, name)
  if tonumber(redis.call('ZINCRBY', key, -size, name)) < 1 then
    redis.call('ZREM', key, name)
  end
end

local function unindex(base, place, position, size)
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
  if size then
    lighten(base .. ':bytes', size, group)
    lighten(base .. ':bytes:' .. group, size, channel)
  end
end

-- From `waiting`; its name is remembered.
local function remove(base, message, entry, at)
  count(base, 'waiting', message[1], size_of(entry), -1)
  redis.call('ZADD', base .. ':known', at, entry.m)
  redis.call('XDEL', base .. ':waiting', message[1])
  if entry.p then
    unindex(base, entry.p, position_of(message[1]), entry.s)
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
  local id = redis.call('XADD', base .. ':dead', '*', 'e', entry.e, 'd', entry.d, 'i', entry.i, 'm', entry.m,
    'at', at, 'reason', reason)
  count(base, 'dead', id, letter_size(entry), 1)
  remove(base, message, entry, now())
end

-- From `dead`.
local function drop_letter(base, message)
  count(base, 'dead', message[1], letter_size(fields_of(message)), -1)
  redis.call('XDEL', base .. ':dead', message[1])
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

-- Of this kind, the place and position of the oldest entry of the channel of which most wait; of the oldest one where
-- no channel has more. nil, and the kind is forgotten, if nothing of it is indexed.
local function heaviest_of(base, group, channels)
  local first = redis.call('ZRANGE', base .. ':ages:' .. group, 0, 0)[1]
  if not first then
    redis.call('ZREM', base .. ':kinds', group)
    redis.call('ZREM', base .. ':bytes', group)
    redis.call('DEL', base .. ':channels:' .. group, base .. ':bytes:' .. group)
    return nil
  end
  local place, position = string.sub(first, 27), string.sub(first, 1, 26)
  local top = redis.call('ZREVRANGE', channels, 0, 0, 'WITHSCORES')
  if not top[2] or tonumber(top[2]) < 2 or redis.call('ZSCORE', channels, channel_of(place)) == top[2] then
    return place, position
  end
  local beginning = group .. '\0' .. top[1] .. '\0'
  local found = redis.call('ZRANGEBYLEX', base .. ':index', '[' .. beginning, '(' .. beginning .. '\255', 'LIMIT', 0, 1)[1]
  if not found then
    redis.call('ZREM', channels, top[1])
    return place, position
  end
  return string.sub(found, 1, -27), string.sub(found, -26)
end

-- The oldest of the channel of which most wait, of the kind of which most wait: most in number, or in bytes if `weighed`
-- is true and anything was weighed. What a webhook's reader has read goes last: it may be on its way. nil if nothing is
-- indexed.
local function heaviest(base, left_out, weighed)
  while true do
    local group = weighed and redis.call('ZREVRANGE', base .. ':bytes', 0, 0)[1]
    local channels = group and base .. ':bytes:' .. group
    if not group then
      group = redis.call('ZREVRANGE', base .. ':kinds', 0, 0)[1]
      channels = group and base .. ':channels:' .. group
    end
    if not group then
      return nil
    end
    local place, position = heaviest_of(base, group, channels)
    if place then
      local message = message_at(base, place, position)
      local beyond = left_out[webhook_of(place)]
      if message and beyond and position <= beyond then
        unindex(base, place, position, fields_of(message).s)
      elseif message then
        return message
      end
    end
  end
end
