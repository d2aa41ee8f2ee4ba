-- Stands before each script. All keys of an app are in the slot of its `base`:
--
--   base:waiting      stream of entries: e as JSON, d decided_at, i its id, m its name in `known`
--   base:known        sorted set of names (id and webhook): inf while it waits, then when it was delivered or
--                     given up
--   base:claim        the worker that delivers; it expires with the claim, unless this server's time was set
--   base:beat         the same worker, a number that changes with each renewal, and the milliseconds of the claim
--   base:left         hash: by webhook the position beyond which the worker has read no entry; the worker under '@'
--   base:dead         stream, as `waiting`, and at, reason
--   base:sums         hash: the bytes of waiting entries and of dead letters (`waiting`, `dead`), the number of
--                     entries in this sum (with :n), the id of the last one (:last), and while the sum is still
--                     added up, the position that it has reached (:upto)
--   base:log:WEBHOOK  list of attempts, the newest first; base:logs has the webhooks
--   base:logs:bytes   sorted set: bytes of attempts by webhook, and of all under ''
--   base:logs:lines   hash: number of attempts by webhook
--
-- When more than a few entries wait, further ones are indexed by their place, p in `waiting`. A place is WEBHOOK KIND,
-- channel and user, each ended by a zero byte. By the index an entry finds the one that it undoes, and an overflow
-- finds the channel with the most entries:
--
--   base:index                   sorted set without scores: place and position of each
--   base:kinds                   sorted set: number of entries by WEBHOOK KIND
--   base:channels:WEBHOOK KIND   sorted set: number by channel, and a fraction that is larger for older channels
--   base:ages:WEBHOOK KIND       sorted set without scores: position, channel's place
--
-- When entries also take more than a hundredth of the bytes that may wait, further ones are weighed (s in `waiting`):
--
--   base:bytes                   sorted set: bytes of weighed entries by WEBHOOK KIND
--   base:bytes:WEBHOOK KIND      sorted set: bytes of weighed entries by channel
--
-- Times are seconds of the epoch by this server's clock. The clock may be set, so no claim depends on it.

local function now()
  local time = redis.call('TIME')
  return tonumber(time[1]) + tonumber(time[2]) / 1000000
end

local function fields_of(message)
  local fields = {}
  for index = 1, #message[2], 2 do
    fields[message[2][index]] = message[2][index + 1]
  end
  return fields
end

-- Returns the position for a stream's id; positions sort as text. `id_of` does the reverse.
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

-- Returns the size of a dead letter, which has no place.
local function letter_size(entry)
  return #entry.e + #entry.i + #entry.m
end

-- The sums of an app during this script, by the name of the stream; `keep_sums` stores them.
local sums = {}

local function sum_of(base, name)
  local sum = sums[name]
  if not sum then
    local row = redis.call('HMGET', base .. ':sums', name, name .. ':n', name .. ':upto', name .. ':last')
    sum = {bytes = tonumber(row[1]) or 0, count = tonumber(row[2]) or 0, upto = row[3], last = row[4] or ''}
    sums[name] = sum
  end
  return sum
end

-- Counts one more entry of a stream (sign 1), or one less (-1).
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

-- Returns whether a release without sums has added or removed entries.
local function is_changed(stream, sum, length)
  if sum.count ~= length or sum.last == '' then
    return true
  end
  return #redis.call('XRANGE', stream, '(' .. sum.last, '+', 'COUNT', 1) > 0
end

-- Returns the bytes of a stream; to be called before entries are added, with their number as `more`. If a release
-- without sums has changed the stream, its bytes are added up anew. Each call adds up a part that takes a few
-- milliseconds, and until the last part is done the sum is too low.
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

-- Adds an entry to the index. `size` is the size of a weighed entry, else nil.
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

-- Removes an entry from `waiting`; its name is remembered.
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

-- Returns whether the app is this worker's. Its claim may have expired, if no other worker has claimed the app since.
local function is_of(base, worker)
  local holder = redis.call('GET', base .. ':claim')
  return (not holder or holder == worker) and worker_of(redis.call('GET', base .. ':beat')) == worker
end

-- Moves an entry from `waiting` to `dead`.
local function bury(base, message, at, reason)
  local entry = fields_of(message)
  local id = redis.call('XADD', base .. ':dead', '*', 'e', entry.e, 'd', entry.d, 'i', entry.i, 'm', entry.m,
    'at', at, 'reason', reason)
  count(base, 'dead', id, letter_size(entry), 1)
  remove(base, message, entry, now())
end

-- Removes a dead letter.
local function drop_letter(base, message)
  count(base, 'dead', message[1], letter_size(fields_of(message)), -1)
  redis.call('XDEL', base .. ':dead', message[1])
end

local function webhook_of(place)
  return string.match(place, '^(%S+) ')
end

-- Forgets the names of entries that were delivered so many seconds ago. A later time than now comes from a clock that
-- was set back since, and is replaced by now.
local function remember(base, at, seconds)
  redis.call('ZREMRANGEBYSCORE', base .. ':known', '-inf', at - seconds)
  local later = redis.call('ZRANGEBYSCORE', base .. ':known', '(' .. (at + 1), '(+inf', 'LIMIT', 0, 100)
  for _, name in ipairs(later) do
    redis.call('ZADD', base .. ':known', at, name)
  end
end

-- Returns, by webhook, the position beyond which no worker has read its entries.
local function left_out_of(base, waiting)
  if waiting == 0 then
    return {}
  end
  local positions, fields = {}, redis.call('HGETALL', base .. ':left')
  for number = 1, #fields, 2 do
    positions[fields[number]] = fields[number + 1]
  end
  if positions['@'] and is_of(base, positions['@']) then
    return positions
  end
  return {}
end

-- Returns the entry that is indexed there; nil, and removed from the index, if another release has removed the entry.
local function message_at(base, place, position)
  local id = id_of(position)
  local message = redis.call('XRANGE', base .. ':waiting', id, id)[1]
  if not message then
    unindex(base, place, position)
  end
  return message
end

-- Returns place and position of the oldest entry of this kind in the channel with the most: of the oldest entry of the
-- kind, if no channel has more than its channel. If no entry of the kind is indexed, the kind is forgotten: nil.
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
  local row = redis.call('ZRANGEBYLEX', base .. ':index', '[' .. beginning, '(' .. beginning .. '\255', 'LIMIT', 0, 1)[1]
  if not row then
    redis.call('ZREM', channels, top[1])
    return place, position
  end
  return string.sub(row, 1, -27), string.sub(row, -26)
end

-- Returns the oldest entry of the channel with the most entries, of the kind with the most; nil if nothing is indexed.
-- The most are those in bytes if `weighed` is true and an entry was weighed, else those in number. Entries that a
-- webhook's reader has read are passed over: they may be on their way.
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
