-- Tells the other sidecars that this one opened its breaker, or closed it again after successful probes.
-- ARGV: 'open' or 'closed'; milliseconds for which that is news.
local seq = redis.call('HINCRBY', KEYS[1], 'seq', 1)
redis.call('HSET', KEYS[1], 'state', ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return seq
