-- A sidecar says that it ends, so that nobody waits for it, or that it has all of what another left behind.
-- KEYS[1]: as in beat.lua. ARGV: the sidecar; the one it inherited from, or '' when it leaves itself.
local name = ARGV[2]
if name == '' then
  if redis.call('HGET', KEYS[1], ARGV[1]) then redis.call('HSET', KEYS[1], ARGV[1], '0') end
  return 1
end
local was = redis.call('HGET', KEYS[1], name)
if was and string.match(was, ' (.*)$') == ARGV[1] then redis.call('HDEL', KEYS[1], name) end
return 1
