-- delete: remove an endpoint; what waits for it, or is in an attempt, becomes dead letters. The queue is buried a
-- bounded number at a time; `maintain` goes on when nobody calls again.
-- ARGV: 1 now (ms) · 2 endpoint · 3 the registry's new version · 4 most buried at once
--       5 channel · 6 origin · 7 shard
-- Answers {1 when it was there, 1 when there is more to bury: call again}.
local now, endpoint, limit = tonumber(ARGV[1]), ARGV[2], tonumber(ARGV[4])
local tenant = call('HGET', state_of(endpoint), 'tenant')
if tenant then
  call('DEL', state_of(endpoint))
  call('HDEL', S .. 'tenant:' .. tenant, endpoint)
  call('HSET', S .. 'tenant:' .. tenant, '@', ARGV[3])
  call('ZREM', S .. 'endpoints', endpoint)
  call('ZREM', TURN, endpoint)
  -- only the registry's version is left: nobody of this tenant has turns
  if call('HLEN', S .. 'tenant:' .. tenant) == 1 then call('HDEL', SHARES, tenant) end
  call('ZREM', WAIT, endpoint)
  call('SADD', GONE, endpoint)
  for _, delivery in ipairs(call('ZRANGE', LEASES, 0, -1)) do
    local d = call('HMGET', P .. delivery, 'p', 'e', 'l')
    if d[1] == endpoint then
      call('ZREM', LEASES, delivery)
      finish(delivery, { endpoint = endpoint, event = d[2], line = d[3] }, 'dead:endpoint_deleted', now)
    end
  end
  tell(ARGV[5], ARGV[6], ARGV[7], tenant)
end
local more = call('SISMEMBER', GONE, endpoint) == 1 and bury(endpoint, now, limit) == limit
close()
return { tenant and 1 or 0, more and 1 or 0 }
