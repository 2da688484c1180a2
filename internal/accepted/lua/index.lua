-- What a sidecar owns: notes what is new, then forgets what is not its own any more.
-- KEYS[1]: hash of exchange → its place in the order, and its size. ARGV: how long the hash is kept, in milliseconds; number
-- of new ones; of each its id and its note; then the ids to forget.
local n = tonumber(ARGV[2])
for i = 1, n do redis.call('HSET', KEYS[1], ARGV[1 + 2 * i], ARGV[2 + 2 * i]) end
for i = 3 + 2 * n, #ARGV do redis.call('HDEL', KEYS[1], ARGV[i]) end
redis.call('PEXPIRE', KEYS[1], ARGV[1])
return 1
