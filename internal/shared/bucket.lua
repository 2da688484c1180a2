-- Takes tokens from a bucket, by the generic cell rate algorithm (GCRA): the bucket is the time at which it will be full
-- again, its theoretical arrival time. A token moves it by one interval; who would move it more than a full bucket
-- beyond now waits that long. Times are microseconds of Redis, multiples of 1/4, so that doubles hold them exactly.
--
-- Sidecars that are refused again and again stand in line, for a quarter of a second after the last time: a token that
-- has just come is kept for the first in line, for half an interval. Else calls that arrive in step would find it always
-- taken by the same sidecar. No token is lost by that: those that were not taken are there the next moment.
--
-- KEYS[1]: "theoretical-arrival-time interval closed-until sidecar:until sidecar:until", the latter in line until then;
--       absent: full and open.
-- ARGV: interval; capacity; tokens spent without asking; time for which the bucket is to be closed, and what is in it now
--       lost, 0: it is not; the sidecar; its calls refused lately; number of reservations to give back, and those; then,
--       of each who asks, how long it can wait.
-- Returns the time, the theoretical arrival time before those who ask, the time until which the bucket is closed, and of
-- each 1 (granted) or 0.
local interval, capacity, spent, empty = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local sidecar, refused, returns = ARGV[5], tonumber(ARGV[6]), tonumber(ARGV[7])
local grace, patience = math.min(interval / 2, 100000), 250000
local time = redis.call('TIME')
local now, burst = time[1] * 1000000 + time[2], capacity * interval

local tat, closed, line = now, 0, {}
local stored = redis.call('GET', KEYS[1])
if stored then
  local at, every, til, names = string.match(stored, '^(%S+) (%S+) (%S+)(.*)$')
  tat, every, closed = tonumber(at), tonumber(every), tonumber(til)
  for name, til in string.gmatch(names, '(%w+):(%d+)') do
    if tonumber(til) > now then
      line[#line + 1] = {name = name, til = tonumber(til)}
    end
  end
  if every ~= interval and tat > now then -- the refill rate was changed: what is owed is owed in tokens
    tat = now + math.ceil((tat - now) / every * interval * 4) / 4
  end
end
for i = 8, 7 + returns do -- only the last reservation can be given back: those after it have their times already
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
if #ARGV >= 8 + returns then
  tat = math.max(tat, from)
end
local reply = {string.format('%.0f', now), string.format('%.2f', tat), string.format('%.0f', closed)}
local function place()
  for i = 1, #line do
    if line[i].name == sidecar then return i end
  end
end
for i = 8 + returns, #ARGV do
  local spare = now + tonumber(ARGV[i]) - math.max(tat + interval - burst, closed) -- since when the token could be had
  local granted = spare >= 0
  if granted and spare < grace and line[1] and line[1].name ~= sidecar then
    granted = false
  end
  local at = place()
  if granted then
    tat = tat + interval
    if at then table.remove(line, at) end
  else
    refused = refused + 1
    if at then
      line[at].til = now + patience
    elseif refused > 1 then
      line[#line + 1] = {name = sidecar, til = now + patience}
    end
  end
  reply[#reply + 1] = granted and 1 or 0
end
local life, names = math.max(tat, closed) - now, ''
for i = 1, #line do
  life = math.max(life, line[i].til - now)
  names = names .. string.format(' %s:%.0f', line[i].name, line[i].til)
end
if life > 0 then
  redis.call('SET', KEYS[1], string.format('%.2f %.2f %.0f', tat, interval, closed) .. names, 'PX', string.format('%.0f', math.ceil(life / 1000)))
elseif stored then
  redis.call('DEL', KEYS[1])
end
return reply
