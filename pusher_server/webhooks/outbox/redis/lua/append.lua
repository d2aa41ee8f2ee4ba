-- KEYS: base. ARGV: seconds for which delivered entries are remembered, most waiting entries, most dead letters,
-- the reason when an entry is crowded out by their number, waiting entries above which further ones are indexed,
-- most bytes of waiting entries, and of dead letters, the reason when an entry is crowded out by its bytes, most names
-- that are remembered, then the name, decided_at, JSON and place of each entry.
-- Returns how many were crowded out, and how many need not be sent.
local base, at = KEYS[1], now()
local most, few, most_bytes, undone = tonumber(ARGV[2]), tonumber(ARGV[5]), tonumber(ARGV[6]), 0
local appended = (#ARGV - 8) / 4
remember(base, at, ARGV[1])
local waiting = redis.call('XLEN', base .. ':waiting')
local too_many = redis.call('ZCARD', base .. ':known') - waiting - ARGV[8]
if too_many > 0 then
  redis.call('ZREMRANGEBYRANK', base .. ':known', 0, too_many - 1)
end
bytes_of(base, 'waiting', appended)
local sum = sum_of(base, 'waiting')
local left_out = left_out_of(base, waiting)

-- By kind: the kind of an earlier entry that need not be sent once an entry of this kind follows (`undoing.py`).
local undoes = {
  channel_vacated = 'channel_occupied',
  member_removed = 'member_added',
  subscription_count = 'subscription_count',
  cache_miss = 'cache_miss',
}

-- Removes the latest entry that the new entry at this place undoes, unless its webhook's reader has read that far.
-- Returns whether the new entry need not be sent either.
local function undo(place)
  local webhook, kind, rest = string.match(place, '^(%S+) (%Z*)(%z.*)$')
  local beyond, before = left_out[webhook], undoes[kind]
  if not beyond or not before then
    return false
  end
  local undone_place = webhook .. ' ' .. before .. rest
  local first, last = '[' .. undone_place, '(' .. undone_place .. '\255'
  local row = redis.call('ZREVRANGEBYLEX', base .. ':index', last, first, 'LIMIT', 0, 1)[1]
  local position = row and string.sub(row, #undone_place + 1)
  if not position or position <= beyond then
    return false
  end
  local message = message_at(base, undone_place, position)
  if message then
    remove(base, message, fields_of(message), at)
    undone = undone + 1
    waiting = waiting - 1
  end
  return message and before ~= kind
end

local may_undo = next(left_out) ~= nil
for argument = 9, #ARGV, 4 do
  local name, decided_at, entry, place = unpack(ARGV, argument, argument + 3)
  if not redis.call('ZSCORE', base .. ':known', name) then
    local id = string.match(name, '^(.*) ')
    if may_undo and undo(place) then
      undone = undone + 1
      redis.call('ZADD', base .. ':known', at, name)
    else
      redis.call('ZADD', base .. ':known', '+inf', name)
      local fields, size = {'e', entry, 'd', decided_at, 'i', id, 'm', name}, #entry + #id + #name
      local weighs = (sum.bytes + size) * 100 > most_bytes
      local indexed = waiting >= few or weighs
      if indexed then
        size = size + #place
        fields[9], fields[10] = 'p', place
      end
      if weighs then
        fields[11], fields[12] = 's', size
      end
      local position = redis.call('XADD', base .. ':waiting', '*', unpack(fields))
      count(base, 'waiting', position, size, 1)
      if indexed then
        index(base, place, position, at, weighs and size)
      end
      waiting = waiting + 1
    end
  end
end

if waiting <= most and sum.bytes <= most_bytes then
  keep_sums(base)
  return {0, undone}
end

-- A lowered bound is reached within a few calls. Removing an entry takes 50 µs, in which Redis does nothing else.
local steps = 1000 + 2 * appended
-- Dead letters were tried in vain and are worth more than untried entries, so they are not pushed out.
local letters, room, crowded_out = redis.call('XLEN', base .. ':dead'), bytes_of(base, 'dead', appended), 0
local function give_up(weighed, reason)
  local message = heaviest(base, left_out, weighed) or redis.call('XRANGE', base .. ':waiting', '-', '+', 'COUNT', 1)[1]
  local entry = fields_of(message)
  if letters < tonumber(ARGV[3]) and room + letter_size(entry) <= most_bytes then
    letters, room = letters + 1, room + letter_size(entry)
    bury(base, message, at, reason)
  else
    remove(base, message, entry, at)
  end
  waiting, crowded_out = waiting - 1, crowded_out + 1
end
while waiting > most and crowded_out < steps do
  give_up(false, ARGV[4])
end
while waiting > 0 and sum.bytes > most_bytes and crowded_out < steps do
  give_up(true, ARGV[7])
end
keep_sums(base)
return {crowded_out, undone}
