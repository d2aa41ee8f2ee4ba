-- KEYS: base. ARGV: seconds for which delivered ones are remembered, most entries that wait, most dead letters,
-- why one is crowded out, how many wait before they are indexed, then of each entry its name, decided_at, JSON, place.
-- Answers how many were crowded out, and how many need not be sent.
local base, at = KEYS[1], now()
local most, few, undone = tonumber(ARGV[2]), tonumber(ARGV[5]), 0
remember(base, at, ARGV[1])
local waiting = redis.call('XLEN', base .. ':waiting')
local left_out = left_out_of(base, waiting)

-- What of this kind need not be told once the entry follows (`undoing.py`).
local undoes = {
  channel_vacated = 'channel_occupied',
  member_removed = 'member_added',
  subscription_count = 'subscription_count',
  cache_miss = 'cache_miss',
}

-- Takes out the latest that the entry undoes, beyond what its webhook's reader has read. Whether the entry itself
-- need not be told either.
local function undo(told)
  local webhook, kind, rest = string.match(told, '^(%S+) (%Z*)(%z.*)$')
  local beyond, before = left_out[webhook], undoes[kind]
  if not beyond or not before then
    return false
  end
  local place = webhook .. ' ' .. before .. rest
  local found = redis.call('ZREVRANGEBYLEX', base .. ':index', '(' .. place .. '\255', '[' .. place, 'LIMIT', 0, 1)[1]
  local position = found and string.sub(found, #place + 1)
  if not position or position <= beyond then
    return false
  end
  local message = message_at(base, place, position)
  if message then
    remove(base, message, fields_of(message), at)
    undone = undone + 1
    waiting = waiting - 1
  end
  return message and before ~= kind
end

local may_undo = next(left_out) ~= nil
for argument = 6, #ARGV, 4 do
  local name, decided_at, entry, place = unpack(ARGV, argument, argument + 3)
  if not redis.call('ZSCORE', base .. ':known', name) then
    local id = string.match(name, '^(.*) ')
    if may_undo and undo(place) then
      undone = undone + 1
      redis.call('ZADD', base .. ':known', at, name)
    else
      redis.call('ZADD', base .. ':known', '+inf', name)
      if waiting < few then
        redis.call('XADD', base .. ':waiting', '*', 'e', entry, 'd', decided_at, 'i', id, 'm', name)
      else
        index(base, place, redis.call('XADD', base .. ':waiting', '*', 'e', entry, 'd', decided_at, 'i', id,
          'm', name, 'p', place), at)
      end
      waiting = waiting + 1
    end
  end
end

-- A bound that was lowered is reached within a few calls: each that goes takes 50 µs, in which Redis does nothing else.
local excess = math.min(waiting - most, 1000 + 2 * (#ARGV - 5) / 4)
if excess <= 0 then
  return {0, undone}
end
-- What was tried in vain is worth more than what was not: it is not pushed out.
local room = math.max(0, ARGV[3] - redis.call('XLEN', base .. ':dead'))
for count = 1, excess do
  local message = heaviest(base, left_out) or redis.call('XRANGE', base .. ':waiting', '-', '+', 'COUNT', 1)[1]
  if count <= room then
    bury(base, message, at, ARGV[4])
  else
    remove(base, message, fields_of(message), at)
  end
end
return {excess, undone}
