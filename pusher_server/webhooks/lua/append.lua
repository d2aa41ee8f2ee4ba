-- KEYS: base. ARGV: seconds for which delivered ones are remembered, most entries that wait, most dead letters,
-- why one is crowded out, how many wait before they are indexed, then of each entry its name, id, decided_at, JSON,
-- place, and the place of what it undoes ('' if nothing).
-- Answers how many were crowded out, and how many need not be sent.
local base, at = KEYS[1], now()
local most, few, undone = tonumber(ARGV[2]), tonumber(ARGV[5]), 0
remember(base, at, ARGV[1])
local waiting = redis.call('XLEN', base .. ':waiting')
local left_out = left_out_of(base, waiting)

-- The latest beyond what its webhook's reader has read; nil if there is none.
local function undo(place)
  local beyond = left_out[webhook_of(place)]
  if not beyond then
    return nil
  end
  local found = redis.call('ZREVRANGEBYLEX', base .. ':index', '(' .. place .. '\255', '[' .. place, 'LIMIT', 0, 1)[1]
  local position = found and string.sub(found, #place + 1)
  if not position or position <= beyond then
    return nil
  end
  local message = message_at(base, place, position)
  if message then
    remove(base, message, fields_of(message), at)
    undone = undone + 1
    waiting = waiting - 1
  end
  return message
end

for argument = 6, #ARGV, 6 do
  local name, id, decided_at, entry, place, undoes = unpack(ARGV, argument, argument + 5)
  if not redis.call('ZSCORE', base .. ':known', name) then
    if undoes ~= '' and undo(undoes) and undoes ~= place then
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

local excess = waiting - most
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
