-- Claims a thing for one sidecar. A claim whose owner let it run out was cut off in the middle: nobody knows what came of it.
-- KEYS[1]: hash of owner, until (milliseconds of Redis), mark: what came of it so far, and at: since when.
-- ARGV: owner; life of the claim and of the memory of it, in milliseconds; the mark of what was cut off.
-- Returns 1 (granted) or 0 (somebody else has it), the mark, and its age in milliseconds.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local was = redis.call('HMGET', KEYS[1], 'owner', 'until', 'mark', 'at')
local mark, at = was[3] or '', tonumber(was[4] or now)
if was[1] and was[1] ~= ARGV[1] then
  if tonumber(was[2]) > now then return {0, mark, math.max(now - at, 0)} end
  if mark == '' then mark, at = ARGV[4], tonumber(was[2]) end
end
redis.call('HSET', KEYS[1], 'owner', ARGV[1], 'until', string.format('%.0f', now + ARGV[2]), 'mark', mark, 'at', string.format('%.0f', at))
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return {1, mark, math.max(now - at, 0)}
