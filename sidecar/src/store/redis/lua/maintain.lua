-- maintain: ended leases go back, a deleted endpoint's queue is buried, what waits for an attempt that would come too
-- late becomes dead letters, what is over for long enough is forgotten.
-- ARGV: 1 now (ms) · 2 most of each at once · forget what ended at or before (ms): 3 what was delivered
--       4 dead letters · 5 payloads · 6 attempts; the last two are empty where nothing is to be forgotten
-- Answers {horizon, pending, reclaimed, trimmed, 1 when there may be more}.
local now, limit = tonumber(ARGV[1]), tonumber(ARGV[2])

local reclaimed = reclaim(now, limit)
local buried = 0
for _, endpoint in ipairs(call('SRANDMEMBER', GONE, 1)) do buried = bury(endpoint, now, limit) end

-- Ends the pending deliveries of an event that has expired. One in an attempt is left to its result, and looked at
-- again when its lease has ended. Answers at how many it looked.
local function expire(event)
  local looked, again = 1, nil
  for delivery in string.gmatch(call('HGET', P .. event, 'd') or '', '%S+') do
    looked = looked + 1
    local d = call('HMGET', P .. delivery, 's', 'p', 'a', 'b', 'l')
    local ends = d[1] == 'pending' and call('ZSCORE', LEASES, delivery)
    if ends then
      again = math.max(again or now + 1, tonumber(ends))
    elseif d[1] == 'pending' then
      call('ZREM', queue_of(d[2], is_retry(d[3], d[4])), delivery)
      finish(delivery, { endpoint = d[2], event = event, line = d[5] }, 'dead:expired', now)
    end
  end
  call('ZREM', EXPIRING, event)
  if again then call('ZADD', EXPIRING, again, event) end
  return looked
end

local looked = 0
while looked < limit do
  local event = call('ZRANGE', EXPIRING, '-inf', now, 'BYSCORE', 'LIMIT', 0, 1)[1]
  if not event then break end
  looked = looked + expire(event)
end

close()

local trimmed, unread = forget(limit, tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6]))

local more = (reclaimed == limit or buried == limit or looked >= limit or unread) and 1 or 0
return { horizon(), tonumber(call('HGET', SUMS, 'pending') or 0), reclaimed, trimmed, more }
