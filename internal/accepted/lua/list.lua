-- What a sidecar owns. KEYS[1]: as in index.lua.
return redis.call('HGETALL', KEYS[1])
