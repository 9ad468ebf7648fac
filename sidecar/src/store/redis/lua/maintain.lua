-- maintain: ended leases go back, a deleted endpoint's queue is buried, what is over for long enough is forgotten.
-- ARGV: 1 now (ms) · 2 forget what finished at or before (ms) · 3 most of each at once
-- Answers {horizon, pending, reclaimed, trimmed, 1 when there may be more}.
local now, before, limit = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local trimmed = 0

local reclaimed = reclaim(now, limit)
local buried = 0
for _, endpoint in ipairs(call('SRANDMEMBER', GONE, 1)) do buried = bury(endpoint, now, limit) end

write_ends()

local old = {}
if before >= 0 then old = call('ZRANGE', FINISHED, '-inf', before, 'BYSCORE', 'LIMIT', 0, limit) end
for _, id in ipairs(old) do
  call('ZREM', FINISHED, id)
  if string.sub(id, 1, 4) == 'evt_' then trimmed = trimmed + forget_event(id) else trimmed = trimmed + forget_delivery(id) end
end

local more = (reclaimed == limit or buried == limit or #old == limit) and 1 or 0
return { horizon(), tonumber(call('HGET', SUMS, 'pending') or 0), reclaimed, trimmed, more }
