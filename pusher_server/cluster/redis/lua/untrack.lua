-- Untrack. ARGV: holder, address, key. Returns n and the value, or 0 and '' when there was no transition.
local holder, address, key = unpack(ARGV)
if not is_live(holder) then
  return fenced()
end
return {let_go(holder, address, key)}
