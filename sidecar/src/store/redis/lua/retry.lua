-- retry: a delivery is due at once, with a fresh schedule. One in an attempt stays as it
-- is, and so does one whose endpoint is gone, or is by now another tenant's of the same name.
-- ARGV: 1 now (ms) · 2 delivery · 3 room for deliveries · 4 channel · 5 origin · 6 shard
-- Answers 1 due · 0 as it was, or not there · 2 full.
local now, delivery = tonumber(ARGV[1]), ARGV[2]
local d = call('HMGET', P .. delivery, 's', 't', 'p', 'a', 'e')
if not d[1] or (d[2] and d[2] ~= '') then return 0 end
local owner = call('HGET', state_of(d[3]), 'tenant')
if not owner or owner ~= call('HGET', P .. d[5], 't') then return 0 end

if d[1] ~= 'pending' then
  if tonumber(call('HGET', SUMS, 'pending') or 0) >= tonumber(ARGV[3]) then return 2 end
  call('HINCRBY', SUMS, d[1] == 'delivered' and 'delivered' or 'dead', -1)
  call('HINCRBY', SUMS, 'pending', 1)
  call('ZREM', FINISHED, delivery)
  call('ZREM', DEAD, dead_letter(d[5], delivery))
end
call('HSET', P .. delivery, 's', 'pending', 'due', now, 'b', d[4], 'u', now)
enqueue(d[3], delivery, now, now)
tell(ARGV[4], ARGV[5], ARGV[6])
return 1
