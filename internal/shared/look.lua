-- Looks at a claim and changes nothing.
-- KEYS[1]: as in claim.lua. ARGV: the mark of what was cut off.
-- Returns 1 (somebody has it) or 0, the mark, and its age in milliseconds.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local was = redis.call('HMGET', KEYS[1], 'owner', 'until', 'mark', 'at')
local taken, mark, at = 0, was[3] or '', tonumber(was[4] or now)
if was[1] then
  if tonumber(was[2]) > now then
    taken = 1
  elseif mark == '' then
    mark, at = ARGV[1], tonumber(was[2])
  end
end
return {taken, mark, math.max(now - at, 0)}
