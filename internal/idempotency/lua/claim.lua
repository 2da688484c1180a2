-- Claims the key: owner, fingerprint, letter, resend, and in ms how long it is held, the lease, and the doubt after it.
local owner, fingerprint, letter, resend = ARGV[1], ARGV[2], ARGV[3], ARGV[4] == '1'
local hold, lease, doubt = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])

if mine(owner) then
	if late(owner) then return {'late'} end
	if owner == holder then return {'granted'} end -- sent twice
elseif taken() then
	if found[5] ~= fingerprint then return {'reused'} end
	if state == 'finished' then return {'replay', redis.call('HGET', key, 'outcome'), found[6]} end
	if state == 'claimed' and now < till then return {'in flight', text(token), found[6]} end
	if not resend then return {'unknown', found[6]} end
end
local was = taken() and not (mine(owner) and state == 'claimed') and found[6]
write(lease + doubt, 'claimed', owner, now + hold, 'fingerprint', fingerprint, 'letter', letter)
if was then redis.call('HSET', key, 'was', was) end
return {'granted'}
