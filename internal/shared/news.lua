-- What was told last: its number, 'open' or 'closed', and for how many milliseconds it is still news.
local told = redis.call('HMGET', KEYS[1], 'seq', 'state')
if not told[1] then return false end
return {tonumber(told[1]), told[2], redis.call('PTTL', KEYS[1])}
