-- A sidecar says that it lives, and hears of those that do not: what they accepted goes, whole, to one heir. Whole, because
-- what has one order key must stay in one hand.
-- KEYS[1]: hash of sidecar → "until heir", until in milliseconds of Redis.
-- ARGV: the sidecar; for how long this is said, and how long the hash is kept, in milliseconds; 1 when it may inherit.
-- Returns 'known', 'new' (nothing was known of it), or 'taken' (another is its heir, and not done yet), then the sidecars
-- whose heir it is.
local me = ARGV[1]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local all, till, heir = redis.call('HGETALL', KEYS[1]), {}, {}
for i = 1, #all, 2 do
  local at, name = string.match(all[i + 1], '^(%d+) ?(.*)$')
  till[all[i]], heir[all[i]] = tonumber(at), name
end
local function lives(name) return till[name] and till[name] > now end
if till[me] and heir[me] ~= me and lives(heir[me]) then return {'taken'} end
redis.call('HSET', KEYS[1], me, string.format('%.0f', now + ARGV[2]))
redis.call('PEXPIRE', KEYS[1], ARGV[3])
local reply = {till[me] and 'known' or 'new'}
for name, at in pairs(till) do
  if name ~= me and at <= now then
    if heir[name] ~= me and ARGV[4] == '1' and not lives(heir[name]) then
      redis.call('HSET', KEYS[1], name, string.format('%.0f %s', at, me))
      heir[name] = me
    end
    if heir[name] == me then reply[#reply + 1] = name end
  end
end
return reply
