-- Writes an exchange as its owner has it on disk, unless somebody else owns it by now. Each state on disk has a number, the
-- turn: what comes late, after a later one, changes nothing.
-- KEYS[1]: hash of owner, turn, state (open or ended), record, body, answer. ARGV: owner; turn; state; life in milliseconds;
-- record; 1 when a body belongs to it; the body, which may be left out when it is there already; answer.
local was = redis.call('HMGET', KEYS[1], 'owner', 'turn')
if was[1] and was[1] ~= ARGV[1] then return 'lost' end
if was[2] and tonumber(was[2]) > tonumber(ARGV[2]) then return 'late' end
local open = ARGV[3] == 'open'
if open and ARGV[6] == '1' and ARGV[7] == '' and not (was[1] and redis.call('HGET', KEYS[1], 'body')) then return 'body' end
if was[1] then -- a full Redis refuses the first write of a script, and takes any after one that it took
  redis.call('HDEL', KEYS[1], open and 'answer' or 'body')
end
redis.call('HSET', KEYS[1], 'owner', ARGV[1], 'turn', ARGV[2], 'state', ARGV[3], 'record', ARGV[5])
if open and ARGV[7] ~= '' then redis.call('HSET', KEYS[1], 'body', ARGV[7]) end
if not open then redis.call('HSET', KEYS[1], 'answer', ARGV[8]) end
redis.call('PEXPIRE', KEYS[1], ARGV[4])
return 'told'
