-- What every script knows of its key, before its own text. Times are milliseconds of Redis' clock.
--
-- A key is a hash: state (claimed, finished, unknown, free), owner, token (grows with every change of hands), until,
-- fingerprint, letter, outcome, and was: the letter of the doubt that a claim took over. Free is what a release leaves
-- for a moment, so that a claim or heartbeat that comes late is known as late.
local key = KEYS[1]
local clock = redis.call('TIME')
local micros = tonumber(clock[1]) * 1000000 + tonumber(clock[2])
local now = math.floor(micros / 1000)
local found = redis.call('HMGET', key, 'state', 'owner', 'token', 'until', 'fingerprint', 'letter')
local state, holder = found[1], found[2]
local token, till = tonumber(found[3] or '0'), tonumber(found[4] or '0')
if state and state ~= 'claimed' and now >= till then
	state, holder = false, false
end

-- The first 24 digits of an owner are random, the last 8 count its turns: a process that holds a key and takes it
-- again, before Redis learnt how the turn before ended, goes on to the next turn.
local function mine(owner) return holder and string.sub(holder, 1, 24) == string.sub(owner, 1, 24) end
local function turn(owner) return tonumber(string.sub(owner, 25), 16) end

-- late tells of an owner, known as mine, whose turn is over.
local function late(owner)
	return turn(owner) < turn(holder) or (owner == holder and state ~= 'claimed')
end

local function taken() return state and state ~= 'free' end

-- text writes a number in full: Lua would round it.
local function text(n) return string.format('%.0f', n) end

-- write replaces the record. It sets before it deletes: a full Redis refuses the first write of a script, and takes any
-- after one that it took.
local function write(life, state, owner, till, ...)
	token = math.max(token + 1, micros)
	redis.call('HSET', key, 'state', state, 'owner', owner, 'token', text(token), 'until', text(till), ...)
	local kept = {}
	for i = 1, select('#', ...), 2 do kept[select(i, ...)] = true end
	for _, field in ipairs({'fingerprint', 'letter', 'outcome', 'was'}) do
		if not kept[field] then redis.call('HDEL', key, field) end
	end
	redis.call('PEXPIRE', key, text(life))
end
