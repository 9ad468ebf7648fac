-- retry: a delivery is due at once, with a fresh schedule. One in an attempt stays as it
-- is, and so does one whose endpoint is gone, or is by now another tenant's of the same name.
-- ARGV: 1 now (ms) · 2 delivery · 3 room for deliveries · 4 channel · 5 origin · 6 shard
-- Answers 1 due · 0 as it was, or not there · 2 full · 3 its payload is forgotten.
local now, delivery = tonumber(ARGV[1]), ARGV[2]
local d = standing(delivery)
if not d or (d.token and d.token ~= '') or not at_home(d) then return 0 end
if is_bare(d.event) then return 3 end
if d.status ~= 'pending' and tonumber(call('HGET', SUMS, 'pending') or 0) >= tonumber(ARGV[3]) then return 2 end
make_due(delivery, d, now)
close()
tell(ARGV[4], ARGV[5], ARGV[6])
return 1
