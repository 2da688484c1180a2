-- Ends a claim: step, owner, fingerprint, letter, life of what is left behind in ms, outcome. It does so too when Redis
-- knows nothing of the key, but never to somebody else's claim or outcome. An undo takes back a claim whose answer was
-- lost: a doubt that it had taken over is a doubt again.
local tombstone = 30000 -- ms: longer than a command lies in the buffers of a connection
local step, owner, fingerprint, letter = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local life, outcome = tonumber(ARGV[5]), ARGV[6]

local was = false
if mine(owner) then
	if late(owner) then return 'late' end
	was = redis.call('HGET', key, 'was')
elseif taken() then
	return 'lost'
end
if step == 'undo' and was then
	step, letter = 'abandon', was
end
if step == 'finish' then
	write(life, 'finished', owner, now + life, 'fingerprint', fingerprint, 'letter', letter, 'outcome', outcome)
elseif step == 'abandon' then
	write(life, 'unknown', owner, now + life, 'fingerprint', fingerprint, 'letter', letter)
else
	write(tombstone, 'free', owner, now + tombstone)
end
return 'settled'
