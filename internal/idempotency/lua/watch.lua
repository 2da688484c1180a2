-- Tells whether the claim with this token still holds the key: 1, else 0.
if state == 'claimed' and text(token) == ARGV[1] and now < till then return 1 end
return 0
