-- Tells how the claim with this token stands: 1 it holds the key, 0 it ended, 2 nothing is known of the key: Redis forgot it.
if state == 'claimed' and text(token) == ARGV[1] and now < till then return 1 end
if not state and not found[1] then return 2 end
return 0
