-- Untrack: holder, address, key.
local holder, address, key = unpack(ARGV)
if not is_live(holder) then
  return fenced()
end
return {let_go(holder, address, key)}
