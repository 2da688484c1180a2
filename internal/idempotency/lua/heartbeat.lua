-- Keeps a claim alive, or puts it back when Redis lost it and nobody else has the key: owner, fingerprint, letter, and
-- in ms how long it is held from now, what is left of the lease, and the doubt after it.
local owner, fingerprint, letter = ARGV[1], ARGV[2], ARGV[3]
local hold, lease, doubt = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])

if mine(owner) then
	if late(owner) then return 'late' end
	if owner == holder then
		redis.call('HSET', key, 'until', text(now + hold))
		redis.call('PEXPIRE', key, text(lease + doubt))
		return 'held'
	end
elseif taken() then
	return 'lost'
end
write(lease + doubt, 'claimed', owner, now + hold, 'fingerprint', fingerprint, 'letter', letter)
return 'restored'
