-- Ends a claim and leaves a mark of what came of it; an empty one leaves nothing. Who lost the claim meanwhile leaves its
-- mark beside the claim of the other, unless it knows nothing new.
-- KEYS[1]: as in claim.lua. ARGV: owner; mark; life of the memory of it, in milliseconds; the mark of what was cut off.
local was = redis.call('HMGET', KEYS[1], 'owner', 'mark')
local own, mark = was[1] == ARGV[1], was[2] or ''
if not own and (ARGV[2] == '' or ARGV[2] == ARGV[4] and mark ~= '') then return 0 end
if ARGV[2] == '' then
  redis.call('DEL', KEYS[1])
  return 1
end
if own then redis.call('HDEL', KEYS[1], 'owner', 'until') end
local time = redis.call('TIME')
redis.call('HSET', KEYS[1], 'mark', ARGV[2], 'at', string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000)))
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return 1
