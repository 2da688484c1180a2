-- Reads an exchange for whoever asks for it at another sidecar than its own. KEYS[1]: as in tell.lua.
return redis.call('HMGET', KEYS[1], 'record', 'answer')
