-- maintain: ended leases go back, a deleted endpoint's queue is buried, what waits for an attempt that would come too
-- late becomes dead letters, what is over for long enough is forgotten.
-- ARGV: 1 now (ms) · 2 forget what finished at or before (ms) · 3 most of each at once
-- Answers {horizon, pending, reclaimed, trimmed, 1 when there may be more}.
local now, before, limit = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local trimmed = 0

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
      call('ZREM', queue_of(d[2], d[3] ~= d[4]), delivery)
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

local function forget_replay(replay)
  call('ZREM', P .. 'replays', replay)
  return call('DEL', P .. replay)
end

local forget = { evt_ = forget_event, rpl_ = forget_replay }
local old = {}
if before >= 0 then old = call('ZRANGE', FINISHED, '-inf', before, 'BYSCORE', 'LIMIT', 0, limit) end
for _, id in ipairs(old) do
  call('ZREM', FINISHED, id)
  trimmed = trimmed + (forget[string.sub(id, 1, 4)] or forget_delivery)(id)
end

local more = (reclaimed == limit or buried == limit or looked >= limit or #old == limit) and 1 or 0
return { horizon(), tonumber(call('HGET', SUMS, 'pending') or 0), reclaimed, trimmed, more }
