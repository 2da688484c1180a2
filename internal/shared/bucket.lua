-- Takes tokens from a bucket, by the generic cell rate algorithm (GCRA): the bucket is the time at which it will be full
-- again, its theoretical arrival time. A token moves it by one interval; who would move it more than a full bucket
-- beyond now waits that long. Times are microseconds of Redis, multiples of 1/4, so that doubles hold them exactly.
--
-- KEYS[1]: "theoretical-arrival-time interval closed-until"; absent: full and open.
-- ARGV: interval; capacity; tokens spent without asking; time for which the bucket is to be closed, and what is in it now
--       lost, 0: it is not; number of reservations to give back, and those; then, of each who asks, how long it can wait.
-- Returns the time, the theoretical arrival time before those who ask, the time until which the bucket is closed, and of
-- each 1 (granted) or 0.
local interval, capacity, spent, empty, returns = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local time = redis.call('TIME')
local now, burst = time[1] * 1000000 + time[2], capacity * interval

local tat, closed = now, 0
local stored = redis.call('GET', KEYS[1])
if stored then
  local at, every, til = string.match(stored, '^(%S+) (%S+) (%S+)$')
  tat, every, closed = tonumber(at), tonumber(every), tonumber(til)
  if every ~= interval and tat > now then -- the refill rate was changed: what is owed is owed in tokens
    tat = now + math.ceil((tat - now) / every * interval * 4) / 4
  end
end
for i = 6, 5 + returns do -- only the last reservation can be given back: those after it have their times already
  if tonumber(ARGV[i]) == tat then
    tat = tat - interval
  end
end
tat = math.max(tat, now)
if spent > 0 then
  tat = math.max(tat, math.min(tat + spent * interval, now + burst))
end
if empty > 0 then -- of a slow bucket one token is left for who was refused
  closed = math.max(closed, now + empty)
  tat = math.max(tat, math.min(now, closed - interval) + burst)
end

local from = math.max(now, closed) -- the first time a token can be used; until then it refills, up to its capacity
if #ARGV >= 6 + returns then
  tat = math.max(tat, from)
end
local reply = {string.format('%.0f', now), string.format('%.2f', tat), string.format('%.0f', closed)}
for i = 6 + returns, #ARGV do
  local granted = math.max(tat + interval - burst, from) - now <= tonumber(ARGV[i])
  if granted then
    tat = tat + interval
  end
  reply[#reply + 1] = granted and 1 or 0
end
local life = math.max(tat, closed) - now
if life > 0 then
  redis.call('SET', KEYS[1], string.format('%.2f %.2f %.0f', tat, interval, closed), 'PX', string.format('%.0f', math.ceil(life / 1000)))
elseif stored then
  redis.call('DEL', KEYS[1])
end
return reply
