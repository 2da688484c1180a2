-- Keeps a claim alive.
-- KEYS[1]: as in claim.lua. ARGV: owner; life of the claim and of the memory of it, in milliseconds.
-- Returns 1, or 0 when the claim is somebody else's by now.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if redis.call('HGET', KEYS[1], 'owner') ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], 'until', string.format('%.0f', now + ARGV[2]))
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return 1
