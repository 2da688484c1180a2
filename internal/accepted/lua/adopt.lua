-- Takes an exchange from the sidecar that is gone. From then on whatever that one says of it is refused.
-- KEYS[1]: as in tell.lua. ARGV: the heir; the former owner.
-- Returns 'adopted', 'gone' (forgotten), 'ended' or 'others', and of an adopted one the record and the body.
local was = redis.call('HMGET', KEYS[1], 'owner', 'state', 'record', 'body')
if not was[1] then return {'gone'} end
if was[2] == 'ended' then return {'ended'} end
if was[1] ~= ARGV[1] and was[1] ~= ARGV[2] then return {'others'} end
if was[1] ~= ARGV[1] then redis.call('HSET', KEYS[1], 'owner', ARGV[1]) end
return {'adopted', was[3], was[4] or ''}
